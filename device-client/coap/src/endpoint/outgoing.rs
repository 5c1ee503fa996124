//! A confirmable message of ours on its way (RFC 7252 section 4.2).

use super::{Buffer, Parameters, Sent};
use crate::{Instant, MessageId};

#[derive(Clone, Debug)]
pub(super) struct Outgoing<T> {
    pub(super) of: Sent,
    pub(super) id: MessageId,
    datagram: T,
    retransmissions: u8,
    timeout_ms: u32,
    pub(super) at: Instant,
}

pub(super) enum Due {
    NotYet,
    Retransmit,
    GiveUp,
}

impl<T: Buffer> Outgoing<T> {
    /// `None` if the datagram doesn't fit the buffer.
    pub(super) fn new(
        now: Instant,
        parameters: &Parameters,
        random: u32,
        of: Sent,
        id: MessageId,
        datagram: &[u8],
    ) -> Option<Self> {
        let mut copy = T::default();
        if !copy.store(datagram) {
            return None;
        }
        let timeout_ms = parameters.first_timeout_ms(random);
        let at = now.plus_millis(u64::from(timeout_ms));
        Some(Self {
            of,
            id,
            datagram: copy,
            retransmissions: 0,
            timeout_ms,
            at,
        })
    }

    pub(super) fn due(&mut self, now: Instant, parameters: &Parameters) -> Due {
        if self.at > now {
            return Due::NotYet;
        }
        if self.retransmissions >= parameters.retransmissions() {
            return Due::GiveUp;
        }
        self.retransmissions += 1;
        self.timeout_ms = self.timeout_ms.saturating_mul(2);
        self.at = now.plus_millis(u64::from(self.timeout_ms));
        Due::Retransmit
    }

    pub(super) fn datagram(&self) -> &[u8] {
        self.datagram.as_slice()
    }
}
