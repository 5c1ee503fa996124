//! What a datagram of the peer means.

use super::dedup::State;
use super::{
    Buffer, Control, Dropped, Endpoint, NotificationHandle, Received, RequestHandle, Sent,
    stateless,
};
use crate::{Code, Instant, Message, MessageId, MessageType, Token};

impl<T: Buffer, R: Buffer, const EXCHANGES: usize, const DEDUP: usize>
    Endpoint<T, R, EXCHANGES, DEDUP>
{
    /// Takes a datagram from the peer.
    pub fn handle<'a>(&mut self, now: Instant, datagram: &'a [u8]) -> Received<'a> {
        match Message::parse(datagram) {
            Ok(message) => self.handle_message(now, message),
            Err(error) => {
                if let Some([_, _, high, low]) = stateless::refusal(datagram) {
                    let id = u16::from_be_bytes([high, low]);
                    self.control = Some(Control::Empty(MessageType::Reset, id));
                }
                Received::Nothing(Dropped::Malformed(error))
            }
        }
    }

    /// Takes a message that was parsed already.
    pub fn handle_message<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        match message.message_type() {
            MessageType::Acknowledgement => self.on_acknowledgement(now, message),
            MessageType::Reset => self.on_reset(message.message_id()),
            MessageType::Confirmable if message.code() == Code::EMPTY => {
                self.empty(MessageType::Reset, message.message_id());
                Received::Alive
            }
            MessageType::Confirmable | MessageType::NonConfirmable => self.on_content(now, message),
        }
    }

    fn empty(&mut self, kind: MessageType, id: MessageId) {
        self.control = Some(Control::Empty(kind, id));
    }

    fn on_acknowledgement<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        let (id, token) = (message.message_id(), message.token());
        if message.code() != Code::EMPTY {
            // An acknowledged request still matches by its id: some peers send an empty
            // acknowledgement and then the response in another.
            if self
                .take_exchange(|open| open.id == id && open.token == token)
                .is_some()
            {
                self.request.take_if(|request| request.id == id);
                return Received::Response { token, message };
            }
            let other = self
                .request
                .flight()
                .is_some_and(|request| request.id == id);
            return Received::Nothing(if other {
                Dropped::WrongToken
            } else {
                Dropped::Stale
            });
        }
        if let Some(request) = self.request.take_if(|request| request.id == id) {
            if request.of == Sent::Ping {
                return Received::Alive;
            }
            for exchange in self
                .exchanges
                .iter_mut()
                .flatten()
                .filter(|open| open.id == id)
            {
                let wait = u64::from(exchange.response_timeout_ms);
                exchange.deadline = Some(now.plus_millis(wait));
            }
            return Received::Acknowledged(request.of);
        }
        match self.message.take_if(|sent| sent.id == id) {
            Some(sent) => Received::Acknowledged(sent.of),
            None => Received::Nothing(Dropped::Stale),
        }
    }

    fn on_reset(&mut self, id: MessageId) -> Received<'static> {
        let request = self.request.take_if(|request| request.id == id);
        if let Some(exchange) = self.take_exchange(|open| open.id == id) {
            return Received::Reset(Sent::Request(exchange.token));
        }
        if request.is_some_and(|request| request.of == Sent::Ping) {
            return Received::Alive;
        }
        match self.message.take_if(|sent| sent.id == id) {
            Some(sent) => Received::Reset(sent.of),
            None => Received::Reset(Sent::Other(id)),
        }
    }

    fn on_content<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        if let Some(received) = self.on_duplicate(now, message) {
            return received;
        }
        if message.code().is_request() {
            let state = State::Pending {
                acknowledged: false,
            };
            return match self.dedup.insert(now, &self.parameters, &message, state) {
                Some(serial) => request(message, serial),
                None => Received::Nothing(Dropped::Overloaded),
            };
        }
        let (id, token) = (message.message_id(), message.token());
        let confirmable = message.message_type() == MessageType::Confirmable;
        if self.take_exchange(|open| open.token == token).is_some() {
            self.request
                .take_if(|request| request.of == Sent::Request(token));
            let state = if confirmable {
                State::Acknowledged
            } else {
                State::Silent
            };
            if confirmable {
                self.empty(MessageType::Acknowledgement, id);
            }
            self.dedup.insert(now, &self.parameters, &message, state);
            return Received::Response { token, message };
        }
        let state = State::Notification;
        let serial = self.dedup.insert(now, &self.parameters, &message, state);
        let handle = NotificationHandle {
            id,
            serial,
            confirmable,
        };
        Received::Notification {
            handle,
            token,
            message,
        }
    }

    /// Repeats the reply to a message that was here before; `None` if it wasn't.
    fn on_duplicate<'a>(&mut self, now: Instant, message: Message<'a>) -> Option<Received<'a>> {
        let entry = self.dedup.find_duplicate(now, &message)?;
        let id = message.message_id();
        let reply = match entry.state {
            State::NotKept if message.code().is_idempotent() => {
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
}

fn request(message: Message<'_>, serial: u16) -> Received<'_> {
    let (id, token): (MessageId, Token) = (message.message_id(), message.token());
    Received::Request {
        handle: RequestHandle { id, token, serial },
        message,
    }
}
