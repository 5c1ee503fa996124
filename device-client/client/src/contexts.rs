//! Contexts of servers with OSCORE, as one record of the journal: for each of them
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the first of the SHA-256 of what its keys are made of, each part after its length |
//! | 1, n | [`Peer::encode`](tinsmith_oscore::Peer::encode) |
//!
//! Those of today come first. Behind them are earlier ones: a bootstrap server may come back to keys
//! that it gave before, and their numbers are used by then.

use sha2::{Digest, Sha256};
use tinsmith_oscore::MAX_ENCODED;

use crate::client::Client;
use crate::device::CONTEXTS;
use crate::flash::FlashRead;
use crate::platform::{Now, Platform};
use crate::store::accounts::{Accounts, Oscore};
use crate::store::codec::{Reader, Writer};

/// Bytes by which keys are known.
const NAME: usize = 8;
/// Contexts that are remembered.
const MAX: usize = 8;

type Name = [u8; NAME];

fn name(context: &Oscore) -> Name {
    let mut hash = Sha256::new();
    for part in context.parts() {
        hash.update([part.len() as u8]);
        hash.update(part);
    }
    let mut name = [0; NAME];
    name.copy_from_slice(&hash.finalize()[..NAME]);
    name
}

/// The contexts of a record.
fn all(record: &[u8]) -> impl Iterator<Item = (Name, &[u8])> {
    let mut reader = Reader::new(record);
    core::iter::from_fn(move || {
        let mut name = [0; NAME];
        reader.fill(&mut name)?;
        Some((name, reader.short()?))
    })
}

/// The context with a name, as it was written down.
fn find<'f>(record: Option<&'f [u8]>, wanted: &Name) -> Option<&'f [u8]> {
    let found = all(record?).find(|(name, _)| name == wanted);
    found.map(|(_, encoded)| encoded)
}

impl Client<'_> {
    /// Gives each server that has OSCORE its context.
    pub(crate) fn open_contexts(&mut self, platform: &mut dyn Platform) {
        let device = &mut self.device;
        for link in self.sessions.iter_mut().filter_map(|s| s.link_mut()) {
            let security = link.oscore.to_open();
            let Some(account) = security.and_then(|id| device.accounts.context(id)) else {
                continue;
            };
            let Some(master) = account.master() else {
                continue;
            };
            // Of keys from the factory it is not known what a flash had that was erased since.
            let context = device.config.factory.context();
            let is_new = !context.is_some_and(|factory| account.is_of(factory));
            let mut stored = [0; MAX_ENCODED];
            let record = device.storage.journal.get(CONTEXTS, platform);
            let found = find(record, &name(account)).filter(|_| is_new);
            let stored = found.and_then(|found| {
                let place = stored.get_mut(..found.len())?;
                place.copy_from_slice(found);
                Some(&*place)
            });
            // One that can't be read may have been used.
            let is_new = is_new && found.is_none();
            link.oscore.open_context(master, stored, is_new, platform);
        }
    }

    /// Writes the contexts down, if one of them needs it, and tells them what became of that.
    pub(crate) fn keep_contexts(&mut self, now: Now, platform: &mut dyn Platform) {
        let mut links = self.sessions.iter_mut().filter_map(|s| s.link_mut());
        if let Some(ok) = self.device.storage.take_kept(CONTEXTS) {
            links.for_each(|link| link.oscore.stored(ok, platform));
            self.look_at_keys(now);
        } else if links.any(|link| link.oscore.needs_numbers()) {
            self.write_contexts(platform);
        }
    }

    fn write_contexts(&mut self, flash: &dyn FlashRead) {
        let device = &mut self.device;
        let record = device.storage.journal.get(CONTEXTS, flash);
        let Some(place) = device.storage.room_for_kept() else {
            return;
        };
        let mut out = Writer::new(place);
        let mut room = MAX;
        for link in self.sessions.iter_mut().filter_map(|s| s.link_mut()) {
            let mut encoded = [0; MAX_ENCODED];
            let context = link
                .oscore
                .kept()
                .and_then(|id| device.accounts.context(id));
            if let Some(name) = context.map(name)
                && let Some(context) = link.oscore.reserve()
                && let Ok(len) = context.encode(&mut encoded)
            {
                out.bytes(&name);
                out.short(encoded.get(..len).unwrap_or_default());
                room = room.saturating_sub(1);
            }
        }
        let is_written = |accounts: &Accounts, wanted: &Name| {
            let links = self.sessions.iter().filter_map(|s| s.link());
            let kept = links.filter_map(|link| accounts.context(link.oscore.kept()?));
            kept.map(name).any(|name| name == *wanted)
        };
        let earlier = all(record.unwrap_or_default());
        let earlier = earlier.filter(|(name, _)| !is_written(device.accounts, name));
        for (name, encoded) in earlier.take(room) {
            out.bytes(&name);
            out.short(encoded);
        }
        let len = out.finish().unwrap_or(usize::MAX);
        device.storage.put_kept(CONTEXTS, len, flash);
    }
}
