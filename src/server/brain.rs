//! What decides, beside the LwM2M core of each shard: the reconciler, behind a trait.

use crate::lwm2m::{DeviceRequest, Endpoint, Event, Now, PersistId, RequestId};
use crate::store::{Batch, Key, Kind, StoreError, Stored, Version};

/// Names a command until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// The first request id that belongs to the shell (HTTP and the like). A brain uses lower ones,
/// unique among its open requests.
pub const SHELL_REQUESTS: u64 = 1 << 63;

/// The next step for each device of a shard. Pure: no socket, clock, randomness or task.
///
/// After each `handle_*` the shell drains [`Brain::poll_output`] until it says `None`.
pub trait Brain: Send + 'static {
    /// What operators ask.
    type Command: Send + 'static;
    /// What they get.
    type Reply: Send + 'static;
    /// What a build needs to know.
    type Build: Send + 'static;
    /// How it ended.
    type Built: Send + 'static;
    /// Progress, for the event stream.
    type Report: Clone + Send + Sync + 'static;

    /// The kinds of records this brain keeps.
    const KINDS: &'static [Kind];

    /// Once, before anything else: all records of [`Brain::KINDS`] that this shard owns.
    fn restore(&mut self, now: Now, records: Vec<(Key, Stored)>);

    /// The endpoint that a record belongs to; `None` if every shard needs it.
    fn owner(key: &Key, stored: &Stored) -> Option<Endpoint>;

    /// The LwM2M core told something.
    fn handle_event(&mut self, now: Now, event: &Event);

    /// An operator asks something about a device; answered by [`BrainOutput::Answer`].
    fn handle_command(
        &mut self,
        now: Now,
        id: CommandId,
        endpoint: &Endpoint,
        command: Self::Command,
    );

    /// A build ended.
    fn handle_build_result(&mut self, now: Now, built: Self::Built);

    /// A batch is durable, or failed.
    fn handle_persisted(&mut self, now: Now, id: PersistId, result: Result<Version, StoreError>);

    /// [`Brain::next_deadline`] has come.
    fn handle_timeout(&mut self, now: Now);

    /// The next thing to carry out.
    fn poll_output(&mut self) -> Option<BrainOutput<Self>>
    where
        Self: Sized;

    /// When [`Brain::handle_timeout`] wants to be called, on the monotonic clock (ms).
    fn next_deadline(&self) -> Option<u64>;
}

/// What a brain asks the shell to do.
pub enum BrainOutput<B: Brain> {
    /// Ask a device something.
    Request {
        /// What.
        request: DeviceRequest,
        /// Only when this batch of the brain is durable; never, if the batch fails.
        after: Option<PersistId>,
    },
    /// Forget a request; it is answered with `Outcome::Cancelled`.
    Withdraw(Endpoint, RequestId),
    /// Commit a batch. Ids are the brain's own.
    Persist(PersistId, Batch),
    /// Build something.
    Build(B::Build),
    /// Tell who listens.
    Report(B::Report),
    /// Answer a command.
    Answer {
        /// Which.
        id: CommandId,
        /// With what.
        reply: B::Reply,
        /// Only when this batch of the brain is durable; dropped, if the batch fails.
        after: Option<PersistId>,
    },
}

/// Given to a [`Builder`] with each build.
pub type BuildDone<B> = Box<dyn FnOnce(<B as Brain>::Built) + Send>;

/// Starts a build and returns at once; calls back once, from anywhere.
pub type Builder<B> =
    std::sync::Arc<dyn Fn(<B as Brain>::Build, BuildDone<B>) + Send + Sync + 'static>;

/// A brain that wants nothing: a plain LwM2M server.
#[derive(Default)]
pub struct NoBrain;

impl Brain for NoBrain {
    type Command = std::convert::Infallible;
    type Reply = std::convert::Infallible;
    type Build = std::convert::Infallible;
    type Built = std::convert::Infallible;
    type Report = ();

    const KINDS: &'static [Kind] = &[];

    fn restore(&mut self, _: Now, _: Vec<(Key, Stored)>) {}

    fn owner(_: &Key, _: &Stored) -> Option<Endpoint> {
        None
    }

    fn handle_event(&mut self, _: Now, _: &Event) {}

    fn handle_command(&mut self, _: Now, _: CommandId, _: &Endpoint, command: Self::Command) {
        match command {}
    }

    fn handle_build_result(&mut self, _: Now, built: Self::Built) {
        match built {}
    }

    fn handle_persisted(&mut self, _: Now, _: PersistId, _: Result<Version, StoreError>) {}

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_output(&mut self) -> Option<BrainOutput<Self>> {
        None
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }
}
