//! What this side sends.

use super::{Buffer, Reliability, State, write_empty};
use crate::delivery::{
    NotificationHandle, Reliability as Kind, RequestHandle, Respond, SendError, Sent,
};
use crate::{BuildError, Builder, Code, Instant, MessageId, MessageType, Token};

impl Kind {
    const fn message_type(self) -> MessageType {
        match self {
            Self::Confirmable => MessageType::Confirmable,
            Self::NonConfirmable => MessageType::NonConfirmable,
        }
    }
}

impl<T: Buffer, R: Buffer, const DEDUP: usize> Reliability<T, R, DEDUP> {
    /// See [`Endpoint::respond`](crate::Endpoint::respond).
    pub(crate) fn respond(
        &mut self,
        now: Instant,
        handle: RequestHandle,
        code: Code,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<Respond, SendError> {
        let next = self.numbering.apply(self.counter);
        let entry = self
            .dedup
            .find(now, handle.serial)
            .ok_or(SendError::UnknownRequest)?;
        let State::Pending { acknowledged } = entry.state else {
            return Err(SendError::UnknownRequest);
        };
        let (kind, id) = match (entry.confirmable, acknowledged) {
            (true, false) => (MessageType::Acknowledgement, handle.id),
            (true, true) => (MessageType::Confirmable, next),
            (false, _) => (MessageType::NonConfirmable, next),
        };
        let separate = kind == MessageType::Confirmable;
        if separate && !self.message.is_free() {
            return Err(SendError::Busy);
        }
        let len = write(out, kind, code, id, handle.token, build)?;
        let datagram = &out[..len];
        entry.state = match kind {
            MessageType::Acknowledgement => {
                let mut reply = R::default();
                if len <= usize::from(self.parameters.max_kept_reply) && reply.store(datagram) {
                    State::Kept(reply)
                } else {
                    State::NotKept
                }
            }
            MessageType::Confirmable => {
                let what = (Sent::Response(handle.token), id);
                let random = random(&mut self.random);
                let pace = (&self.parameters, &self.round_trip);
                if !self.message.start(now, pace, random, what, datagram) {
                    return Err(SendError::TooLarge);
                }
                State::Acknowledged
            }
            _ => State::Silent,
        };
        if id == next && kind != MessageType::Acknowledgement {
            self.counter = self.counter.wrapping_add(1);
        }
        Ok(Respond { len, id, separate })
    }

    /// See [`Endpoint::defer`](crate::Endpoint::defer).
    pub(crate) fn defer(
        &mut self,
        now: Instant,
        handle: RequestHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        let entry = self.dedup.find(now, handle.serial)?;
        let pending = matches!(
            entry.state,
            State::Pending {
                acknowledged: false
            }
        );
        if !pending || !entry.confirmable {
            return None;
        }
        let len = write_empty(out, MessageType::Acknowledgement, handle.id)?;
        entry.state = State::Pending { acknowledged: true };
        Some(len)
    }

    /// See [`Endpoint::refuse`](crate::Endpoint::refuse).
    pub(crate) fn refuse(
        &mut self,
        now: Instant,
        handle: RequestHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        let entry = self.dedup.find(now, handle.serial)?;
        let State::Pending { acknowledged } = entry.state else {
            return None;
        };
        if acknowledged || !entry.confirmable {
            entry.state = if acknowledged {
                State::Acknowledged
            } else {
                State::Silent
            };
            return None;
        }
        entry.state = State::Rejected;
        write_empty(out, MessageType::Reset, handle.id)
    }

    /// See [`Endpoint::accept`](crate::Endpoint::accept).
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        handle: NotificationHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        let state = if handle.confirmable {
            State::Acknowledged
        } else {
            State::Silent
        };
        self.settle(now, handle, state);
        handle
            .confirmable
            .then(|| write_empty(out, MessageType::Acknowledgement, handle.id))
            .flatten()
    }

    /// See [`Endpoint::reject`](crate::Endpoint::reject).
    pub(crate) fn reject(
        &mut self,
        now: Instant,
        handle: NotificationHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        self.settle(now, handle, State::Rejected);
        write_empty(out, MessageType::Reset, handle.id)
    }

    fn settle(&mut self, now: Instant, handle: NotificationHandle, state: State<R>) {
        let Some(serial) = handle.serial else { return };
        if let Some(entry) = self.dedup.find(now, serial) {
            entry.state = state;
        }
    }

    /// Sends a request or a notification. Returns the datagram's length and its message id.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        of: Sent,
        (code, token, kind): (Code, Token, Kind),
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<(usize, MessageId), SendError> {
        let confirmable = kind == Kind::Confirmable;
        let outgoing = match of {
            Sent::Request(_) => &mut self.request,
            _ => &mut self.message,
        };
        if confirmable && !outgoing.is_free() {
            return Err(SendError::Busy);
        }
        let id = self.numbering.apply(self.counter);
        let len = write(out, kind.message_type(), code, id, token, build)?;
        if confirmable {
            let random = random(&mut self.random);
            let pace = (&self.parameters, &self.round_trip);
            if !outgoing.start(now, pace, random, (of, id), &out[..len]) {
                return Err(SendError::TooLarge);
            }
        }
        self.counter = self.counter.wrapping_add(1);
        Ok((len, id))
    }

    /// See [`Endpoint::ping`](crate::Endpoint::ping).
    pub(crate) fn ping(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, SendError> {
        if !self.request.is_free() {
            return Err(SendError::Busy);
        }
        let id = self.numbering.apply(self.counter);
        let len = write_empty(out, MessageType::Confirmable, id)
            .ok_or(SendError::Build(BuildError::Full))?;
        let random = random(&mut self.random);
        let pace = (&self.parameters, &self.round_trip);
        if !self
            .request
            .start(now, pace, random, (Sent::Ping, id), &out[..len])
        {
            return Err(SendError::TooLarge);
        }
        self.counter = self.counter.wrapping_add(1);
        Ok(len)
    }
}

fn write(
    out: &mut [u8],
    kind: MessageType,
    code: Code,
    id: MessageId,
    token: Token,
    build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
) -> Result<usize, BuildError> {
    let mut builder = Builder::new(out, kind, code, id, token)?;
    build(&mut builder)?;
    Ok(builder.len())
}

/// xorshift32 (13, 17, 5): for the jitter of time-outs, nothing that must be secret.
fn random(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}
