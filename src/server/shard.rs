//! One shard: the LwM2M core and the reconciler, fed and carried out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{debug, trace, warn};

use super::SHELL_REQUESTS;
use super::clock::Clock;
use super::message::{Answer, Known, NoAnswer, Packets, ToShard, Told};
use super::reach;
use super::receive::{Inlet, Sorter, refusals};
use super::results::Results;
use super::secure;
use super::trace::describe;
use tinsmith_lwm2m::{
    Endpoint, Event, Input, ListenerId, Now, Outcome, Output, Peer, PersistId, RequestId, Shard,
};
use tinsmith_store::{Batch, Store, StoreError, Version};
use tinsmith_transport::{Listener, NotSent, Outgoing, Received, Window};
use tinsmith_update::{
    Ask, AskId, BuildRequest, JobId, JobResult, Output as Wanted, Reconciler, Reply, StartJob,
};

/// Commits that may be open before a shard stops taking datagrams.
const MAX_OPEN_COMMITS: usize = 2048;
/// Messages taken in one turn.
const TURN: usize = 64;
/// The listener whose associations are kept.
const SECURE: ListenerId = ListenerId(2);

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
    pub(super) index: u8,
    pub(super) sorter: Sorter,
    pub(super) core: Shard,
    pub(super) reconciler: Reconciler,
    pub(super) clock: Clock,
    pub(super) store: Arc<dyn Store>,
    /// Of bootstrap listeners, by their ids: where management listens of which they tell.
    pub(super) management: [Option<SocketAddr>; 4],
    pub(super) start_job: StartJob,
    /// Of requests for which nobody waits.
    pub(super) results: Arc<Results>,
    /// Requests and questions that may wait for answers.
    pub(super) waiting: usize,
    pub(super) told: broadcast::Sender<Told>,
    pub(super) inbox: mpsc::Receiver<ToShard>,
    pub(super) back: (mpsc::UnboundedSender<Back>, mpsc::UnboundedReceiver<Back>),
    pub(super) stop: watch::Receiver<bool>,
}

struct State {
    open_commits: usize,
    /// Answers that wait until a batch of the reconciler is durable.
    held: HashMap<PersistId, Vec<(AskId, Reply)>>,
    waiting: HashMap<RequestId, oneshot::Sender<Answer<Outcome>>>,
    asks: HashMap<AskId, oneshot::Sender<Answer<Reply>>>,
    next_ask: u64,
    /// The association whose datagram is handled, and what it had received with it: what follows is
    /// stored together with that, so that the datagram can't come again after a crash.
    cause: Option<(u32, Window)>,
    outgoing: Vec<Vec<Outgoing>>,
}

impl ShardTask {
    /// `listeners` by their ids.
    pub(super) async fn run(mut self, listeners: Arc<[Listener]>) {
        let mut state = State {
            open_commits: 0,
            held: HashMap::new(),
            waiting: HashMap::new(),
            asks: HashMap::new(),
            next_ask: 0,
            cause: None,
            outgoing: listeners.iter().map(|_| Vec::new()).collect(),
        };
        let mut inlets = Inlet::all(&listeners);
        let clock = self.clock.clone();
        let mut alarm = pin!(clock.until(0));
        let mut armed = None;
        self.drain(&mut state, clock.now());
        self.flush(&mut state, &listeners).await;
        while !*self.stop.borrow() {
            if let Some(at) = self.next_deadline()
                && armed.is_none_or(|armed| at < armed)
            {
                alarm.set(clock.until(at));
                armed = Some(at);
            }
            let room = state.open_commits < MAX_OPEN_COMMITS;
            tokio::select! {
                biased;
                _ = self.stop.changed() => break,
                Some(back) = self.back.1.recv() => {
                    self.take_back(&mut state, clock.now(), back);
                }
                message = self.inbox.recv(), if room => {
                    let Some(message) = message else { break };
                    self.take(&mut state, clock.now(), message);
                }
                inlet = any(&mut inlets), if room => {
                    self.take_batch(&mut state, clock.now(), inlet);
                }
                () = &mut alarm, if armed.is_some() => armed = None,
            }
            // Whatever it was: of everything that is there now something is taken.
            let now = clock.now();
            for _ in 0..MAX_OPEN_COMMITS {
                let Ok(back) = self.back.1.try_recv() else {
                    break;
                };
                self.take_back(&mut state, now, back);
            }
            for _ in 0..TURN {
                if state.open_commits >= MAX_OPEN_COMMITS {
                    break;
                }
                let Ok(message) = self.inbox.try_recv() else {
                    break;
                };
                self.take(&mut state, now, message);
            }
            for inlet in &mut inlets {
                if state.open_commits < MAX_OPEN_COMMITS && inlet.try_receive() {
                    self.take_batch(&mut state, now, inlet);
                }
            }
            self.tick(&mut state, now);
            self.flush(&mut state, &listeners).await;
        }
        // What was answered is durable; what is still open is for the next process.
    }

    /// Monotonic, ms.
    fn next_deadline(&self) -> Option<u64> {
        match (self.core.next_deadline(), self.reconciler.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn tick(&mut self, state: &mut State, now: Now) {
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
            ToShard::Packets(packets) => self.take_packets(state, now, packets),
            ToShard::Request(request, answer) => {
                if state.waiting.len() >= self.waiting {
                    let _ = answer.send(Err(NoAnswer::Busy));
                    return;
                }
                state.waiting.insert(request.id, answer);
                self.core.handle(now, Input::Command(request));
            }
            ToShard::Submit(request) => self.core.handle(now, Input::Command(request)),
            ToShard::Later(request) => self.core.handle(now, Input::Later(request)),
            ToShard::Revoked(identity) => self.core.handle(now, Input::Revoked(identity)),
            ToShard::Withdraw(id) => self.core.handle(now, Input::Withdraw(id)),
            ToShard::Anchors(anchors) => self.reconciler.set_anchors(now, anchors),
            ToShard::Count(answer) => {
                let _ = answer.send(self.core.present(now));
            }
            ToShard::Ask(endpoint, ask, answer) => self.ask(state, now, &endpoint, ask, answer),
            ToShard::Delete(endpoint, answer) => {
                self.core.handle(now, Input::Delete(endpoint.clone()));
                // Batches are committed in their order: the answer waits for the core's too.
                self.drain(state, now);
                self.ask(state, now, &endpoint, Ask::Delete, answer);
            }
            ToShard::Describe(names, answer) => {
                let known = names.into_iter().map(|name| self.describe(now, name));
                let _ = answer.send(known.collect());
            }
        }
        self.drain(state, now);
    }

    fn ask(
        &mut self,
        state: &mut State,
        now: Now,
        endpoint: &Endpoint,
        ask: Ask,
        answer: oneshot::Sender<Answer<Reply>>,
    ) {
        if state.asks.len() >= self.waiting {
            let _ = answer.send(Err(NoAnswer::Busy));
            return;
        }
        let id = AskId(state.next_ask);
        state.next_ask += 1;
        state.asks.insert(id, answer);
        self.reconciler.ask(now, id, endpoint, ask);
    }

    /// What was received here.
    fn take_batch(&mut self, state: &mut State, now: Now, inlet: &Inlet) {
        let (listener, batch) = (inlet.id(), inlet.batch());
        for received in batch.iter() {
            if !self.sorter.take(listener, received) {
                self.datagram(state, now, listener, received);
            }
        }
        for refusal in refusals(batch) {
            push(&mut state.outgoing, listener, refusal);
        }
        for peer in batch.gone() {
            self.gone(state, now, listener, *peer);
        }
        self.sorter.pass(listener, batch);
    }

    /// What another shard received.
    fn take_packets(&mut self, state: &mut State, now: Now, packets: Packets) {
        let Packets {
            listener,
            data,
            items,
            gone,
        } = packets;
        for item in items {
            let received = Received {
                peer: item.peer,
                identity: &item.identity,
                bytes: &data[item.range],
                window: item.window,
            };
            self.datagram(state, now, listener, received);
        }
        for peer in gone {
            self.gone(state, now, listener, peer);
        }
    }

    fn datagram(
        &mut self,
        state: &mut State,
        now: Now,
        listener: ListenerId,
        received: Received<'_>,
    ) {
        let Received { peer, bytes, .. } = received;
        // Only a bootstrap request needs to know.
        let own = self.management.get(usize::from(listener.0));
        let own = own.copied().flatten();
        let is_request = matches!(bytes.get(1), Some(1..=31));
        let management = own
            .filter(|_| is_request)
            .and_then(|own| reach::management(own, peer.address));
        trace!(target: "tinsmith::coap", %peer, "< {}", describe(bytes));
        let input = Input::Inbound {
            listener,
            peer,
            identity: received.identity.clone(),
            management,
            bytes,
        };
        let window = received.window.filter(|_| listener == SECURE);
        state.cause = window.map(|window| (peer.association, window));
        self.core.handle(now, input);
        self.drain(state, now);
        state.cause = None;
    }

    fn gone(&mut self, state: &mut State, now: Now, listener: ListenerId, peer: Peer) {
        debug!(%peer, "gone");
        self.core.handle(now, Input::PeerGone(listener, peer));
        self.drain(state, now);
    }

    /// Sends what the cores want to send, and tells them of peers that are gone.
    async fn flush(&mut self, state: &mut State, listeners: &[Listener]) {
        let mut not_sent = Vec::new();
        // Who is told of a peer that is gone may have something for another.
        while state.outgoing.iter().any(|batch| !batch.is_empty()) {
            let mut gone = Vec::new();
            for (index, listener) in listeners.iter().enumerate() {
                let batch = &mut state.outgoing[index];
                if batch.is_empty() {
                    continue;
                }
                if let Err(error) = listener.send(batch, &mut not_sent).await {
                    warn!(%error, "a datagram was not sent");
                }
                for (peer, why) in not_sent.drain(..) {
                    trace!(target: "tinsmith::coap", %peer, ?why, "not sent");
                    if why == NotSent::Gone {
                        gone.push((ListenerId(index as u8), peer));
                    }
                }
            }
            let now = self.clock.now();
            for (listener, peer) in gone {
                self.core.handle(now, Input::PeerGone(listener, peer));
                self.drain(state, now);
            }
        }
    }

    fn describe(&self, now: Now, endpoint: Endpoint) -> Known {
        Known {
            registration: self.core.registration(&endpoint),
            presence: self.core.presence(now, &endpoint),
            identity: self.core.identity(&endpoint).cloned(),
            status: self.reconciler.status(&endpoint),
            unreadable: self.core.unreadable_of(&endpoint),
            endpoint,
        }
    }

    fn take_back(&mut self, state: &mut State, now: Now, back: Back) {
        match back {
            Back::Built(id, result) => self.reconciler.job_done(now, id, result),
            Back::Persisted(Asker::Core, id, result) => {
                state.open_commits -= 1;
                match result {
                    Ok(version) => self.core.handle(now, Input::Persisted(id, version)),
                    Err(error) => {
                        debug!(%error, "the store refused a batch");
                        self.core.handle(now, Input::PersistFailed(id, error));
                    }
                }
            }
            Back::Persisted(Asker::Reconciler, id, result) => {
                state.open_commits -= 1;
                let held = state.held.remove(&id).into_iter().flatten();
                match result {
                    Ok(_) => {
                        held.for_each(|(id, reply)| answer(state, id, Ok(reply)));
                        self.reconciler.persisted(now, id);
                    }
                    Err(error) => {
                        debug!(%error, "a device record could not be stored");
                        let why = match error {
                            StoreError::Full => NoAnswer::Full,
                            _ => NoAnswer::NotStored,
                        };
                        held.for_each(|(id, _)| answer(state, id, Err(why)));
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
                        identity,
                        bytes,
                    } => {
                        trace!(target: "tinsmith::coap", %peer, "> {}", describe(&bytes));
                        let outgoing = Outgoing {
                            to: peer,
                            identity,
                            bytes,
                        };
                        push(&mut state.outgoing, listener, outgoing);
                    }
                    Output::Persist(id, batch) => self.commit(state, Asker::Core, id, batch),
                    Output::Learned(listener, peer) => {
                        self.sorter.router.learn(listener, peer, self.index);
                    }
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
            Wanted::Answer(id, reply, None) => answer(state, id, Ok(reply)),
        }
    }

    fn commit(&self, state: &mut State, asker: Asker, id: PersistId, mut batch: Batch) {
        state.open_commits += 1;
        if let Some((number, window)) = state.cause {
            batch.ops.push(secure::received(number, window));
        }
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
        if let Event::Completed {
            endpoint,
            id,
            outcome,
        } = &event
            && id.0 >= SHELL_REQUESTS
        {
            match state.waiting.remove(id) {
                Some(answer) => drop(answer.send(Ok(outcome.clone()))),
                None => self.results.ended(now.wall, *id, endpoint, outcome),
            }
        }
        if self.told.receiver_count() > 0 {
            let _ = self.told.send(Told::Device(Arc::new(event)));
        }
    }
}

/// Waits until one of them has received something.
async fn any(inlets: &mut [Inlet]) -> &Inlet {
    match inlets {
        [management] => {
            management.receive().await;
            management
        }
        [management, bootstrap] => {
            tokio::select! {
                biased;
                () = management.receive() => management,
                () = bootstrap.receive() => bootstrap,
            }
        }
        [management, bootstrap, secure] => {
            tokio::select! {
                biased;
                () = management.receive() => management,
                () = secure.receive() => secure,
                () = bootstrap.receive() => bootstrap,
            }
        }
        [management, bootstrap, secure, secure_bootstrap, ..] => {
            tokio::select! {
                biased;
                () = management.receive() => management,
                () = secure.receive() => secure,
                () = bootstrap.receive() => bootstrap,
                () = secure_bootstrap.receive() => secure_bootstrap,
            }
        }
        [] => std::future::pending().await,
    }
}

fn push(outgoing: &mut [Vec<Outgoing>], listener: ListenerId, item: Outgoing) {
    if let Some(batch) = outgoing.get_mut(usize::from(listener.0)) {
        batch.push(item);
    }
}

fn answer(state: &mut State, id: AskId, reply: Answer<Reply>) {
    if let Some(answer) = state.asks.remove(&id) {
        let _ = answer.send(reply);
    }
}
