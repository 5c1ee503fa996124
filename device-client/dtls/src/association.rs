//! What is left of a handshake.

use core::fmt;

use crate::aead::Aead;
use crate::aes::Aes;
use crate::alert::Alert;
use crate::cid::Cid;
use crate::keys::Keys;
use crate::protection::{OpenError, Protection, SealError};
use crate::record::{ContentType, Header, Number, TLS12_CID};
use crate::window::{Refused, Window};

/// The epoch of everything after the handshake; there is no other, as nobody renegotiates.
pub const EPOCH: u16 = 1;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We asked for the handshake.
    Client,
    /// We were asked.
    Server,
}

/// What an association starts from.
#[derive(Debug)]
pub struct Start<'k> {
    /// Which end we are.
    pub role: Role,
    /// The keys of both directions.
    pub keys: &'k Keys,
    /// The Connection ID of records to us; empty if none was agreed.
    pub own_cid: Cid,
    /// The Connection ID of records to the peer; empty if none was agreed.
    pub peer_cid: Cid,
    /// The first sequence number that was not yet used, in epoch 1. The Finished has had one.
    pub next_number: u64,
    /// What was received in epoch 1.
    pub received: Window,
}

/// Two keys, and which numbers are behind us. After 2^48 records or an alert that
/// [ends](Alert::ends) it, it is dropped; its keys are overwritten then.
#[derive(Clone, PartialEq, Eq)]
pub struct Association {
    pub(crate) role: Role,
    pub(crate) read: Protection,
    pub(crate) write: Protection,
    pub(crate) own_cid: Cid,
    pub(crate) peer_cid: Cid,
    pub(crate) received: Window,
    /// The next number to write.
    pub(crate) next: u64,
    /// Numbers below this one may be used.
    pub(crate) usable: u64,
    /// Numbers below this one may be used when the mark is durable: what is written down.
    pub(crate) reserved: u64,
}

/// Numbers end here: 2^48.
pub(crate) const NUMBERS: u64 = Number::LAST_SEQUENCE + 1;

/// A record that was authentic and new.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'r> {
    /// Its sequence number.
    pub sequence: u64,
    /// No record with a higher number came before. Only such a record may move the peer to
    /// another address (RFC 9146 §6).
    pub newest: bool,
    /// What it had in it.
    pub content: Content<'r>,
}

/// What was in a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Content<'r> {
    /// Data of the application.
    Data(&'r mut [u8]),
    /// An alert.
    Alert(Alert),
    /// Messages of a handshake: the last flight of the one that was, again, or one that would
    /// renegotiate, which nobody here does.
    Handshake(&'r mut [u8]),
}

impl Association {
    /// After a handshake. No number is reserved yet.
    #[must_use]
    pub fn new(start: &Start<'_>) -> Self {
        let (read, write) = match start.role {
            Role::Client => (&start.keys.server, &start.keys.client),
            Role::Server => (&start.keys.client, &start.keys.server),
        };
        let next = start.next_number.min(NUMBERS);
        Self {
            role: start.role,
            read: read.clone(),
            write: write.clone(),
            own_cid: start.own_cid,
            peer_cid: start.peer_cid,
            received: start.received,
            next,
            usable: next,
            reserved: next,
        }
    }

    /// Which end we are.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// How records are protected.
    #[must_use]
    pub const fn aead(&self) -> Aead {
        self.write.aead()
    }

    /// The Connection ID of records to us.
    #[must_use]
    pub const fn own_cid(&self) -> &Cid {
        &self.own_cid
    }

    /// The Connection ID of records to the peer.
    #[must_use]
    pub const fn peer_cid(&self) -> &Cid {
        &self.peer_cid
    }

    /// What was received.
    #[must_use]
    pub const fn received(&self) -> &Window {
        &self.received
    }

    /// Takes what was received after the encoding that this was decoded from, as far as that is
    /// known.
    pub fn has_received(&mut self, window: Window) {
        if window.parts().0 > self.received.parts().0 {
            self.received = window;
        }
    }

    /// The sequence number of the next record to the peer.
    #[must_use]
    pub const fn next_number(&self) -> u64 {
        self.next
    }

    /// Bytes that a record to the peer has beside its content.
    #[must_use]
    pub const fn overhead(&self) -> usize {
        self.write.overhead(self.peer_cid.len())
    }

    /// How many records may be sealed before more numbers are needed.
    #[must_use]
    pub const fn numbers_left(&self) -> u64 {
        self.usable.saturating_sub(self.next)
    }

    /// Raises the mark that is written down, so that `count` numbers may be used when it is durable.
    /// The mark is what to give to [`confirm_reserved`](Self::confirm_reserved) then.
    pub fn reserve(&mut self, count: u64) -> u64 {
        let mark = self.next.saturating_add(count).min(NUMBERS);
        self.reserved = self.reserved.max(mark);
        self.reserved
    }

    /// An encoding made after `reserve` gave this mark is durable.
    pub fn confirm_reserved(&mut self, mark: u64) {
        self.usable = self.usable.max(mark.min(self.reserved));
    }

    /// Lets all numbers be used: for an association that will never be decoded.
    pub const fn use_all_numbers(&mut self) {
        self.reserved = NUMBERS;
        self.usable = NUMBERS;
    }

    /// Takes no record any more that is older than the newest received: for what is known to be
    /// fresh, after a restart that may have forgotten what was received.
    pub const fn refuse_older(&mut self) {
        self.received.refuse_older();
    }

    /// No number is reserved any more.
    pub(crate) const fn unreserve(&mut self) {
        self.reserved = self.next;
        self.usable = self.next;
    }

    /// Makes a record for the peer of the first `len` bytes of `buffer`, in place; how long it is.
    ///
    /// # Errors
    /// Nothing was made, no number was used.
    pub fn seal(
        &mut self,
        aes: &mut dyn Aes,
        content_type: ContentType,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<usize, SealError> {
        self.seal_padded(aes, content_type, buffer, len, 0)
    }

    /// The same with so many zeros after the content, which hide its length; they are left out
    /// where the peer has no Connection ID.
    ///
    /// # Errors
    /// Nothing was made, no number was used.
    pub fn seal_padded(
        &mut self,
        aes: &mut dyn Aes,
        content_type: ContentType,
        buffer: &mut [u8],
        len: usize,
        padding: usize,
    ) -> Result<usize, SealError> {
        if self.next >= NUMBERS {
            return Err(SealError::Exhausted);
        }
        if self.next >= self.usable {
            return Err(SealError::Unreserved);
        }
        let number = Number {
            epoch: EPOCH,
            sequence: self.next,
        };
        let cid = self.peer_cid.as_bytes();
        let made = self
            .write
            .seal(aes, number, cid, content_type, buffer, len, padding)?;
        self.next += 1;
        Ok(made)
    }

    /// Makes a record with an alert.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_alert(
        &mut self,
        aes: &mut dyn Aes,
        alert: Alert,
        buffer: &mut [u8],
    ) -> Result<usize, SealError> {
        let content = alert.to_bytes();
        let place = buffer.get_mut(..content.len()).ok_or(SealError::Space)?;
        place.copy_from_slice(&content);
        self.seal(aes, ContentType::Alert, buffer, content.len())
    }

    /// Opens one whole record from the peer in place, and remembers that it was there.
    ///
    /// # Errors
    /// The record is to be dropped, without an answer (RFC 6347 §4.1.2.7).
    pub fn open<'r>(
        &mut self,
        aes: &mut dyn Aes,
        record: &'r mut [u8],
    ) -> Result<Opened<'r>, OpenError> {
        let cid = self.own_cid.as_bytes();
        let header = Header::parse(record, cid.len()).ok_or(OpenError::Malformed)?;
        if header.cid != cid || (header.outer_type == TLS12_CID) == cid.is_empty() {
            return Err(OpenError::ForeignCid);
        }
        if header.number.epoch != EPOCH {
            return Err(OpenError::Epoch);
        }
        let refused = self.received.check(header.number.sequence);
        refused.map_err(|refused| match refused {
            Refused::Replayed => OpenError::Replayed,
            Refused::TooOld => OpenError::TooOld,
        })?;
        let plain = self.read.open(aes, cid, record)?;
        let sequence = plain.number.sequence;
        let newest = self.received.mark(sequence);
        let content = match ContentType::from_number(plain.content_type) {
            Some(ContentType::ApplicationData) => Content::Data(plain.content),
            Some(ContentType::Alert) => {
                let alert = Alert::from_bytes(plain.content);
                Content::Alert(alert.ok_or(OpenError::Malformed)?)
            }
            Some(ContentType::Handshake) => Content::Handshake(plain.content),
            Some(ContentType::ChangeCipherSpec) | None => return Err(OpenError::Malformed),
        };
        Ok(Opened {
            sequence,
            newest,
            content,
        })
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("role", &self.role)
            .field("aead", &self.aead())
            .field("own_cid", &self.own_cid)
            .field("peer_cid", &self.peer_cid)
            .field("received", &self.received)
            .field("next", &self.next)
            .field("usable", &self.usable)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}
