//! The threads that make durable: one syncs the journal and tells, another syncs the proof, at
//! leisure.

use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_channel::oneshot;

use super::State;
use super::applier::{self, Values};
use super::journal;
use super::value::io;
use crate::archive::Records;
use crate::proof::ProofFile;
use crate::{Committed, Mark, StoreError, Version};

/// The proof is synced at most once in this time.
const PROOF_PAUSE: Duration = Duration::from_millis(50);

/// Who waits, and what each is told.
pub(super) type Waiting = Vec<(Committed, Result<Version, StoreError>)>;

/// What the second thread does, in this order.
pub(super) enum Work {
    Group(Group),
    /// The other file of the journal is written from now on.
    Turned,
    Export(Records, oneshot::Sender<Result<Records, StoreError>>),
}

/// A group in the journal.
pub(super) struct Group {
    pub(super) waiting: Waiting,
    /// In which file it is; `None`: it changes nothing.
    pub(super) file: Option<usize>,
    pub(super) mark: Mark,
    pub(super) changes: Arc<Values>,
}

pub(super) struct Syncer {
    /// Called when it waits for a group.
    pub(super) idle: Box<dyn Fn() + Send>,
    pub(super) files: [Arc<File>; journal::FILES],
    pub(super) proof: ProofFile,
    /// Tells another thread that the proof was written.
    pub(super) written: mpsc::SyncSender<()>,
    /// What is durable goes to the database.
    pub(super) durable: mpsc::SyncSender<applier::Work>,
    pub(super) state: Arc<State>,
}

impl Syncer {
    pub(super) fn run(mut self, works: &mpsc::Receiver<Work>) {
        let mut failed = None;
        let mut next = None;
        while let Some(work) = next.take().or_else(|| self.next(works)) {
            let mut groups = match work {
                Work::Group(group) => vec![group],
                Work::Turned => {
                    self.pass_on(applier::Work::Turned);
                    continue;
                }
                Work::Export(to, done) => {
                    self.pass_on(applier::Work::Export(to, done));
                    continue;
                }
            };
            // One sync for all that waits.
            while next.is_none()
                && let Ok(more) = works.try_recv()
            {
                match more {
                    Work::Group(group) => groups.push(group),
                    other => next = Some(other),
                }
            }
            if failed.is_none()
                && let Err(error) = self.sync(&groups)
            {
                self.state.fail(&error);
                failed = Some(error);
            }
            for group in groups {
                tell(group.waiting, failed.as_ref());
                if failed.is_none() && group.file.is_some() {
                    self.pass_on(applier::Work::Group(group.mark, group.changes));
                }
            }
        }
    }

    fn next(&self, works: &mpsc::Receiver<Work>) -> Option<Work> {
        if let Ok(work) = works.try_recv() {
            return Some(work);
        }
        (self.idle)();
        works.recv().ok()
    }

    fn sync(&mut self, groups: &[Group]) -> Result<(), StoreError> {
        let mut written = groups.iter().filter_map(|group| Some((group.file?, group)));
        let mut files: Vec<_> = written.clone().map(|(file, _)| file).collect();
        files.dedup();
        for file in files {
            self.files[file].sync_data().map_err(io)?;
            self.state.syncs.fetch_add(1, Ordering::Relaxed);
        }
        if let Some((_, group)) = written.next_back() {
            self.proof.write(&group.mark).map_err(io)?;
            self.state.progress.tell(group.mark.sequence);
            // One wish that waits is enough: it is for what was written last.
            let _ = self.written.try_send(());
        }
        Ok(())
    }

    fn pass_on(&self, work: applier::Work) {
        // The database failed: so does the next commit, and the journal keeps what it has.
        if let Err(mpsc::SendError(applier::Work::Export(_, done))) = self.durable.send(work) {
            drop(done.send(Err(StoreError::Closed)));
        }
    }
}

pub(super) fn sync_proof(file: &File, wishes: &mpsc::Receiver<()>, state: &State) {
    while let Ok(()) = wishes.recv() {
        if let Err(error) = file.sync_data() {
            return state.fail(&io(error));
        }
        std::thread::sleep(PROOF_PAUSE);
    }
}

pub(super) fn tell(waiting: Waiting, failed: Option<&StoreError>) {
    for (done, result) in waiting {
        done(match failed {
            Some(error) => result.and(Err(error.clone())),
            None => result,
        });
    }
}
