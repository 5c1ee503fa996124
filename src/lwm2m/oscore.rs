//! Devices with OSCORE (RFC 8613): a table of contexts, by the ID that a device's messages carry.

use std::fmt;

use serde::{Deserialize, Serialize};
use tinsmith_coap::{Message, OptionNumber};
use tinsmith_oscore::{Master, Opened, OscoreOption, Peer, Refusal, Reservation, SoftAes, Start};
use tracing::debug;

use super::hash::HashMap;
use super::security::{MessageSecurity, Secured};
use super::types::Endpoint;
use super::{Identity, bucket};
use tinsmith_store::{Key, Kind, Op, RecordError, decode, encode};

/// Numbers that are reserved at a time.
const STEP: u64 = 1024;
/// With fewer left the next are reserved.
const LOW: u64 = 256;
/// Longest datagram, in bytes.
const DATAGRAM: usize = 2048;

/// Requests and observations of ours, and requests of the device, whose exchanges are remembered.
type Context = Peer<24, 4>;

const SCHEMA: u16 = 1;

/// What is stored of a context.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
struct Record {
    /// As its crate writes it.
    context: Vec<u8>,
}

/// A device and its context.
struct Entry {
    endpoint: Endpoint,
    identity: Identity,
    context: Box<Context>,
    /// Numbers that may be used when the record with them is durable.
    storing: Option<Reservation>,
    /// Which keys the last record was of.
    stored: Option<u32>,
}

/// Why a context was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OscoreError {
    /// There are as many as there may be.
    #[error("too many OSCORE contexts")]
    Full,
    /// Another device has this recipient id.
    #[error("the recipient id is another device's")]
    Taken,
    /// The device has a context already.
    #[error("the device has a context")]
    Endpoint,
    /// Its record can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What is in the record can't be.
    #[error("{0}")]
    Stored(tinsmith_oscore::StoredError),
}

/// The contexts of devices, each for one endpoint, as a configuration gives them. What changes of
/// them, the sender's numbers and an ID Context that was agreed on, is in records of the kind
/// [`Kind::OSCORE`]; secrets are not.
pub struct OscorePeers {
    entries: HashMap<Vec<u8>, Entry>,
    /// The recipient id of each endpoint.
    ids: HashMap<Endpoint, Vec<u8>>,
    limit: usize,
    /// Recipient ids of contexts that may have something to store.
    touched: Vec<Vec<u8>>,
    buffer: Box<[u8]>,
}

impl OscorePeers {
    /// A table for so many contexts.
    pub fn new(limit: usize) -> Self {
        OscorePeers {
            entries: HashMap::default(),
            ids: HashMap::default(),
            limit,
            touched: Vec::new(),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        }
    }

    /// The record of an endpoint's context.
    pub fn key(endpoint: &str) -> Key {
        Key::new(Kind::OSCORE, endpoint)
    }

    /// Adds the context of a device. `stored` is its record; without one its keys were never used.
    pub fn add(
        &mut self,
        endpoint: Endpoint,
        master: Master,
        stored: Option<&[u8]>,
    ) -> Result<(), OscoreError> {
        if self.ids.contains_key(&endpoint) {
            return Err(OscoreError::Endpoint);
        }
        if self.entries.len() >= self.limit {
            return Err(OscoreError::Full);
        }
        let id = master.recipient().to_vec();
        if self.entries.contains_key(&id) {
            return Err(OscoreError::Taken);
        }
        let stored = stored.map(|bytes| decode::<Record>(SCHEMA..=SCHEMA, bytes));
        let stored = stored.transpose()?;
        let start = stored
            .as_ref()
            .map_or(Start::Fresh, |stored| Start::Stored(&stored.context));
        let context = Peer::new(master, start).map_err(OscoreError::Stored)?;
        let entry = Entry {
            endpoint: endpoint.clone(),
            identity: Identity::Oscore(id.clone()),
            context: Box::new(context),
            storing: None,
            stored: None,
        };
        // So that the first message can be sent when it comes.
        self.touched.push(id.clone());
        self.ids.insert(endpoint, id.clone());
        self.entries.insert(id, entry);
        Ok(())
    }

    /// Forgets a device's context. False if it has none.
    pub fn remove(&mut self, endpoint: &str) -> bool {
        let Some(id) = self.ids.remove(endpoint) else {
            return false;
        };
        self.entries.remove(&id).is_some()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bucket of each recipient id: requests name their device by it.
    pub fn buckets(&self) -> impl Iterator<Item = (&[u8], u8)> {
        let entries = self.entries.iter();
        entries.map(|(id, entry)| (id.as_slice(), bucket(&entry.endpoint)))
    }

    fn entry(&mut self, identity: &Identity) -> Option<&mut Entry> {
        match identity {
            Identity::Oscore(id) => self.entries.get_mut(id),
            _ => None,
        }
    }

    /// Whose context a protected message is to be opened with.
    fn whose(message: &Message<'_>, asked: Option<&Identity>) -> Option<Vec<u8>> {
        if !message.code().is_request() {
            return match asked {
                Some(Identity::Oscore(id)) => Some(id.clone()),
                _ => None,
            };
        }
        let value = message.option(OptionNumber::OSCORE)?;
        OscoreOption::decode(value)?.kid.map(<[u8]>::to_vec)
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
        let is_known = OscoreOption::decode(value).is_some();
        let id = Self::whose(&message, asked);
        let Some(id) = id.filter(|id| self.entries.contains_key(id)) else {
            let why = match is_known {
                true => Refusal::NoContext,
                false => Refusal::Cose,
            };
            return self.refuse(&message, why, random);
        };
        let Some(entry) = self.entries.get_mut(&id) else {
            return Secured::Dropped;
        };
        let mut bytes = datagram.to_vec();
        let aes = &mut SoftAes::new();
        let opened = entry
            .context
            .open(aes, random, &mut bytes, &mut self.buffer);
        let identity = entry.identity.clone();
        self.touched.push(id);
        match opened {
            Opened::Message(message) => Secured::Message {
                identity,
                bytes: self.buffer[..message.len].to_vec(),
                repeated: message.repeated,
                again: message.again,
            },
            Opened::Answer { len, why } => {
                debug!(?why, "a protected request is not taken");
                Secured::Answer(self.buffer[..len].to_vec())
            }
            Opened::Unprotected => Secured::Plain,
            Opened::Dropped(why) => {
                debug!(%why, "a protected message is dropped");
                Secured::Dropped
            }
        }
    }

    fn seal(&mut self, identity: &Identity, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut out = std::mem::take(&mut self.buffer);
        let entry = self.entry(identity);
        let sealed = entry.map(|entry| {
            let sealed = entry.context.seal(&mut SoftAes::new(), datagram, &mut out);
            if let Err(error) = &sealed {
                debug!(%error, endpoint = %entry.endpoint, "a message can't be protected");
            }
            sealed
        });
        let sealed = sealed.and_then(Result::ok);
        let sealed = sealed.map(|len| out[..len].to_vec());
        self.buffer = out;
        if let Identity::Oscore(id) = identity {
            self.touched.push(id.clone());
        }
        sealed
    }

    fn identity_of(&self, endpoint: &str) -> Option<&Identity> {
        let id = self.ids.get(endpoint)?;
        self.entries.get(id).map(|entry| &entry.identity)
    }

    fn to_store(&mut self) -> Option<(Identity, Op)> {
        while let Some(id) = self.touched.pop() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let generation = entry.context.generation();
            let is_new = entry.stored.is_some_and(|stored| stored != generation);
            let is_low = entry.context.numbers_left() < LOW;
            if entry.storing.is_some() || !(is_low || is_new) {
                continue;
            }
            entry.storing = Some(entry.context.reserve(STEP));
            entry.stored = Some(generation);
            let mut record = [0; tinsmith_oscore::MAX_ENCODED];
            let Ok(len) = entry.context.encode(&mut record) else {
                continue;
            };
            let context = record[..len].to_vec();
            let Ok(record) = encode(SCHEMA, &Record { context }) else {
                continue;
            };
            let op = Op::Put(Self::key(&entry.endpoint), record);
            return Some((entry.identity.clone(), op));
        }
        None
    }

    fn stored(&mut self, identity: &Identity, durable: bool) {
        let Some(entry) = self.entry(identity) else {
            return;
        };
        let reservation = entry.storing.take();
        match reservation {
            Some(reservation) if durable => entry.context.confirm_reserved(reservation),
            // The next message tries it again.
            _ => entry.stored = None,
        }
        if durable && let Identity::Oscore(id) = identity {
            // There may be other keys meanwhile.
            self.touched.push(id.clone());
        }
    }
}

impl fmt::Debug for OscorePeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OscorePeers")
            .field("contexts", &self.entries.len())
            .finish_non_exhaustive()
    }
}
