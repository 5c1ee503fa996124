//! Messages that are protected above the transport: what the shard does around them. It sees plain
//! messages with an identity.

use std::sync::Arc;

use tinsmith_coap::{Code, Message, MessageType, stateless};

use super::contexts::OscoreContexts;
use super::device::Device;
use super::oscore::OscorePeers;
use super::protection::Held;
use super::security::{Sealed, Secured};
use super::shard::Shard;
use super::shared::{Source, Waiting};
use super::types::Now;
use super::{Identity, ListenerId, Output, Role};

impl Shard {
    /// Takes messages that are protected with OSCORE (RFC 8613) and protects those to who sends them,
    /// with these contexts.
    #[must_use]
    pub fn with_oscore(mut self, contexts: Arc<dyn OscoreContexts>) -> Self {
        let peers = OscorePeers::new(contexts, self.index, self.shards);
        self.protection.security = Some(Box::new(peers));
        self
    }

    pub(super) fn is_protecting(&self) -> bool {
        self.protection.security.is_some()
    }

    /// Whether a message of this identity may be of this endpoint.
    pub(super) fn may_be(&self, endpoint: &str, identity: &Identity) -> bool {
        let access = self.access.as_ref();
        access.is_none_or(|access| access.may_be(identity, endpoint))
            && self.is_own(endpoint, identity)
    }

    /// A context is good for its device only.
    fn is_own(&self, endpoint: &str, identity: &Identity) -> bool {
        let security = self.protection.security.as_ref();
        match (identity, security) {
            (Identity::Oscore(_), Some(security)) => {
                security.endpoint_of(identity).as_deref() == Some(endpoint)
            }
            _ => true,
        }
    }

    /// Why who sends may not go on with a registration: it is another's, or its name has got a
    /// context since and belongs to who has that.
    pub(super) fn refused(&self, index: u32, identity: &Identity) -> Option<Code> {
        let device = self.registry.get(index)?;
        let is_oscore = |identity: &Identity| matches!(identity, Identity::Oscore(_));
        let own = &device.link().identity;
        if own != identity {
            return Some(match is_oscore(own) || is_oscore(identity) {
                true => Code::FORBIDDEN,
                false => Code::BAD_REQUEST,
            });
        }
        let is_its = !self.is_protecting() || self.may_be(device.endpoint(), identity);
        (!is_its).then_some(Code::FORBIDDEN)
    }

    /// An identity is not good any more: what was asked of it gets no answer.
    pub(super) fn revoked(&mut self, now: Now, identity: &Identity) {
        let endpoint = match &mut self.protection.security {
            Some(security) => {
                security.forget(identity);
                security.endpoint_of(identity)
            }
            None => None,
        };
        self.protection.held.remove(identity);
        if endpoint.is_some() {
            // It has been given anew.
            return;
        }
        let its = |device: &&Device| device.link().identity == *identity;
        let endpoint = self.registry.iter().find(its).map(Device::endpoint);
        let index = endpoint.and_then(|endpoint| self.registry.by_endpoint(endpoint));
        if let Some(index) = index {
            self.with(now, index, |device, cx| device.unanswered(cx));
        }
    }

    /// The next thing to carry out, protected.
    pub(super) fn poll_secured(&mut self) -> Option<Output> {
        loop {
            self.store_contexts();
            let output = self.shared.out.pop_front()?;
            let Output::Transmit {
                listener,
                peer,
                identity: identity @ Identity::Oscore(_),
                bytes,
            } = output
            else {
                return Some(output);
            };
            let sealed = match &mut self.protection.security {
                Some(security) => security.seal(&identity, &bytes),
                None => Sealed::Lost,
            };
            match sealed {
                Sealed::Bytes(bytes) => {
                    return Some(Output::Transmit {
                        listener,
                        peer,
                        identity: Identity::None,
                        bytes,
                    });
                }
                Sealed::Later => {
                    let held = Held::Out {
                        listener,
                        peer,
                        bytes,
                    };
                    self.protection.hold(&identity, held);
                }
                Sealed::Lost => {}
            }
        }
    }

    fn store_contexts(&mut self) {
        let Some(security) = &mut self.protection.security else {
            return;
        };
        while let Some(record) = security.to_store() {
            let waiting = Waiting::Context(record.identity, record.number);
            let shared = &mut self.shared;
            let ops = vec![record.op];
            shared.persists.persist(&mut shared.out, ops, waiting);
        }
    }

    pub(super) fn context_stored(
        &mut self,
        now: Now,
        identity: &Identity,
        number: u64,
        durable: bool,
    ) {
        if let Some(security) = &mut self.protection.security {
            security.stored(identity, number, durable);
        }
        let held = self.protection.held.remove(identity);
        for message in held.into_iter().flatten().filter(|_| durable) {
            match message {
                Held::In {
                    listener,
                    peer,
                    management,
                    bytes,
                } => {
                    let from = Source {
                        listener,
                        peer,
                        identity: &Identity::None,
                        management,
                        bytes: bytes.len(),
                    };
                    self.secured(now, from, &bytes);
                }
                Held::Out {
                    listener,
                    peer,
                    bytes,
                } => self.shared.out.push_back(Output::Transmit {
                    listener,
                    peer,
                    identity: identity.clone(),
                    bytes,
                }),
            }
        }
    }

    /// A datagram without identity.
    pub(super) fn secured(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        let asked = self.asked(from, bytes);
        let Some(security) = &mut self.protection.security else {
            return self.plain(now, from, bytes);
        };
        let random = &mut self.shared.random;
        let mut fill = |place: &mut [u8]| {
            for place in place.chunks_mut(8) {
                let bytes = random.next_u64().to_be_bytes();
                place.copy_from_slice(&bytes[..place.len()]);
            }
        };
        match security.open(&mut fill, asked.as_ref(), bytes) {
            // An acknowledgement or a reset can't be protected.
            Secured::Plain if bytes.get(1) == Some(&Code::EMPTY.byte()) => {
                let identity = asked.as_ref().unwrap_or(from.identity);
                self.plain(now, Source { identity, ..from }, bytes);
            }
            Secured::Plain => self.plain(now, from, bytes),
            Secured::Message {
                identity,
                bytes,
                repeated,
                again,
            } => {
                let identity = &identity;
                let from = Source { identity, ..from };
                if repeated {
                    return self.repeated(now, from, &bytes);
                }
                self.follow(now, from, &bytes);
                match again {
                    true => self.again(now, from, &bytes),
                    false => self.plain(now, from, &bytes),
                }
            }
            Secured::Answer(bytes) => self.transmit_vec(from, bytes),
            Secured::Later(identity) => {
                let held = Held::In {
                    listener: from.listener,
                    peer: from.peer,
                    management: from.management,
                    bytes: bytes.to_vec(),
                };
                self.protection.hold(&identity, held);
            }
            Secured::Dropped => self.unopened(now, from, bytes),
        }
    }

    /// Who a response, an acknowledgement or a reset may be of, if its messages are protected.
    fn asked(&self, from: Source<'_>, bytes: &[u8]) -> Option<Identity> {
        self.protection.security.as_ref()?;
        let message = Message::parse(bytes).ok()?;
        if message.code().is_request() {
            return None;
        }
        if message.code().is_response() {
            return self.protection.security.as_ref()?.asked(message.token());
        }
        let identity = match self.role(from.listener) {
            Some(Role::Bootstrap) => self.bootstrap.identity((from.listener, from.peer))?,
            _ => match self.registry.by_peer(from.listener, from.peer) {
                [only] => &self.registry.get(*only)?.link().identity,
                _ => return None,
            },
        };
        matches!(identity, Identity::Oscore(_)).then(|| identity.clone())
    }

    fn role(&self, listener: ListenerId) -> Option<Role> {
        self.roles.get(usize::from(listener.0)).copied()
    }

    /// The device that an identity is registered as.
    fn device_of(&self, identity: &Identity) -> Option<u32> {
        let endpoint = self.protection.security.as_ref()?.endpoint_of(identity)?;
        let index = self.registry.by_endpoint(&endpoint)?;
        let device = self.registry.get(index)?;
        (device.link().identity == *identity).then_some(index)
    }

    /// A response of a device that is new and authentic shows where it is now.
    fn follow(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        let is_response = Message::parse(bytes).is_ok_and(|message| message.code().is_response());
        if !is_response || self.role(from.listener) != Some(Role::Management) {
            return;
        }
        let Some(index) = self.device_of(from.identity) else {
            return;
        };
        let route = (from.listener, from.peer);
        let is_there = |device: &Device| device.link().route() == route;
        if self.registry.get(index).is_none_or(is_there) {
            return;
        }
        self.registry.change(index, |mut device| {
            device.follow(from.listener, from.peer);
            device
        });
        self.shared.at(now).learned(route);
        self.count(now, index);
    }

    /// A response that can't be opened. One to an observation from before a restart is answered by
    /// observing anew; one that nobody waits for is to end (RFC 7641 §3.6).
    fn unopened(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let token = message.token();
        let security = self.protection.security.as_ref();
        let is_known = security.is_some_and(|security| security.asked(token).is_some());
        if !message.code().is_response() || message.observe().is_none() || is_known {
            return;
        }
        let candidates = self.registry.by_peer(from.listener, from.peer).to_vec();
        for index in candidates {
            let device = self.registry.get(index);
            if device.is_some_and(|device| device.owns(token)) {
                return self.with(now, index, |device, cx| device.observe_anew(cx, token));
            }
        }
        if message.message_type() == MessageType::Confirmable {
            self.transmit_vec(from, stateless::reset(&message).to_vec());
        }
    }

    /// A message that was there before: the answer to it may be repeated.
    fn repeated(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let key = (from.listener, from.peer);
        if self.role(from.listener) == Some(Role::Bootstrap) {
            let mut cx = self.shared.at(now);
            return self
                .bootstrap
                .repeated(&mut cx, key, from.identity, message);
        }
        let index = self.device_of(from.identity);
        let is_there = |index: &u32| {
            let device = self.registry.get(*index);
            device.is_some_and(|device| device.link().route() == key)
        };
        if let Some(index) = index.filter(is_there) {
            self.with(now, index, |device, cx| device.repeated(cx, message));
        }
    }

    /// A request of ours is to be sent once more.
    fn again(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let key = (from.listener, from.peer);
        if self.role(from.listener) == Some(Role::Bootstrap) {
            let mut cx = self.shared.at(now);
            return self.bootstrap.again(&mut cx, key, from, message);
        }
        if let Some(index) = self.device_of(from.identity) {
            self.with(now, index, |device, cx| {
                device.again(cx, message, from.bytes);
            });
        }
    }
}
