//! Sessions that survive a reset, as one record of the journal: for each server
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the first of the SHA-256 of the account: URI, identity and key, a zero after the first two |
//! | 1, n | [`Association::encode`](tinsmith_dtls::Association::encode) |
//!
//! Whoever has another account than when the session was made does not find it again.

use sha2::{Digest, Sha256};

use crate::client::Client;
use crate::device::SESSIONS;
use crate::flash::FlashRead;
use crate::store::accounts::Accounts;
use crate::store::codec::{Reader, Writer};

/// Bytes by which an account is known.
const NAME: usize = 8;

fn name(accounts: &Accounts, security: u16) -> [u8; NAME] {
    let (uri, credentials) = (accounts.uri(security), accounts.credentials(security));
    let mut hash = Sha256::new();
    for part in [
        uri.as_bytes(),
        &[0],
        credentials.identity,
        &[0],
        credentials.key,
    ] {
        hash.update(part);
    }
    let mut name = [0; NAME];
    name.copy_from_slice(&hash.finalize()[..NAME]);
    name
}

impl Client<'_> {
    /// Writes the sessions down, if one of them needs it, and tells them what became of that.
    pub(crate) fn keep_sessions(&mut self, flash: &dyn FlashRead) {
        let (device, sessions) = (&mut self.device, &mut *self.sessions);
        let secure = sessions.iter_mut().filter_map(|s| s.link_mut());
        let mut secure = secure.map(|link| &mut link.secure);
        if let Some(ok) = device.storage.sessions.take() {
            secure.for_each(|secure| secure.stored(ok));
        } else if secure.any(|secure| secure.needs_numbers())
            && let Some(place) = device.storage.room_for_sessions()
        {
            let mut out = Writer::new(place);
            for link in sessions.iter_mut().filter_map(|s| s.link_mut()) {
                if let Some((security, association)) = link.secure.reserve() {
                    out.bytes(&name(device.accounts, security));
                    out.encoded(association.encoded_len(), |place| {
                        association.encode(place).is_ok()
                    });
                }
            }
            let len = out.finish().unwrap_or(usize::MAX);
            device.storage.put_sessions(len, flash);
        }
    }

    /// Goes on with the sessions that were written down.
    pub(crate) fn resume_sessions(&mut self, flash: &dyn FlashRead) {
        let Some(record) = self.device.storage.journal.get(SESSIONS, flash) else {
            return;
        };
        let mut reader = Reader::new(record);
        let mut account = [0; NAME];
        while let Some(()) = reader.fill(&mut account)
            && let Some(encoded) = reader.short()
        {
            for link in self.sessions.iter_mut().filter_map(|s| s.link_mut()) {
                if let Some(security) = link.secure.security()
                    && name(self.device.accounts, security) == account
                {
                    link.secure.resume(encoded);
                }
            }
        }
    }
}
