//! What a database has, together with what only the journal has.

use std::collections::HashMap;

use super::journal::Entry;
use super::value::{io, sequence_key, unreadable};
use crate::loss::Claim;
use crate::{Content, Loss, Mark, StoreError};

/// What is in a database.
pub(super) struct Found {
    pub(super) db: ::sled::Db,
    pub(super) claim: Claim,
    /// The number of its last commit, and what it has.
    pub(super) here: Mark,
}

impl Found {
    /// Reads all of a database.
    pub(super) fn read(db: ::sled::Db) -> Result<Self, StoreError> {
        let mut claim = Claim::None;
        let mut content = Content::default();
        let own = sequence_key();
        for item in db.iter() {
            let (key, value) = item.map_err(|error| unreadable(&error))?;
            if key == own {
                claim = claimed(&value)?;
            } else {
                content.add(&key, &value);
            }
        }
        let sequence = match claim {
            Claim::None => 0,
            Claim::Sequence(sequence) => sequence,
            Claim::Mark(mark) => mark.sequence,
        };
        let here = Mark { sequence, content };
        Ok(Self { db, claim, here })
    }

    /// Gives the database all groups of the journal: of each it may have all, nothing, or a part.
    pub(super) fn replay(mut self, entries: &[Entry]) -> Result<Self, StoreError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(self);
        };
        // What is before the journal, and what the journal before this one had.
        if first.first > self.here.sequence + 1 || last.mark.sequence < self.here.sequence {
            return Ok(self);
        }
        self.here.sequence = first.first.saturating_sub(1);
        for entry in entries {
            if entry.first == self.here.sequence + 1 {
                self.apply(entry)?;
            }
        }
        if let Claim::Mark(mark) = self.claim {
            self.db
                .insert(sequence_key(), &mark.to_bytes()[..])
                .map_err(io)?;
        }
        Ok(self)
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), StoreError> {
        // Of a key that is changed several times the last counts.
        let changes: HashMap<_, _> = entry.changes.iter().map(|(k, v)| (k, v)).collect();
        for (key, value) in changes {
            let old = self.db.get(key).map_err(|error| unreadable(&error))?;
            if old.as_deref() == value.as_deref() {
                continue;
            }
            if let Some(old) = old {
                self.here.content.remove(key, &old);
            }
            match value {
                Some(value) => {
                    self.here.content.add(key, value);
                    self.db.insert(key, value.as_slice())
                }
                None => self.db.remove(key),
            }
            .map_err(io)?;
        }
        self.here.sequence = entry.mark.sequence;
        self.claim = Claim::Mark(entry.mark);
        Ok(())
    }
}

fn claimed(value: &[u8]) -> Result<Claim, StoreError> {
    if let Ok(sequence) = value.try_into() {
        return Ok(Claim::Sequence(u64::from_be_bytes(sequence)));
    }
    let text = || Loss::Unreadable("the number of its last commit can't be read".to_owned());
    let mark = Mark::from_bytes(value).ok_or_else(text)?;
    Ok(Claim::Mark(mark))
}
