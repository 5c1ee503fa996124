//! The confirmable message of ours that is on its way (RFC 7252 §4.2).

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
    retransmissions: u8,
    timeout_ms: u32,
    at: Instant,
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
        parameters: &Parameters,
        random: u32,
        (of, id): (Sent, MessageId),
        datagram: &[u8],
    ) -> bool {
        if !self.datagram.store(datagram) {
            return false;
        }
        let timeout_ms = parameters.first_timeout_ms(random);
        let at = now.plus_millis(u64::from(timeout_ms));
        self.flight = Some(Flight {
            _live: Live::Live,
            of,
            id,
            retransmissions: 0,
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

    pub(super) fn due(&mut self, now: Instant, parameters: &Parameters) -> Due {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.at <= now) else {
            return Due::NotYet;
        };
        if flight.retransmissions >= parameters.retransmissions() {
            let of = flight.of;
            self.take_if(|_| true);
            return Due::GiveUp(of);
        }
        flight.retransmissions += 1;
        flight.timeout_ms = flight.timeout_ms.saturating_mul(2);
        flight.at = now.plus_millis(u64::from(flight.timeout_ms));
        Due::Retransmit
    }

    pub(super) fn datagram(&self) -> &[u8] {
        self.datagram.as_slice()
    }
}
