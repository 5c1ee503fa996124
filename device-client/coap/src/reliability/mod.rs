//! What UDP does not do by itself: message ids, acknowledgements, retransmission and the
//! recognition of duplicates (RFC 7252 §4). It knows no exchanges: a request is a message
//! like others.

mod buffer;
mod dedup;
mod outgoing;
mod parameters;
mod round_trip;
mod send;

pub use buffer::{Buffer, FixedBuffer};
pub use parameters::{Numbering, Parameters};

pub(crate) use dedup::State;

use dedup::Dedup;
use outgoing::{Due, Flight, Outgoing};
use round_trip::RoundTrip;

use crate::delivery::{Dropped, Output, Received, Sent, request};
use crate::{Instant, Message, MessageId, MessageType, Token, stateless};

/// A datagram that [`Reliability::poll`] sends at once.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Control {
    Empty(MessageType, MessageId) = 1,
    Reply(u16) = 2,
}

/// The messages of one peer and ours to it; see [`Endpoint`](crate::Endpoint).
#[derive(Clone, Debug)]
pub(crate) struct Reliability<T, R, const DEDUP: usize> {
    pub(crate) parameters: Parameters,
    numbering: Numbering,
    counter: u16,
    random: u32,
    control: Option<Control>,
    round_trip: RoundTrip,
    /// A confirmable request or ping.
    request: Outgoing<T>,
    /// A separate response or confirmable notification.
    message: Outgoing<T>,
    dedup: Dedup<R, DEDUP>,
}

impl<T: Buffer, R: Buffer, const DEDUP: usize> Reliability<T, R, DEDUP> {
    /// At rest, all zeros.
    pub(crate) const REST: Self = Self {
        parameters: Parameters::NONE,
        numbering: Numbering::ALL,
        counter: 0,
        random: 0,
        control: None,
        round_trip: RoundTrip::UNKNOWN,
        request: Outgoing::NONE,
        message: Outgoing::NONE,
        dedup: Dedup::NONE,
    };

    /// Begins anew, in its place.
    pub(crate) fn restart(&mut self, parameters: Parameters, numbering: Numbering, seed: u32) {
        self.parameters = parameters;
        self.numbering = numbering;
        self.counter = (seed ^ seed >> 16) as u16;
        self.random = seed.wrapping_mul(0x9e37_79b9) | 1;
        self.control = None;
        self.round_trip.forget();
        self.request.clear();
        self.message.clear();
        self.dedup.clear();
    }

    /// Whether a confirmable request can be sent now.
    pub(crate) const fn can_request(&self) -> bool {
        self.request.is_free()
    }

    /// Whether another confirmable message can be sent now.
    pub(crate) const fn can_notify(&self) -> bool {
        self.message.is_free()
    }

    /// Stops the retransmission of a request.
    pub(crate) fn cancel(&mut self, token: Token) {
        self.request
            .take_if(|request| request.of == Sent::Request(token));
    }

    /// The response to a request came, which may have been lost from our sight as its
    /// acknowledgement.
    pub(crate) fn responded(&mut self, now: Instant, token: Token) {
        let request = self
            .request
            .take_if(|request| request.of == Sent::Request(token));
        self.measure(now, request);
    }

    /// The peer has, or rejected, the message with this id: what was it, if it was on its way?
    pub(crate) fn settled(&mut self, now: Instant, id: MessageId) -> Option<Sent> {
        let request = self.request.take_if(|request| request.id == id);
        let settled = request.or_else(|| self.message.take_if(|sent| sent.id == id));
        self.measure(now, settled);
        settled.map(|sent| sent.of)
    }

    fn measure(&mut self, now: Instant, settled: Option<Flight>) {
        if let Some(sent) = settled.and_then(|flight| flight.sent_once()) {
            self.round_trip.measured(now, now.millis_since(sent));
        }
    }

    /// Whether the request with this id is on its way.
    pub(crate) fn is_requesting(&self, id: MessageId) -> bool {
        self.request
            .flight()
            .is_some_and(|request| request.id == id)
    }

    /// The peer asks something, so it is there, and what was lost on the way to it need not wait
    /// as if it were not. Never faster than a first retransmission (RFC 7252 §4.2), and once for
    /// each of its requests.
    pub(crate) fn peer_is_there(&mut self, now: Instant) {
        let pause_ms = self.parameters.ack_timeout_ms;
        self.request.hurry(now, pause_ms);
        self.message.hurry(now, pause_ms);
    }

    /// Sends an empty message at the next [`Reliability::poll`].
    pub(crate) fn empty(&mut self, kind: MessageType, id: MessageId) {
        self.control = Some(Control::Empty(kind, id));
    }

    /// Remembers a message of the peer; `None` if too many wait for an answer.
    pub(crate) fn remember(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        state: State<R>,
    ) -> Option<u16> {
        self.dedup.insert(now, &self.parameters, message, state)
    }

    /// Repeats the reply to a message that was here before; `None` if it wasn't.
    pub(crate) fn on_duplicate<'a>(
        &mut self,
        now: Instant,
        message: Message<'a>,
    ) -> Option<Received<'a>> {
        let anew = message.code().is_idempotent();
        self.on_repeated(now, message, anew)
    }

    /// The same; `anew` if a request whose reply was not kept may be answered anew.
    pub(crate) fn on_repeated<'a>(
        &mut self,
        now: Instant,
        message: Message<'a>,
        anew: bool,
    ) -> Option<Received<'a>> {
        let entry = self.dedup.find_duplicate(now, &message)?;
        let id = message.message_id();
        let reply = match entry.state {
            State::NotKept if anew => {
                entry.state = State::Pending {
                    acknowledged: false,
                };
                return Some(request(message, entry.serial));
            }
            _ if !entry.confirmable => None,
            State::Pending { acknowledged: true } | State::Acknowledged => {
                Some(Control::Empty(MessageType::Acknowledgement, id))
            }
            State::Rejected => Some(Control::Empty(MessageType::Reset, id)),
            State::Kept(_) => Some(Control::Reply(entry.serial)),
            State::Pending {
                acknowledged: false,
            }
            | State::Notification
            | State::Silent
            | State::NotKept => None,
        };
        self.control = reply.or(self.control);
        Some(Received::Nothing(Dropped::Duplicate))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.control.is_some() {
            return Some(Instant::ZERO);
        }
        [self.request.deadline(), self.message.deadline()]
            .into_iter()
            .flatten()
            .chain(self.dedup.next_deadline(&self.parameters))
            .min()
    }

    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.control.is_none()
            && self.request.is_free()
            && self.message.is_free()
            && self.dedup.is_empty(now)
    }

    /// The next datagram or time-out that is due.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut [u8]) -> Option<Output> {
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
        for outgoing in [&mut self.request, &mut self.message] {
            match outgoing.due(now) {
                Due::NotYet => {}
                Due::Retransmit => {
                    if let Some(len) = copy(out, outgoing.datagram()) {
                        return Some(Output::Transmit(len));
                    }
                }
                Due::GiveUp(of) => {
                    self.round_trip.forget();
                    return Some(Output::TimedOut(of));
                }
            }
        }
        self.dedup.expire(now);
        None
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

fn write_empty(out: &mut [u8], kind: MessageType, id: MessageId) -> Option<usize> {
    copy(out, &stateless::empty(kind, id))
}

fn copy(out: &mut [u8], datagram: &[u8]) -> Option<usize> {
    out.get_mut(..datagram.len())?.copy_from_slice(datagram);
    Some(datagram.len())
}
