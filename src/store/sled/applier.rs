//! The thread that gives the database what is durable in the journal.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, mpsc};
use std::time::SystemTime;

use ::sled::IVec;
use futures_channel::oneshot;

use super::State;
use super::value::{io, sequence_key};
use crate::archive::Records;
use crate::{Mark, StoreError};

/// A key and its value as stored; `None`: there is none.
pub(super) type Values = HashMap<Vec<u8>, Option<IVec>>;

/// What is done, in this order.
pub(super) enum Work {
    /// A group that is durable.
    Group(Mark, Arc<Values>),
    /// The other file of the journal is written from now on.
    Turned,
    Export(Records, oneshot::Sender<Result<Records, StoreError>>),
}

/// Only what is durable in the journal gets into the database: any part of what the database has
/// may become durable at any moment.
pub(super) struct Applier {
    pub(super) db: ::sled::Db,
    pub(super) file: File,
    /// When the file was written last, as of its last sync.
    pub(super) synced: Option<SystemTime>,
    /// What the database has.
    pub(super) mark: Mark,
    /// Tells the writer that a file of the journal is not needed any more.
    pub(super) retired: mpsc::SyncSender<()>,
    pub(super) state: Arc<State>,
}

impl Applier {
    pub(super) fn run(mut self, works: &mpsc::Receiver<Work>) {
        while let Ok(work) = works.recv() {
            let done = match work {
                Work::Group(mark, changes) => self.apply(mark, &changes),
                Work::Turned => self.retire(),
                Work::Export(to, done) => {
                    drop(done.send(self.export(to)));
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
    fn retire(&self) -> Result<(), StoreError> {
        self.note_mark()?;
        self.db.flush().map_err(io)?;
        self.file.sync_data().map_err(io)?;
        // The writer is gone at the end.
        let _ = self.retired.send(());
        Ok(())
    }

    fn export(&self, mut to: Records) -> Result<Records, StoreError> {
        let own = sequence_key();
        for item in self.db.iter() {
            let (key, value) = item.map_err(io)?;
            if key != own {
                to.record(&key, &value).map_err(io)?;
            }
        }
        to.mark = self.mark;
        Ok(to)
    }
}
