//! Messages that are protected above the transport: what the shard does around them. It sees plain
//! messages with an identity.

use tinsmith_coap::{Code, Message};

use super::security::{MessageSecurity, Secured};
use super::shard::Shard;
use super::shared::{Source, Waiting};
use super::types::Now;
use super::{Identity, Output};

impl Shard {
    /// From now on messages are protected by this. Before the first input.
    pub fn protect(&mut self, security: Box<dyn MessageSecurity>) {
        self.security = Some(security);
    }

    /// Whether a message of this identity may be of this endpoint.
    pub(super) fn may_be(&self, endpoint: &str, identity: &Identity) -> bool {
        let Some(security) = &self.security else {
            return true;
        };
        match security.identity_of(endpoint) {
            Some(must) => must == identity,
            None => !matches!(identity, Identity::Oscore(_)),
        }
    }

    /// The same of a device.
    pub(super) fn may_be_device(&self, index: u32, identity: &Identity) -> bool {
        let device = self.registry.get(index);
        device.is_some_and(|device| self.may_be(device.endpoint(), identity))
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
            let (identity, bytes) = match &mut self.security {
                Some(security) => match security.seal(&identity, &bytes) {
                    Some(bytes) => (Identity::None, bytes),
                    None => continue,
                },
                // Who gave it does this.
                None => (identity, bytes),
            };
            return Some(Output::Transmit {
                listener,
                peer,
                identity,
                bytes,
            });
        }
    }

    fn store_contexts(&mut self) {
        let Some(security) = &mut self.security else {
            return;
        };
        while let Some((identity, op)) = security.to_store() {
            let waiting = Waiting::Context(identity);
            let shared = &mut self.shared;
            shared.persists.persist(&mut shared.out, vec![op], waiting);
        }
    }

    pub(super) fn context_stored(&mut self, identity: &Identity, durable: bool) {
        if let Some(security) = &mut self.security {
            security.stored(identity, durable);
        }
    }

    /// A datagram without identity.
    pub(super) fn secured(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        let asked = self.asked(from, bytes);
        let Some(security) = &mut self.security else {
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
                match repeated || again {
                    true => self.at_device(now, from, &bytes, again),
                    false => self.plain(now, from, &bytes),
                }
            }
            Secured::Answer(bytes) => self.transmit_vec(from, bytes),
            Secured::Dropped => {}
        }
    }

    /// The device that a response, an acknowledgement or a reset may be of, if its messages are
    /// protected.
    fn asked(&self, from: Source<'_>, bytes: &[u8]) -> Option<Identity> {
        let message = Message::parse(bytes).ok()?;
        if message.code().is_request() {
            return None;
        }
        let candidates = self.registry.by_peer(from.listener, from.peer);
        let mut devices = candidates
            .iter()
            .filter_map(|index| self.registry.get(*index));
        let device = match candidates {
            [_] => devices.next(),
            _ => devices.find(|device| device.owns(message.token())),
        };
        let identity = &device?.link().identity;
        matches!(identity, Identity::Oscore(_)).then(|| identity.clone())
    }

    /// A message that was there before, or a request of ours that is to be sent once more.
    fn at_device(&mut self, now: Now, from: Source<'_>, bytes: &[u8], again: bool) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let candidates = self.registry.by_peer(from.listener, from.peer).to_vec();
        for index in candidates {
            self.with(now, index, |device, cx| {
                if device.link().identity != *from.identity {
                } else if again {
                    device.again(cx, message, from.bytes);
                } else {
                    device.repeated(cx, message);
                }
            });
        }
    }
}
