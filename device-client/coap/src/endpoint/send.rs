//! What this side sends, and when.

use super::dedup::State;
use super::outgoing::Due;
use super::{
    Buffer, Control, Endpoint, Exchange, Live, NotificationHandle, Output, Reliability, Request,
    RequestHandle, Respond, SendError, Sent, stateless,
};
use crate::{BuildError, Builder, Code, Instant, MessageId, MessageType, Token};

impl From<BuildError> for SendError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl<T: Buffer, R: Buffer, const EXCHANGES: usize, const DEDUP: usize>
    Endpoint<T, R, EXCHANGES, DEDUP>
{
    /// Answers a request; `build` adds options and payload. The response is piggybacked if the
    /// request is confirmable and not acknowledged yet, a confirmable message of its own if it is
    /// acknowledged, and non-confirmable for a non-confirmable request.
    ///
    /// # Errors
    /// [`SendError`]; the request still waits (but for [`SendError::UnknownRequest`]).
    pub fn respond(
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
                if !self
                    .message
                    .start(now, &self.parameters, random, what, datagram)
                {
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

    /// Acknowledges a confirmable request now, so that its response will be separate. Returns the
    /// datagram's length, `None` if there is nothing to send. [`Endpoint::poll`] does the same by
    /// itself after [`Parameters::piggyback_window_ms`](crate::Parameters::piggyback_window_ms).
    pub fn defer(&mut self, now: Instant, handle: RequestHandle, out: &mut [u8]) -> Option<usize> {
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

    /// Leaves a request without response; a confirmable one that is not acknowledged is answered
    /// with Reset. Returns the datagram's length, `None` if there is nothing to send.
    pub fn refuse(&mut self, now: Instant, handle: RequestHandle, out: &mut [u8]) -> Option<usize> {
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

    /// Acknowledges a notification. Returns the datagram's length, `None` if there is nothing to
    /// send (non-confirmable).
    pub fn accept(
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

    /// Rejects a notification with Reset: the peer forgets the observation (RFC 7641 section 3.6).
    /// Returns the datagram's length.
    pub fn reject(
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

    /// Sends a request; `build` adds options and payload. Returns the datagram's length.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn start_request(
        &mut self,
        now: Instant,
        request: Request,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<usize, SendError> {
        let Request {
            code,
            token,
            reliability,
            response_timeout_ms,
        } = request;
        if self
            .exchanges
            .iter()
            .flatten()
            .any(|open| open.token == token)
        {
            return Err(SendError::TokenInUse);
        }
        let confirmable = reliability == Reliability::Confirmable;
        if confirmable && !self.request.is_free() {
            return Err(SendError::Busy);
        }
        let slot = self
            .exchanges
            .iter_mut()
            .find(|slot| slot.is_none())
            .ok_or(SendError::Busy)?;
        let id = self.numbering.apply(self.counter);
        let len = write(out, reliability.message_type(), code, id, token, build)?;
        let response_timeout_ms =
            response_timeout_ms.unwrap_or(self.parameters.response_timeout_ms);
        let deadline = if confirmable {
            let (what, random) = ((Sent::Request(token), id), random(&mut self.random));
            if !self
                .request
                .start(now, &self.parameters, random, what, &out[..len])
            {
                return Err(SendError::TooLarge);
            }
            None
        } else {
            Some(now.plus_millis(u64::from(response_timeout_ms)))
        };
        *slot = Some(Exchange {
            _live: Live::Live,
            token,
            id,
            response_timeout_ms,
            deadline,
        });
        self.counter = self.counter.wrapping_add(1);
        Ok(len)
    }

    /// Sends a notification of an observation; `build` adds options (Observe among them) and
    /// payload. Returns the datagram's length and message id.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn notify(
        &mut self,
        now: Instant,
        token: Token,
        code: Code,
        reliability: Reliability,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<(usize, MessageId), SendError> {
        let confirmable = reliability == Reliability::Confirmable;
        if confirmable && !self.message.is_free() {
            return Err(SendError::Busy);
        }
        let id = self.numbering.apply(self.counter);
        let len = write(out, reliability.message_type(), code, id, token, build)?;
        if confirmable {
            let (what, random) = ((Sent::Notification(token), id), random(&mut self.random));
            if !self
                .message
                .start(now, &self.parameters, random, what, &out[..len])
            {
                return Err(SendError::TooLarge);
            }
        }
        self.counter = self.counter.wrapping_add(1);
        Ok((len, id))
    }

    /// Asks whether the peer is there (RFC 7252 section 4.3):
    /// [`Received::Alive`](crate::Received::Alive) if it is.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn ping(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, SendError> {
        if !self.request.is_free() {
            return Err(SendError::Busy);
        }
        let id = self.numbering.apply(self.counter);
        let len = write_empty(out, MessageType::Confirmable, id)
            .ok_or(SendError::Build(BuildError::Full))?;
        let random = random(&mut self.random);
        if !self
            .request
            .start(now, &self.parameters, random, (Sent::Ping, id), &out[..len])
        {
            return Err(SendError::TooLarge);
        }
        self.counter = self.counter.wrapping_add(1);
        Ok(len)
    }

    /// The next datagram or time-out that is due, `None` if there is none now. A datagram that is
    /// larger than `out` is lost.
    pub fn poll(&mut self, now: Instant, out: &mut [u8]) -> Option<Output> {
        if let Some(len) = self
            .control
            .take()
            .and_then(|control| self.control(now, control, out))
        {
            return Some(Output::Transmit(len));
        }
        if let Some(id) = self.dedup.take_late(now, &self.parameters) {
            let len = write_empty(out, MessageType::Acknowledgement, id);
            if let Some(len) = len {
                return Some(Output::Transmit(len));
            }
        }
        let mut timed_out = None;
        for outgoing in [&mut self.request, &mut self.message] {
            match outgoing.due(now, &self.parameters) {
                Due::NotYet => {}
                Due::Retransmit => {
                    if let Some(len) = copy(out, outgoing.datagram()) {
                        return Some(Output::Transmit(len));
                    }
                }
                Due::GiveUp(of) => {
                    timed_out = Some(of);
                    break;
                }
            }
        }
        if let Some(of) = timed_out {
            self.take_exchange(|open| of == Sent::Request(open.token));
            return Some(Output::TimedOut(of));
        }
        self.dedup.expire(now);
        self.take_exchange(|open| open.deadline.is_some_and(|at| at <= now))
            .map(|exchange| Output::TimedOut(Sent::Request(exchange.token)))
    }

    fn control(&mut self, now: Instant, control: Control, out: &mut [u8]) -> Option<usize> {
        match control {
            Control::Empty(kind, id) => write_empty(out, kind, id),
            Control::Reply(serial) => match &self.dedup.find(now, serial)?.state {
                State::Kept(reply) => copy(out, reply.as_slice()),
                _ => None,
            },
        }
    }
}

impl Reliability {
    const fn message_type(self) -> MessageType {
        match self {
            Self::Confirmable => MessageType::Confirmable,
            Self::NonConfirmable => MessageType::NonConfirmable,
        }
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

fn write_empty(out: &mut [u8], kind: MessageType, id: MessageId) -> Option<usize> {
    copy(out, &stateless::empty(kind, id))
}

fn copy(out: &mut [u8], datagram: &[u8]) -> Option<usize> {
    out.get_mut(..datagram.len())?.copy_from_slice(datagram);
    Some(datagram.len())
}

/// xorshift32 (13, 17, 5): for the jitter of time-outs, nothing that must be secret.
fn random(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}
