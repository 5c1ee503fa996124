//! Devices with OSCORE (RFC 8613): their contexts while this process runs, by the ID that a device's
//! messages carry.

use std::collections::VecDeque;
use std::sync::Arc;

use tinsmith_coap::{Code, Message, OptionNumber, Token};
use tinsmith_oscore::{
    Opened, OscoreOption, Peer, Refusal, Reservation, SealError, SoftAes, Start,
};
use tracing::{debug, warn};

use super::contexts::{OscoreContext, OscoreContexts, OscoreStart, kid};
use super::hash::HashMap;
use super::security::{MessageSecurity, Sealed, Secured, ToStore};
use super::types::Endpoint;
use super::{Identity, bucket};

/// Numbers that are reserved at a time.
const STEP: u64 = 1024;
/// With fewer left the next are reserved.
const LOW: u64 = 256;
/// Longest datagram, in bytes.
const DATAGRAM: usize = 2048;
/// Requests and observations of ours whose exchanges are remembered.
const ASKED: usize = 32;

type Context = Peer<ASKED, 4>;

/// A device and its context.
struct Entry {
    of: Arc<OscoreContext>,
    identity: Identity,
    context: Box<Context>,
    /// Numbers that may be used when the record with them is durable.
    storing: Option<(u64, Reservation)>,
    /// Which keys the last record was of.
    stored: Option<u32>,
    /// Tokens of the requests that were sealed last.
    tokens: VecDeque<Token>,
}

impl Entry {
    fn new(id: &[u8], of: Arc<OscoreContext>) -> Self {
        let start = match &of.start {
            OscoreStart::Fresh => Start::Fresh,
            OscoreStart::Lost => Start::Lost,
            OscoreStart::Stored(bytes) => Start::Stored(bytes),
        };
        let master = || of.master.clone();
        let context = Peer::new(master(), start).unwrap_or_else(|error| {
            warn!(endpoint = %of.endpoint, %error, "an OSCORE context is taken for lost");
            Peer::lost(master())
        });
        Entry {
            identity: Identity::Oscore(id.to_vec()),
            context: Box::new(context),
            of,
            storing: None,
            stored: None,
            tokens: VecDeque::new(),
        }
    }

    /// No number can be used, but some can when they are stored.
    fn waits_for_store(&self) -> bool {
        self.context.numbers_left() == 0 && self.context.can_reserve()
    }
}

/// The contexts of a shard's devices. One is made when it is needed first, so that they take memory
/// only for devices that were there; it goes when it is taken away.
pub(super) struct OscorePeers {
    contexts: Arc<dyn OscoreContexts>,
    /// Which devices are this shard's: `bucket % shards`.
    index: u8,
    shards: u8,
    entries: HashMap<Vec<u8>, Entry>,
    /// The ID of who was asked with a token.
    asked: HashMap<Token, Vec<u8>>,
    /// IDs of contexts that may have something to store.
    touched: Vec<Vec<u8>>,
    last_number: u64,
    buffer: Box<[u8]>,
}

impl OscorePeers {
    pub(super) fn new(contexts: Arc<dyn OscoreContexts>, index: u8, shards: u8) -> Self {
        OscorePeers {
            contexts,
            index,
            shards: shards.max(1),
            entries: HashMap::default(),
            asked: HashMap::default(),
            touched: Vec::new(),
            last_number: 0,
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        }
    }

    /// The context of an ID as it is now. A context must be in one shard only.
    fn entry(&mut self, id: &[u8]) -> Option<&mut Entry> {
        let now = self.contexts.context(id);
        let now = now.filter(|of| bucket(&of.endpoint) % self.shards == self.index);
        let Some(of) = now else {
            self.remove(id);
            return None;
        };
        let is_same = |entry: &Entry| Arc::ptr_eq(&entry.of, &of);
        if !self.entries.get(id).is_some_and(is_same) {
            self.remove(id);
            self.entries.insert(id.to_vec(), Entry::new(id, of));
            // So that its first message can be sent when it comes.
            self.touched.push(id.to_vec());
        }
        self.entries.get_mut(id)
    }

    fn remove(&mut self, id: &[u8]) {
        if let Some(entry) = self.entries.remove(id) {
            for token in entry.tokens {
                self.asked.remove(&token);
            }
        }
    }

    /// Remembers whom a request goes to.
    fn ask(&mut self, id: &[u8], token: Token) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if self.asked.get(&token).is_some_and(|known| known == id) {
            return;
        }
        if entry.tokens.len() >= 2 * ASKED {
            let (tokens, context) = (&mut entry.tokens, &entry.context);
            tokens.retain(|token| {
                let waits = context.waits_for(*token);
                if !waits {
                    self.asked.remove(token);
                }
                waits
            });
        }
        entry.tokens.push_back(token);
        self.asked.insert(token, id.to_vec());
    }

    fn refuse(
        &mut self,
        message: &Message<'_>,
        why: Refusal,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Secured {
        if !message.code().is_request() {
            return Secured::Dropped;
        }
        let mut id = [0; 2];
        random(&mut id);
        let made = why.write(message, u16::from_be_bytes(id), &mut self.buffer);
        made.map_or(Secured::Dropped, |len| {
            Secured::Answer(self.buffer[..len].to_vec())
        })
    }
}

impl MessageSecurity for OscorePeers {
    fn open(
        &mut self,
        random: &mut dyn FnMut(&mut [u8]),
        asked: Option<&Identity>,
        datagram: &[u8],
    ) -> Secured {
        let Ok(message) = Message::parse(datagram) else {
            return Secured::Plain;
        };
        let Some(value) = message.option(OptionNumber::OSCORE) else {
            return Secured::Plain;
        };
        if message.code() == Code::EMPTY {
            return Secured::Dropped;
        }
        let id = match (message.code().is_request(), asked) {
            (true, _) => kid(&message),
            (false, Some(Identity::Oscore(id))) => Some(id.clone()),
            (false, _) => None,
        };
        let mut out = std::mem::take(&mut self.buffer);
        let entry = id.as_ref().and_then(|id| self.entry(id));
        let opened = entry.map(|entry| {
            if entry.waits_for_store() {
                return Secured::Later(entry.identity.clone());
            }
            let mut bytes = datagram.to_vec();
            let aes = &mut SoftAes::new();
            let opened = entry.context.open(aes, random, &mut bytes, &mut out);
            match opened {
                Opened::Message(message) => Secured::Message {
                    identity: entry.identity.clone(),
                    bytes: out[..message.len].to_vec(),
                    repeated: message.repeated,
                    again: message.again,
                },
                Opened::Answer { len, why } => {
                    debug!(?why, "a protected request is not taken");
                    Secured::Answer(out[..len].to_vec())
                }
                Opened::Unprotected => Secured::Plain,
                Opened::Dropped(why) => {
                    debug!(%why, "a protected message is dropped");
                    Secured::Dropped
                }
            }
        });
        self.buffer = out;
        match (opened, id) {
            (Some(opened), Some(id)) => {
                self.touched.push(id);
                opened
            }
            _ => {
                let why = match OscoreOption::decode(value) {
                    Some(_) => Refusal::NoContext,
                    None => Refusal::Cose,
                };
                self.refuse(&message, why, random)
            }
        }
    }

    fn seal(&mut self, identity: &Identity, datagram: &[u8]) -> Sealed {
        let Identity::Oscore(id) = identity else {
            return Sealed::Lost;
        };
        let mut out = std::mem::take(&mut self.buffer);
        let sealed = self.entry(id).map(|entry| {
            let sealed = entry.context.seal(&mut SoftAes::new(), datagram, &mut out);
            match sealed {
                Ok(len) => Sealed::Bytes(out[..len].to_vec()),
                Err(SealError::Unreserved) if entry.waits_for_store() => Sealed::Later,
                Err(error) => {
                    debug!(%error, endpoint = %entry.of.endpoint, "a message can't be protected");
                    Sealed::Lost
                }
            }
        });
        self.buffer = out;
        if let Ok(message) = Message::parse(datagram)
            && message.code().is_request()
            && matches!(sealed, Some(Sealed::Bytes(_)))
        {
            self.ask(id, message.token());
        }
        self.touched.push(id.clone());
        sealed.unwrap_or(Sealed::Lost)
    }

    fn asked(&self, token: Token) -> Option<Identity> {
        self.asked.get(&token).cloned().map(Identity::Oscore)
    }

    fn endpoint_of(&self, identity: &Identity) -> Option<Endpoint> {
        let Identity::Oscore(id) = identity else {
            return None;
        };
        let context = self.contexts.context(id)?;
        Some(context.endpoint.clone())
    }

    fn to_store(&mut self) -> Option<ToStore> {
        while let Some(id) = self.touched.pop() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let generation = entry.context.generation();
            let is_new = entry.stored.is_some_and(|stored| stored != generation);
            let is_low = entry.context.numbers_left() < LOW;
            let is_due = (is_low || is_new) && entry.context.can_reserve();
            if entry.storing.is_some() || !is_due {
                continue;
            }
            let reservation = entry.context.reserve(STEP);
            let mut encoded = [0; tinsmith_oscore::MAX_ENCODED];
            let Ok(len) = entry.context.encode(&mut encoded) else {
                continue;
            };
            let Some(op) = self.contexts.record(&entry.of, &encoded[..len]) else {
                continue;
            };
            self.last_number += 1;
            entry.storing = Some((self.last_number, reservation));
            entry.stored = Some(generation);
            return Some(ToStore {
                identity: entry.identity.clone(),
                number: self.last_number,
                op,
            });
        }
        None
    }

    fn stored(&mut self, identity: &Identity, number: u64, durable: bool) {
        let Identity::Oscore(id) = identity else {
            return;
        };
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let Some((_, reservation)) = entry.storing.take_if(|(its, _)| *its == number) else {
            return;
        };
        if durable {
            entry.context.confirm_reserved(reservation);
            // There may be other keys meanwhile.
            self.touched.push(id.clone());
        } else {
            // The next message tries it again.
            entry.stored = None;
        }
    }

    fn forget(&mut self, identity: &Identity) {
        if let Identity::Oscore(id) = identity {
            self.remove(id);
        }
    }
}
