//! One shard: the LwM2M core and the reconciler, fed and carried out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{debug, error, trace, warn};

use super::handle::Told;
use super::reach;
use super::trace::describe;
use super::{Clock, SHELL_REQUESTS};
use tinsmith_lwm2m::{
    DeviceRequest, Endpoint, Event, Identity, Input, ListenerId, Now, Outcome, Output, Peer,
    PersistId, Registration, RequestId, Shard,
};
use tinsmith_store::{Batch, Store, StoreError, Version};
use tinsmith_transport::{Outgoing, UdpListener};
use tinsmith_update::{
    Ask, AskId, BuildRequest, JobId, JobResult, Output as Wanted, Reconciler, Reply, StartJob,
};

/// Commits that may be open before a shard stops taking datagrams.
const MAX_OPEN_COMMITS: usize = 2048;
/// Messages taken in one turn.
const TURN: usize = 64;
/// Questions and requests that HTTP may wait for.
const MAX_WAITING: usize = 8192;

/// Datagrams of one receive call that belong to one shard.
#[derive(Default)]
pub(super) struct Packets {
    pub(super) listener: u8,
    pub(super) data: Vec<u8>,
    pub(super) items: Vec<(SocketAddr, Range<usize>)>,
}

pub(super) enum ToShard {
    Packets(Packets),
    Request(DeviceRequest, oneshot::Sender<Outcome>),
    Submit(DeviceRequest),
    Ask(Endpoint, Ask, oneshot::Sender<Reply>),
    Registration(Endpoint, oneshot::Sender<Option<Arc<Registration>>>),
    Registrations(oneshot::Sender<Vec<Arc<Registration>>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Core,
    Reconciler,
}

/// What comes back; not bounded by the channel, but by what is open.
pub(super) enum Back {
    Persisted(Asker, PersistId, Result<Version, StoreError>),
    Built(JobId, JobResult),
}

pub(super) struct ShardTask {
    pub(super) core: Shard,
    pub(super) reconciler: Reconciler,
    pub(super) clock: Clock,
    pub(super) store: Arc<dyn Store>,
    pub(super) listeners: Arc<[UdpListener]>,
    /// The bootstrap listener; the first of all is for management.
    pub(super) bootstrap: Option<ListenerId>,
    pub(super) start_job: StartJob,
    pub(super) told: broadcast::Sender<Told>,
    pub(super) inbox: mpsc::Receiver<ToShard>,
    pub(super) back: (mpsc::UnboundedSender<Back>, mpsc::UnboundedReceiver<Back>),
    pub(super) stop: watch::Receiver<bool>,
}

struct State {
    open_commits: usize,
    /// Answers that wait until a batch of the reconciler is durable.
    held: HashMap<PersistId, Vec<(AskId, Reply)>>,
    waiting: HashMap<RequestId, oneshot::Sender<Outcome>>,
    asks: HashMap<AskId, oneshot::Sender<Reply>>,
    next_ask: u64,
    outgoing: Vec<Vec<Outgoing>>,
}

impl ShardTask {
    pub(super) async fn run(mut self) {
        let listeners = Arc::clone(&self.listeners);
        let mut state = State {
            open_commits: 0,
            held: HashMap::new(),
            waiting: HashMap::new(),
            asks: HashMap::new(),
            next_ask: 0,
            outgoing: self.listeners.iter().map(|_| Vec::new()).collect(),
        };
        self.drain(&mut state, self.clock.now());
        flush(&listeners, &mut state).await;
        loop {
            let deadline = match (self.core.next_deadline(), self.reconciler.next_deadline()) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let sleep = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(self.clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            if *self.stop.borrow() {
                break;
            }
            tokio::select! {
                biased;
                _ = self.stop.changed() => break,
                Some(back) = self.back.1.recv() => {
                    let now = self.clock.now();
                    self.take_back(&mut state, now, back);
                    for _ in 0..MAX_OPEN_COMMITS {
                        let Ok(back) = self.back.1.try_recv() else { break };
                        self.take_back(&mut state, now, back);
                    }
                }
                message = self.inbox.recv(), if state.open_commits < MAX_OPEN_COMMITS => {
                    let Some(message) = message else { break };
                    let now = self.clock.now();
                    self.take(&mut state, now, message);
                    for _ in 0..TURN {
                        if state.open_commits >= MAX_OPEN_COMMITS {
                            break;
                        }
                        let Ok(message) = self.inbox.try_recv() else { break };
                        self.take(&mut state, now, message);
                    }
                }
                () = sleep => {}
            }
            self.tick(&mut state);
            flush(&listeners, &mut state).await;
        }
        // What was answered is durable; what is still open is for the next process.
    }

    fn tick(&mut self, state: &mut State) {
        let now = self.clock.now();
        if self.core.next_deadline().is_some_and(|at| at <= now.mono) {
            self.core.handle(now, Input::Tick);
            self.drain(state, now);
        }
        if self
            .reconciler
            .next_deadline()
            .is_some_and(|at| at <= now.mono)
        {
            self.reconciler.tick(now);
            self.drain(state, now);
        }
    }

    fn take(&mut self, state: &mut State, now: Now, message: ToShard) {
        match message {
            ToShard::Packets(packets) => {
                let is_bootstrap = self.bootstrap == Some(ListenerId(packets.listener));
                let own = is_bootstrap.then(|| self.listeners[0].local_addr());
                for (from, range) in &packets.items {
                    let bytes = &packets.data[range.clone()];
                    // Only a bootstrap request needs to know.
                    let management = match own {
                        Some(own) if matches!(bytes.get(1), Some(1..=31)) => {
                            reach::management(own, *from)
                        }
                        _ => None,
                    };
                    trace!(target: "tinsmith::coap", peer = %from, "< {}", describe(bytes));
                    self.core.handle(
                        now,
                        Input::Inbound {
                            listener: ListenerId(packets.listener),
                            peer: Peer::udp(*from),
                            identity: Identity::None,
                            management,
                            bytes,
                        },
                    );
                    self.drain(state, now);
                }
            }
            ToShard::Request(request, answer) => {
                if state.waiting.len() >= MAX_WAITING {
                    let _ = answer.send(Outcome::Cancelled("too many requests are open".into()));
                    return;
                }
                state.waiting.insert(request.id, answer);
                self.core.handle(now, Input::Command(request));
            }
            ToShard::Submit(request) => self.core.handle(now, Input::Command(request)),
            ToShard::Ask(endpoint, ask, answer) => {
                if state.asks.len() >= MAX_WAITING {
                    return;
                }
                let id = AskId(state.next_ask);
                state.next_ask += 1;
                state.asks.insert(id, answer);
                self.reconciler.ask(now, id, &endpoint, ask);
            }
            ToShard::Registration(endpoint, answer) => {
                let _ = answer.send(self.core.registration(&endpoint));
            }
            ToShard::Registrations(answer) => {
                let _ = answer.send(self.core.registrations().collect());
            }
        }
        self.drain(state, now);
    }

    fn take_back(&mut self, state: &mut State, now: Now, back: Back) {
        match back {
            Back::Built(id, result) => self.reconciler.job_done(now, id, result),
            Back::Persisted(Asker::Core, id, result) => {
                state.open_commits -= 1;
                match result {
                    Ok(version) => self.core.handle(now, Input::Persisted(id, version)),
                    Err(error) => {
                        error!(%error, "the store refused a batch");
                        self.core.handle(now, Input::PersistFailed(id, error));
                    }
                }
            }
            Back::Persisted(Asker::Reconciler, id, result) => {
                state.open_commits -= 1;
                let held = state.held.remove(&id).into_iter().flatten();
                match result {
                    Ok(_) => {
                        held.for_each(|(id, reply)| answer(state, id, reply));
                        self.reconciler.persisted(now, id);
                    }
                    Err(error) => {
                        warn!(%error, "a device record could not be stored");
                        for (id, _) in held {
                            state.asks.remove(&id);
                        }
                        self.reconciler.persist_failed(now, id);
                    }
                }
            }
        }
        self.drain(state, now);
    }

    /// Carries out everything both cores ask for.
    fn drain(&mut self, state: &mut State, now: Now) {
        loop {
            if let Some(output) = self.core.poll() {
                match output {
                    Output::Transmit {
                        listener,
                        peer,
                        bytes,
                    } => {
                        trace!(target: "tinsmith::coap", %peer, "> {}", describe(&bytes));
                        let outgoing = Outgoing {
                            to: peer.address,
                            bytes,
                        };
                        push(&mut state.outgoing, listener, outgoing);
                    }
                    Output::Persist(id, batch) => self.commit(state, Asker::Core, id, batch),
                    Output::Event(event) => self.event(state, now, event),
                }
            } else if let Some(output) = self.reconciler.poll() {
                self.carry_out(state, now, output);
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, state: &mut State, now: Now, output: Wanted) {
        match output {
            Wanted::Request(request) => {
                debug_assert!(request.id.0 < SHELL_REQUESTS);
                self.core.handle(now, Input::Command(request));
            }
            Wanted::Withdraw(_, id) => self.core.handle(now, Input::Withdraw(id)),
            Wanted::Persist(id, batch) => self.commit(state, Asker::Reconciler, id, batch),
            Wanted::Job(endpoint, id, job) => {
                let back = self.back.0.clone();
                let done = move |id, result| drop(back.send(Back::Built(id, result)));
                (self.start_job)(BuildRequest { endpoint, id, job }, Box::new(done));
            }
            Wanted::Changed(change) => {
                if self.told.receiver_count() > 0 {
                    let _ = self.told.send(Told::Report(Arc::new(change)));
                }
            }
            Wanted::Answer(id, reply, Some(after)) => {
                state.held.entry(after).or_default().push((id, reply));
            }
            Wanted::Answer(id, reply, None) => answer(state, id, reply),
        }
    }

    fn commit(&self, state: &mut State, asker: Asker, id: PersistId, batch: Batch) {
        state.open_commits += 1;
        let back = self.back.0.clone();
        self.store.commit_with(
            batch,
            Box::new(move |result| {
                let _ = back.send(Back::Persisted(asker, id, result));
            }),
        );
    }

    fn event(&mut self, state: &mut State, now: Now, event: Event) {
        debug!(?event);
        self.reconciler.event(now, &event);
        if let Event::Completed { id, outcome, .. } = &event
            && id.0 >= SHELL_REQUESTS
            && let Some(answer) = state.waiting.remove(id)
        {
            let _ = answer.send(outcome.clone());
        }
        if self.told.receiver_count() > 0 {
            let _ = self.told.send(Told::Device(Arc::new(event)));
        }
    }
}

async fn flush(listeners: &[UdpListener], state: &mut State) {
    for (listener, batch) in listeners.iter().zip(&mut state.outgoing) {
        if !batch.is_empty()
            && let Err(error) = listener.send(batch).await
        {
            warn!(%error, "a datagram was not sent");
        }
    }
}

fn push(outgoing: &mut [Vec<Outgoing>], listener: ListenerId, item: Outgoing) {
    if let Some(batch) = outgoing.get_mut(usize::from(listener.0)) {
        batch.push(item);
    }
}

fn answer(state: &mut State, id: AskId, reply: Reply) {
    if let Some(answer) = state.asks.remove(&id) {
        let _ = answer.send(reply);
    }
}
