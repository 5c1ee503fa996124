//! The thread that gives the database what is durable in the journal.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, mpsc};
use std::time::SystemTime;

use ::sled::IVec;
use futures_channel::oneshot;

use super::State;
use super::table::Snapshot;
use super::value::{io, sequence_key};
use crate::archive::Records;
use crate::{Mark, StoreError};

/// A key and its value as stored; `None`: there is none.
pub(super) type Values = HashMap<Vec<u8>, Option<IVec>>;

/// What is done, in this order.
pub(super) enum Work {
    /// A group that is durable.
    Group(Mark, Arc<Values>),
    /// A file of the journal is full: its number, and what the store has with it.
    Turned(u64, Mark),
    /// How far the store is, and the records that are in the journal only.
    Export(
        Records,
        oneshot::Sender<Result<Records, StoreError>>,
        Mark,
        Snapshot,
    ),
    /// How far the store is, at its end.
    End(Mark),
}

/// Only what is durable in the journal gets into the database: any part of what the database has
/// may become durable at any moment.
pub(super) struct Applier {
    pub(super) db: ::sled::Db,
    pub(super) file: File,
    /// When the file was written last, as of its last sync.
    pub(super) synced: Option<SystemTime>,
    /// As of the last group or file of the journal that the database has.
    pub(super) mark: Mark,
    /// Tells the writer up to which file the database needs no journal any more.
    pub(super) retired: mpsc::Sender<u64>,
    pub(super) state: Arc<State>,
}

impl Applier {
    pub(super) fn run(mut self, works: &mpsc::Receiver<Work>) {
        while let Ok(work) = works.recv() {
            let done = match work {
                Work::Group(mark, changes) => self.apply(mark, &changes),
                Work::Turned(number, mark) => {
                    self.mark = mark;
                    self.retire(number)
                }
                Work::Export(to, done, mark, table) => {
                    drop(done.send(self.export(to, mark, &table)));
                    Ok(())
                }
                Work::End(mark) => {
                    self.mark = mark;
                    Ok(())
                }
            };
            if let Err(error) = done {
                self.state.fail(&error);
                return self.state.progress.apply(u64::MAX);
            }
        }
        if let Err(error) = self.note_mark() {
            self.state.fail(&error);
        }
        self.state.progress.apply(u64::MAX);
    }

    /// The database says how far it is.
    fn note_mark(&self) -> Result<(), StoreError> {
        self.db
            .insert(sequence_key(), &self.mark.to_bytes()[..])
            .map_err(io)?;
        Ok(())
    }

    fn apply(&mut self, mark: Mark, changes: &Values) -> Result<(), StoreError> {
        self.sync_written()?;
        for (key, value) in changes {
            match value {
                Some(value) => self.db.insert(key, value),
                None => self.db.remove(key),
            }
            .map_err(io)?;
        }
        self.mark = mark;
        self.state.progress.apply(mark.sequence);
        Ok(())
    }

    /// sled writes its file by itself, half a megabyte at a time. After a power cut it can open a
    /// file where the last write is torn, but not one where an earlier one is.
    fn sync_written(&mut self) -> Result<(), StoreError> {
        let modified = self.file.metadata().and_then(|data| data.modified());
        let modified = Some(modified.map_err(io)?);
        if self.synced != modified {
            self.file.sync_data().map_err(io)?;
            self.synced = modified;
        }
        Ok(())
    }

    /// Makes durable in the database what is in the file of the journal that is full.
    fn retire(&self, number: u64) -> Result<(), StoreError> {
        self.note_mark()?;
        self.db.flush().map_err(io)?;
        self.file.sync_data().map_err(io)?;
        // The writer is gone at the end.
        let _ = self.retired.send(number);
        Ok(())
    }

    fn export(&self, mut to: Records, mark: Mark, table: &Snapshot) -> Result<Records, StoreError> {
        let own = sequence_key();
        for item in self.db.iter() {
            let (key, value) = item.map_err(io)?;
            if key != own {
                to.record(&key, &value).map_err(io)?;
            }
        }
        for item in table.read() {
            let (key, value) = item.map_err(io)?;
            to.record(key, &value).map_err(io)?;
        }
        to.mark = mark;
        Ok(to)
    }
}
