//! One shard: the LwM2M core and a brain, fed and carried out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{debug, error, trace, warn};

use super::Clock;
use super::brain::{Brain, BrainOutput, Builder, CommandId, SHELL_REQUESTS};
use super::handle::Told;
use super::reach;
use super::trace::describe;
use crate::lwm2m::{
    DeviceRequest, Endpoint, Event, Identity, Input, ListenerId, Now, Outcome, Output, Peer,
    PersistId, Registration, RequestId, Shard,
};
use crate::store::{Store, StoreError, Version};
use crate::transport::{Outgoing, UdpListener};

/// Commits that may be open before a shard stops taking datagrams.
const MAX_OPEN_COMMITS: usize = 2048;
/// Messages taken in one turn.
const TURN: usize = 64;
/// Commands and requests that HTTP may wait for.
const MAX_WAITING: usize = 8192;

/// Datagrams of one receive call that belong to one shard.
#[derive(Default)]
pub(super) struct Packets {
    pub(super) listener: u8,
    pub(super) data: Vec<u8>,
    pub(super) items: Vec<(SocketAddr, Range<usize>)>,
}

pub(super) enum ToShard<B: Brain> {
    Packets(Packets),
    Request(DeviceRequest, oneshot::Sender<Outcome>),
    Submit(DeviceRequest),
    Command(Endpoint, B::Command, oneshot::Sender<B::Reply>),
    Registration(Endpoint, oneshot::Sender<Option<Arc<Registration>>>),
    Registrations(oneshot::Sender<Vec<Arc<Registration>>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Core,
    Brain,
}

/// What comes back; not bounded by the channel, but by what is open.
pub(super) enum Back<B: Brain> {
    Persisted(Asker, PersistId, Result<Version, StoreError>),
    Built(B::Built),
}

enum Held<B: Brain> {
    Request(DeviceRequest),
    Answer(CommandId, B::Reply),
}

pub(super) struct ShardTask<B: Brain> {
    pub(super) core: Shard,
    pub(super) brain: B,
    pub(super) clock: Clock,
    pub(super) store: Arc<dyn Store>,
    pub(super) listeners: Arc<[UdpListener]>,
    /// The bootstrap listener; the first of all is for management.
    pub(super) bootstrap: Option<ListenerId>,
    pub(super) builder: Builder<B>,
    pub(super) told: broadcast::Sender<Told<B::Report>>,
    pub(super) inbox: mpsc::Receiver<ToShard<B>>,
    pub(super) back: (
        mpsc::UnboundedSender<Back<B>>,
        mpsc::UnboundedReceiver<Back<B>>,
    ),
    pub(super) stop: watch::Receiver<bool>,
}

struct State<B: Brain> {
    open_commits: usize,
    held: HashMap<PersistId, Vec<Held<B>>>,
    waiting: HashMap<RequestId, oneshot::Sender<Outcome>>,
    commands: HashMap<CommandId, oneshot::Sender<B::Reply>>,
    next_command: u64,
    outgoing: Vec<Vec<Outgoing>>,
}

impl<B: Brain> ShardTask<B> {
    pub(super) async fn run(mut self) {
        let listeners = Arc::clone(&self.listeners);
        let mut state = State {
            open_commits: 0,
            held: HashMap::new(),
            waiting: HashMap::new(),
            commands: HashMap::new(),
            next_command: 0,
            outgoing: self.listeners.iter().map(|_| Vec::new()).collect(),
        };
        self.drain(&mut state, self.clock.now());
        flush(&listeners, &mut state).await;
        loop {
            let deadline = match (self.core.next_deadline(), self.brain.next_deadline()) {
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

    fn tick(&mut self, state: &mut State<B>) {
        let now = self.clock.now();
        if self.core.next_deadline().is_some_and(|at| at <= now.mono) {
            self.core.handle(now, Input::Tick);
            self.drain(state, now);
        }
        if self.brain.next_deadline().is_some_and(|at| at <= now.mono) {
            self.brain.handle_timeout(now);
            self.drain(state, now);
        }
    }

    fn take(&mut self, state: &mut State<B>, now: Now, message: ToShard<B>) {
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
            ToShard::Command(endpoint, command, answer) => {
                if state.commands.len() >= MAX_WAITING {
                    return;
                }
                let id = CommandId(state.next_command);
                state.next_command += 1;
                state.commands.insert(id, answer);
                self.brain.handle_command(now, id, &endpoint, command);
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

    fn take_back(&mut self, state: &mut State<B>, now: Now, back: Back<B>) {
        match back {
            Back::Built(built) => self.brain.handle_build_result(now, built),
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
            Back::Persisted(Asker::Brain, id, result) => {
                state.open_commits -= 1;
                let held = state.held.remove(&id);
                if result.is_ok() {
                    for held in held.into_iter().flatten() {
                        match held {
                            Held::Request(request) => {
                                self.core.handle(now, Input::Command(request));
                            }
                            Held::Answer(id, reply) => answer(state, id, reply),
                        }
                    }
                } else {
                    for held in held.into_iter().flatten() {
                        if let Held::Answer(id, _) = held {
                            state.commands.remove(&id);
                        }
                    }
                }
                self.brain.handle_persisted(now, id, result);
            }
        }
        self.drain(state, now);
    }

    /// Carries out everything both cores ask for.
    fn drain(&mut self, state: &mut State<B>, now: Now) {
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
            } else if let Some(output) = self.brain.poll_output() {
                self.carry_out(state, now, output);
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, state: &mut State<B>, now: Now, output: BrainOutput<B>) {
        match output {
            BrainOutput::Request { request, after } => {
                debug_assert!(request.id.0 < SHELL_REQUESTS);
                match after {
                    Some(id) => state
                        .held
                        .entry(id)
                        .or_default()
                        .push(Held::Request(request)),
                    None => self.core.handle(now, Input::Command(request)),
                }
            }
            BrainOutput::Withdraw(_, id) => self.core.handle(now, Input::Withdraw(id)),
            BrainOutput::Persist(id, batch) => self.commit(state, Asker::Brain, id, batch),
            BrainOutput::Build(build) => {
                let back = self.back.0.clone();
                (self.builder)(
                    build,
                    Box::new(move |built| {
                        let _ = back.send(Back::Built(built));
                    }),
                );
            }
            BrainOutput::Report(report) => {
                if self.told.receiver_count() > 0 {
                    let _ = self.told.send(Told::Report(Arc::new(report)));
                }
            }
            BrainOutput::Answer { id, reply, after } => match after {
                Some(after) => {
                    state
                        .held
                        .entry(after)
                        .or_default()
                        .push(Held::Answer(id, reply));
                }
                None => answer(state, id, reply),
            },
        }
    }

    fn commit(
        &self,
        state: &mut State<B>,
        asker: Asker,
        id: PersistId,
        batch: crate::store::Batch,
    ) {
        state.open_commits += 1;
        let back = self.back.0.clone();
        self.store.commit_with(
            batch,
            Box::new(move |result| {
                let _ = back.send(Back::Persisted(asker, id, result));
            }),
        );
    }

    fn event(&mut self, state: &mut State<B>, now: Now, event: Event) {
        debug!(?event);
        self.brain.handle_event(now, &event);
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

async fn flush<B: Brain>(listeners: &[UdpListener], state: &mut State<B>) {
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

fn answer<B: Brain>(state: &mut State<B>, id: CommandId, reply: B::Reply) {
    if let Some(answer) = state.commands.remove(&id) {
        let _ = answer.send(reply);
    }
}
