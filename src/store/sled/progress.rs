//! How far the database is behind the journal, for who reads it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_channel::oneshot;

/// Numbers of commits.
pub(super) struct Progress {
    /// The last one that somebody was told is durable.
    told: AtomicU64,
    /// The last one that the database has.
    applied: AtomicU64,
    /// Who waits until the database has a commit.
    waiting: Mutex<Vec<(u64, oneshot::Sender<()>)>>,
}

impl Progress {
    pub(super) fn new(last: u64) -> Self {
        Self {
            told: AtomicU64::new(last),
            applied: AtomicU64::new(last),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Before anybody is told.
    pub(super) fn tell(&self, last: u64) {
        self.told.store(last, Ordering::Release);
    }

    /// The database has `last` and all before it. At the end, when it gets nothing any more, that is
    /// [`u64::MAX`]: nobody waits for what does not come.
    pub(super) fn apply(&self, last: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.applied.store(last, Ordering::Release);
        for (_, wake) in waiting.extract_if(.., |(wanted, _)| *wanted <= last) {
            let _ = wake.send(());
        }
    }

    /// Waits until the database has all that anybody was told of.
    pub(super) async fn caught_up(&self) {
        let wanted = self.told.load(Ordering::Acquire);
        let woken = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted <= self.applied() {
                return;
            }
            let (wake, woken) = oneshot::channel();
            waiting.push((wanted, wake));
            woken
        };
        let _ = woken.await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_reader_waits_for_what_was_told_before() {
        let progress = Progress::new(3);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(
            pin!(progress.caught_up()).poll(&mut context),
            Poll::Ready(())
        );
        progress.tell(5);
        let mut reader = pin!(progress.caught_up());
        assert_eq!(reader.as_mut().poll(&mut context), Poll::Pending);
        progress.tell(6);
        progress.apply(4);
        assert_eq!(reader.as_mut().poll(&mut context), Poll::Pending);
        progress.apply(5);
        assert_eq!(reader.as_mut().poll(&mut context), Poll::Ready(()));
        let mut last = pin!(progress.caught_up());
        assert_eq!(last.as_mut().poll(&mut context), Poll::Pending);
        progress.apply(u64::MAX);
        assert_eq!(last.as_mut().poll(&mut context), Poll::Ready(()));
    }
}
