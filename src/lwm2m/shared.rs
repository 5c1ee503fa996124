//! What a shard's devices share: limits, randomness, requests, commits and what comes out.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tinsmith_coap::{
    Block, Endpoint as Coap, Instant, Numbering, OptionNumber, Parameters, RequestHandle,
};

use super::config::Limits;
use super::ends::End;
use super::hash::HashMap;
use super::kinds::Kinds;
use super::models::ModelSource;
use super::random::Random;
use super::types::{Endpoint, Event, Now, RequestId};
use super::{Identity, ListenerId, Output, Peer, PersistId};
use tinsmith_store::{Batch, Op};

/// Critical options that are understood in requests.
pub(super) const CRITICAL: [OptionNumber; 7] = [
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK1,
    OptionNumber::BLOCK2,
];

/// Room for one datagram of ours.
const DATAGRAM: usize = 1280;

/// A message of a device that is answered when a commit is durable.
#[derive(Clone, Copy)]
pub(super) struct Promise {
    /// Of the registration that it is about: a later one of the same device has another.
    pub(super) location: u64,
    pub(super) handle: RequestHandle,
    pub(super) block1: Option<Block>,
}

/// What a commit was for.
pub(super) enum Waiting {
    Register(Promise),
    Update(Promise),
    Deregister(Promise),
    /// A durable request may be sent.
    Request(RequestId),
    /// A durable request is forgotten: its end may be told.
    Completed(End),
    /// Numbers of a protected conversation may be used; the number names the record.
    Context(Identity, u64),
    /// A device that is bootstrapping may get its key.
    Issued(ListenerId, Peer),
    /// Nobody waits.
    Background(Endpoint),
}

/// Commits that are under way.
#[derive(Default)]
pub(super) struct Persists {
    pub(super) waiting: HashMap<PersistId, Waiting>,
    last: u64,
}

impl Persists {
    pub(super) fn persist(
        &mut self,
        out: &mut VecDeque<Output>,
        ops: Vec<Op>,
        waiting: Waiting,
    ) -> PersistId {
        self.last += 1;
        let id = PersistId(self.last);
        self.waiting.insert(id, waiting);
        let batch = Batch {
            expect: Vec::new(),
            ops,
        };
        out.push_back(Output::Persist(id, batch));
        id
    }
}

/// What all devices of a shard use.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) models: ModelSource,
    pub(super) kinds: Kinds,
    numbering: Numbering,
    pub(super) random: Random,
    /// The device of each request that is not over.
    pub(super) requests: HashMap<RequestId, Endpoint>,
    pub(super) persists: Persists,
    pub(super) out: VecDeque<Output>,
    /// Room for one datagram.
    pub(super) buffer: Box<[u8]>,
}

impl Shared {
    pub(super) fn new(
        limits: Limits,
        models: ModelSource,
        numbering: Numbering,
        seed: [u8; 32],
    ) -> Self {
        Shared {
            limits,
            models,
            kinds: Kinds::default(),
            numbering,
            random: Random::new(seed),
            requests: HashMap::default(),
            persists: Persists::default(),
            out: VecDeque::new(),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        }
    }

    pub(super) fn at(&mut self, now: Now) -> Context<'_> {
        Context {
            now,
            out: &mut self.out,
            requests: &mut self.requests,
            persists: &mut self.persists,
            random: &mut self.random,
            buffer: &mut self.buffer,
            limits: &self.limits,
            models: &self.models,
            kinds: &mut self.kinds,
            numbering: self.numbering,
        }
    }
}

/// The CoAP state of one peer.
pub(super) type PeerCoap = Coap<Vec<u8>, Vec<u8>, 2, 4>;

/// What a device needs of its shard.
pub(super) struct Context<'s> {
    pub(super) now: Now,
    pub(super) out: &'s mut VecDeque<Output>,
    /// The device of each request that is not over.
    pub(super) requests: &'s mut HashMap<RequestId, Endpoint>,
    pub(super) persists: &'s mut Persists,
    pub(super) random: &'s mut Random,
    /// Room for one datagram.
    pub(super) buffer: &'s mut [u8],
    pub(super) limits: &'s Limits,
    pub(super) models: &'s ModelSource,
    pub(super) kinds: &'s mut Kinds,
    /// Top bits of our message ids.
    pub(super) numbering: Numbering,
}

impl Context<'_> {
    pub(super) fn at(&self) -> Instant {
        Instant::from_millis(self.now.mono)
    }

    pub(super) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// The registration of this peer was answered.
    pub(super) fn learned(&mut self, (listener, peer): (ListenerId, Peer)) {
        self.out.push_back(Output::Learned(listener, peer));
    }

    /// Stores something; what waits for it is told when it is durable.
    pub(super) fn persist(&mut self, ops: Vec<Op>, waiting: Waiting) -> PersistId {
        self.persists.persist(self.out, ops, waiting)
    }

    /// Sends what is in the buffer.
    pub(super) fn transmit(
        &mut self,
        (listener, peer): (ListenerId, Peer),
        identity: &Identity,
        len: usize,
    ) {
        let bytes = self.buffer[..len].to_vec();
        self.out.push_back(Output::Transmit {
            listener,
            peer,
            identity: identity.clone(),
            bytes,
        });
    }

    pub(super) fn coap(&mut self) -> PeerCoap {
        let parameters = Parameters {
            response_timeout_ms: self.limits.response_timeout,
            ..Parameters::RFC7252
        };
        PeerCoap::new(parameters, self.numbering, self.random.next_u32())
    }
}

/// Where a request came from.
#[derive(Clone, Copy)]
pub(super) struct Source<'i> {
    pub(super) listener: ListenerId,
    pub(super) peer: Peer,
    pub(super) identity: &'i Identity,
    pub(super) management: Option<SocketAddr>,
    /// Of its datagram.
    pub(super) bytes: usize,
}
