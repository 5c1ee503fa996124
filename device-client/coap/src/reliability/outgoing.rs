//! The confirmable message of ours that is on its way (RFC 7252 §4.2).

use super::round_trip::RoundTrip;
use super::{Buffer, Parameters};
use crate::delivery::Sent;
use crate::live::Live;
use crate::{Instant, MessageId};

/// The message's copy stays in place, so that a large buffer is never moved over the stack.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing<T> {
    datagram: T,
    flight: Option<Flight>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    _live: Live,
    pub(super) of: Sent,
    pub(super) id: MessageId,
    /// Those that are left.
    left: u8,
    is_first: bool,
    timeout_ms: u32,
    at: Instant,
}

impl Flight {
    /// When it was sent, unless it was sent again: then nobody knows which of them was
    /// acknowledged.
    pub(super) fn sent_once(&self) -> Option<Instant> {
        let sent = self
            .at
            .as_millis()
            .saturating_sub(u64::from(self.timeout_ms));
        self.is_first.then_some(Instant::from_millis(sent))
    }
}

pub(super) enum Due {
    NotYet,
    Retransmit,
    GiveUp(Sent),
}

impl<T: Buffer> Outgoing<T> {
    pub(super) const NONE: Self = Self {
        datagram: T::EMPTY,
        flight: None,
    };

    pub(super) fn clear(&mut self) {
        self.datagram.clear();
        self.flight = None;
    }

    pub(super) const fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref()
    }

    pub(super) const fn is_free(&self) -> bool {
        self.flight.is_none()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.flight.map(|flight| flight.at)
    }

    /// Remembers a message that is being sent; `false` if it doesn't fit the buffer.
    #[must_use]
    pub(super) fn start(
        &mut self,
        now: Instant,
        (parameters, round_trip): (&Parameters, &RoundTrip),
        random: u32,
        (of, id): (Sent, MessageId),
        datagram: &[u8],
    ) -> bool {
        if !self.datagram.store(datagram) {
            return false;
        }
        let pace = round_trip.pace(now, parameters);
        let timeout_ms = parameters.jittered(pace.timeout_ms, random);
        let at = now.plus_millis(u64::from(timeout_ms));
        self.flight = Some(Flight {
            _live: Live::Live,
            of,
            id,
            left: parameters.retransmissions() + pace.more,
            is_first: true,
            timeout_ms,
            at,
        });
        true
    }

    pub(super) fn take_if(&mut self, wanted: impl FnOnce(&Flight) -> bool) -> Option<Flight> {
        let flight = self.flight.take_if(|flight| wanted(flight));
        if flight.is_some() {
            self.datagram.clear();
        }
        flight
    }

    pub(super) fn due(&mut self, now: Instant) -> Due {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.at <= now) else {
            return Due::NotYet;
        };
        let Some(left) = flight.left.checked_sub(1) else {
            let of = flight.of;
            self.take_if(|_| true);
            return Due::GiveUp(of);
        };
        flight.left = left;
        flight.is_first = false;
        flight.timeout_ms = flight.timeout_ms.saturating_mul(2);
        flight.at = now.plus_millis(u64::from(flight.timeout_ms));
        Due::Retransmit
    }

    /// The peer is there: what waits to be sent again is due now, unless it was sent less than
    /// `pause_ms` ago, and the waits begin anew with that.
    pub(super) fn hurry(&mut self, now: Instant, pause_ms: u32) {
        let Some(flight) = &mut self.flight else {
            return;
        };
        let sent = flight
            .at
            .as_millis()
            .saturating_sub(u64::from(flight.timeout_ms));
        if now.as_millis().saturating_sub(sent) < u64::from(pause_ms) {
            return;
        }
        flight.left = flight.left.max(1);
        flight.is_first = false;
        flight.timeout_ms = pause_ms / 2;
        flight.at = now;
    }

    pub(super) fn datagram(&self) -> &[u8] {
        self.datagram.as_slice()
    }
}
