//! Recognises duplicates and keeps the replies to them (RFC 7252 §4.5).

use super::{Buffer, Parameters};
use crate::live::Live;
use crate::{Instant, Message, MessageId, MessageType, hash};

/// What became of a message of the peer.
#[derive(Clone, Debug)]
pub(crate) enum State<R> {
    /// A request that waits for its answer.
    Pending { acknowledged: bool },
    /// A notification that waits for acceptance or rejection.
    Notification,
    /// Answered with an empty acknowledgement.
    Acknowledged,
    /// Answered with a reset.
    Rejected,
    /// Needs no reply.
    Silent,
    /// Answered with this datagram.
    Kept(R),
    /// Answered with a datagram that was too large to keep.
    NotKept,
}

#[derive(Clone, Debug)]
pub(super) struct Entry<R> {
    _live: Live,
    pub(super) state: State<R>,
    expires: Instant,
    fingerprint: u32,
    pub(super) id: MessageId,
    pub(super) serial: u16,
    pub(super) confirmable: bool,
}

impl<R> Entry<R> {
    /// When the empty acknowledgement of a request must go out, if one must.
    fn acknowledge_at(&self, parameters: &Parameters) -> Option<Instant> {
        match self.state {
            State::Pending {
                acknowledged: false,
            } if self.confirmable => {
                let received = self
                    .expires
                    .as_millis()
                    .saturating_sub(u64::from(parameters.exchange_lifetime_ms));
                Some(
                    Instant::from_millis(received)
                        .plus_millis(u64::from(parameters.piggyback_window_ms)),
                )
            }
            _ => None,
        }
    }
}

/// The latest messages of the peer. When full, the oldest answered one is forgotten; while all
/// wait for an answer, nothing more is taken.
#[derive(Clone, Debug)]
pub(super) struct Dedup<R, const N: usize> {
    entries: [Option<Entry<R>>; N],
    serial: u16,
}

impl<R: Buffer, const N: usize> Dedup<R, N> {
    pub(super) const NONE: Self = Self {
        entries: [const { None }; N],
        serial: 0,
    };

    pub(super) fn clear(&mut self) {
        self.entries.iter_mut().for_each(|entry| *entry = None);
        self.serial = 0;
    }

    pub(super) fn expire(&mut self, now: Instant) {
        for slot in &mut self.entries {
            if slot.as_ref().is_some_and(|entry| entry.expires <= now) {
                *slot = None;
            }
        }
    }

    pub(super) fn is_empty(&self, now: Instant) -> bool {
        self.entries
            .iter()
            .flatten()
            .all(|entry| entry.expires <= now)
    }

    /// The earlier arrival of the same message. A peer that restarted may use a message id again
    /// for something else, so more than the id is compared.
    pub(super) fn find_duplicate(
        &mut self,
        now: Instant,
        message: &Message<'_>,
    ) -> Option<&mut Entry<R>> {
        let fingerprint = fingerprint(message);
        self.entries.iter_mut().flatten().find(|entry| {
            entry.id == message.message_id()
                && entry.fingerprint == fingerprint
                && entry.expires > now
        })
    }

    pub(super) fn find(&mut self, now: Instant, serial: u16) -> Option<&mut Entry<R>> {
        let mut entries = self.entries.iter_mut().flatten();
        entries.find(|entry| entry.serial == serial && entry.expires > now)
    }

    /// Remembers a message; `None` if all entries are requests that wait for an answer.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        parameters: &Parameters,
        message: &Message<'_>,
        state: State<R>,
    ) -> Option<u16> {
        let serial = self.serial;
        let age = |slot: &Option<Entry<R>>| match slot {
            None => Some(u32::MAX),
            Some(entry) if entry.expires <= now => Some(u32::MAX),
            Some(Entry {
                state: State::Pending { .. },
                ..
            }) => None,
            Some(entry) => Some(u32::from(serial.wrapping_sub(entry.serial))),
        };
        let (_, slot) = self
            .entries
            .iter_mut()
            .filter_map(|slot| Some((age(slot)?, slot)))
            .max_by_key(|(age, _)| *age)?;
        let confirmable = message.message_type() == MessageType::Confirmable;
        let lifetime = if confirmable {
            parameters.exchange_lifetime_ms
        } else {
            parameters.non_lifetime_ms
        };
        *slot = Some(Entry {
            _live: Live::Live,
            state,
            expires: now.plus_millis(u64::from(lifetime)),
            fingerprint: fingerprint(message),
            id: message.message_id(),
            serial,
            confirmable,
        });
        self.serial = serial.wrapping_add(1);
        Some(serial)
    }

    /// A request whose piggyback window is over; it is marked as acknowledged.
    pub(super) fn take_late(&mut self, now: Instant, parameters: &Parameters) -> Option<MessageId> {
        let entry = self
            .entries
            .iter_mut()
            .flatten()
            .find(|entry| entry.acknowledge_at(parameters).is_some_and(|at| at <= now))?;
        entry.state = State::Pending { acknowledged: true };
        Some(entry.id)
    }

    pub(super) fn next_deadline(&self, parameters: &Parameters) -> Option<Instant> {
        self.entries
            .iter()
            .flatten()
            .filter_map(|entry| entry.acknowledge_at(parameters))
            .min()
    }
}

fn fingerprint(message: &Message<'_>) -> u32 {
    let (token, payload) = (message.token(), message.payload());
    let head = u64::from(message.code().byte()) << 32 | payload.len() as u64;
    hash::fingerprint(&[
        &head.to_le_bytes(),
        token.as_bytes(),
        message.option_bytes(),
        &payload[..payload.len().min(16)],
    ])
}
