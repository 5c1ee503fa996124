//! What a database and the journal have together.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, mpsc};

use super::journal;
use super::segments;
use super::table::{self, Table};
use super::value::{io, sequence_key, unreadable};
use crate::loss::Claim;
use crate::{Loss, Mark, StoreError};

/// A file of the journal.
struct Part {
    number: u64,
    file: File,
    content: journal::Content,
}

impl Part {
    fn read(folder: &Path, number: u64) -> Result<Self, StoreError> {
        let path = segments::path(folder, number);
        let content = journal::Content::new(fs::read(&path).map_err(io)?);
        let file = File::open(&path).map_err(io)?;
        // What was written before the process died is taken as done.
        file.sync_data().map_err(io)?;
        Ok(Self {
            number,
            file,
            content,
        })
    }
}

/// What is in a store.
pub(super) struct Found {
    pub(super) db: ::sled::Db,
    pub(super) claim: Claim,
    /// The number of the last commit, and what there is.
    pub(super) here: Mark,
    /// Records that are in the journal only.
    pub(super) table: Table,
    /// What the database may lack; `None`: it may have what was removed.
    lacking: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// Records of the table that a version before this one has put into the database.
    pub(super) moving: HashMap<Vec<u8>, Vec<u8>>,
    /// All keys of the table that are in the database.
    misplaced: Vec<Vec<u8>>,
    /// Files of the journal, and whether they have anything.
    pub(super) files: Vec<(u64, bool)>,
}

impl Found {
    /// Reads all of a database, and of the journal in `folder`.
    pub(super) fn read(db: ::sled::Db, folder: &Path) -> Result<Self, StoreError> {
        let mut found = Self {
            db,
            claim: Claim::None,
            here: Mark::default(),
            table: Table::default(),
            lacking: HashMap::new(),
            moving: HashMap::new(),
            misplaced: Vec::new(),
            files: Vec::new(),
        };
        found.read_database()?;
        found.read_journal(folder)?;
        found.count_lacking()?;
        for (key, value) in &found.moving {
            found.here.content.add(key, value);
        }
        Ok(found)
    }

    fn read_database(&mut self) -> Result<(), StoreError> {
        let own = sequence_key();
        for item in self.db.iter() {
            let (key, value) = item.map_err(|error| unreadable(&error))?;
            if key == own {
                self.claim = claimed(&value)?;
            } else if table::holds(&key) {
                self.misplaced.push(key.to_vec());
                self.moving.insert(key.to_vec(), value.to_vec());
            } else {
                self.here.content.add(&key, &value);
            }
        }
        self.here.sequence = match self.claim {
            Claim::None => 0,
            Claim::Sequence(sequence) => sequence,
            Claim::Mark(mark) => mark.sequence,
        };
        Ok(())
    }

    fn read_journal(&mut self, folder: &Path) -> Result<(), StoreError> {
        let known = self.here.sequence;
        let numbers = journal::list(folder).map_err(io)?;
        let mut last = None;
        std::thread::scope(|scope| {
            // The next file is read while the one before is replayed.
            let (give, read) = mpsc::sync_channel(1);
            scope.spawn(move || {
                let mut files = numbers.into_iter().map(|number| Part::read(folder, number));
                files.try_for_each(|file| give.send(file))
            });
            for part in read {
                let part = part?;
                last = part.content.mark.or(last);
                self.replay(part, known)?;
            }
            Ok::<_, StoreError>(())
        })?;
        match last {
            Some(last) if last.sequence >= known => {
                self.here.sequence = last.sequence;
                self.claim = Claim::Mark(last);
            }
            // The database is newer.
            _ => self.lacking.clear(),
        }
        self.here.content.merge(&self.table.content());
        Ok(())
    }

    /// What one file has; the database has all up to the commit `known`.
    fn replay(&mut self, part: Part, known: u64) -> Result<(), StoreError> {
        let Part {
            number,
            file,
            content,
        } = part;
        self.table.add(number, Arc::new(file)).map_err(io)?;
        self.files.push((number, content.mark.is_some()));
        if content.mark.is_some_and(|mark| mark.sequence <= known) {
            // The database has it, and what was before; of the last such file it is made sure.
            self.lacking.clear();
        }
        for change in content.changes() {
            if table::holds(change.key) {
                self.moving.remove(change.key);
            } else {
                let value = change.value.map(<[u8]>::to_vec);
                self.lacking.insert(change.key.to_vec(), value);
            }
        }
        self.table.replay(number, &content).map_err(io)
    }

    fn count_lacking(&mut self) -> Result<(), StoreError> {
        let mut has = HashSet::new();
        for (key, value) in &self.lacking {
            let old = self.db.get(key).map_err(|error| unreadable(&error))?;
            if old.as_deref() == value.as_deref() {
                has.insert(key.clone());
                continue;
            }
            if let Some(old) = old {
                self.here.content.remove(key, &old);
            }
            if let Some(value) = value {
                self.here.content.add(key, value);
            }
        }
        self.lacking.retain(|key, _| !has.contains(key));
        Ok(())
    }

    /// Whether anything is in files of an older form.
    pub(super) fn is_old(&self) -> bool {
        let turns = |(number, _): &(u64, bool)| *number < segments::FIRST;
        !self.misplaced.is_empty() || self.files.iter().any(turns)
    }

    /// The database gets what it lacks.
    pub(super) fn complete(&self) -> Result<(), StoreError> {
        for (key, value) in &self.lacking {
            match value {
                Some(value) => self.db.insert(key, value.as_slice()),
                None => self.db.remove(key),
            }
            .map_err(io)?;
        }
        Ok(())
    }

    /// The database loses what is in the table.
    pub(super) fn tidy(&self) -> Result<(), StoreError> {
        for key in &self.misplaced {
            self.db.remove(key).map_err(io)?;
        }
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
