//! Sessions that survive a reset, as one record of the journal: for each server
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the first of the SHA-256 of the account: URI, identity and key, a zero after the first two; with a key pair a zero and the server's too |
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
    let mut hash = Sha256::new();
    let [uri, identity, key] = accounts.secrets(security);
    for part in [uri, &[0], identity, &[0], key] {
        hash.update(part);
    }
    #[cfg(feature = "rpk")]
    if let server @ [_, ..] = accounts.server_key(security) {
        hash.update([0]);
        hash.update(server);
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
        if let Some(ok) = device.storage.take_kept(SESSIONS) {
            secure.for_each(|secure| secure.stored(ok));
        } else if secure.any(|secure| secure.needs_numbers())
            && let Some(place) = device.storage.room_for_kept()
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
            device.storage.put_kept(SESSIONS, len, flash);
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

#[cfg(all(test, feature = "rpk"))]
mod tests {
    use lwm2m_objects::{Path, Value};

    use super::*;

    #[test]
    fn an_account_is_another_with_another_key_of_either_side() {
        let mut accounts = Accounts::EMPTY;
        accounts.create(0, 1).unwrap();
        let mut set = |mode: i64, resource: u16, value: &[u8]| {
            let path = Path::resource(0, 1, 2);
            accounts.set(&path, Value::Integer(mode)).unwrap();
            let path = Path::resource(0, 1, resource);
            accounts.set(&path, Value::Opaque(value)).unwrap();
            name(&accounts, 1)
        };
        let names = [
            set(1, 3, b"own"),
            set(1, 5, b"private"),
            set(1, 4, b"server"),
            set(1, 4, b"another"),
            set(1, 5, b"another"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{at}");
        }
        // With a pre-shared key nothing is known of the server.
        assert_eq!(set(0, 4, b"server"), set(0, 4, b"another"));
    }
}
