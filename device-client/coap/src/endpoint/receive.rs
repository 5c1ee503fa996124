//! What a datagram of the peer means.

use super::{Buffer, Dropped, Endpoint, NotificationHandle, Received, Sent, request};
use crate::exchange::Meaning;
use crate::reliability::State;
use crate::{Code, Instant, Message, MessageId, MessageType, stateless};

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
                    self.messages.empty(MessageType::Reset, id);
                }
                Received::Nothing(Dropped::Malformed(error))
            }
        }
    }

    /// Takes a message that was parsed already.
    pub fn handle_message<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        match message.message_type() {
            MessageType::Acknowledgement => self.on_acknowledgement(now, message),
            MessageType::Reset => self.on_reset(now, message.message_id()),
            MessageType::Confirmable if message.code() == Code::EMPTY => {
                self.messages
                    .empty(MessageType::Reset, message.message_id());
                Received::Alive
            }
            MessageType::Confirmable | MessageType::NonConfirmable => self.on_content(now, message),
        }
    }

    /// Takes a message that is known to have been there before, by a layer below that tells replays.
    /// The reply to it is repeated, or one that was too large to keep is asked for again if it only
    /// reads; nothing else is done.
    pub fn handle_repeated<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        let reads = matches!(message.code(), Code::GET | Code::FETCH);
        let only_reads = reads && message.observe().is_none();
        self.messages
            .on_repeated(now, message, only_reads)
            .unwrap_or(Received::Nothing(Dropped::Duplicate))
    }

    fn on_acknowledgement<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        let (id, token) = (message.message_id(), message.token());
        if message.code() != Code::EMPTY {
            // An acknowledged request still matches by its id: some peers send an empty
            // acknowledgement and then the response in another.
            if self.exchanges.answered(id, token) {
                self.messages.settled(now, id);
                return Received::Response { token, message };
            }
            return Received::Nothing(if self.messages.is_requesting(id) {
                Dropped::WrongToken
            } else {
                Dropped::Stale
            });
        }
        match self.messages.settled(now, id) {
            Some(Sent::Ping) => Received::Alive,
            Some(of) => {
                self.exchanges.acknowledged(now, id);
                Received::Acknowledged(of)
            }
            None => Received::Nothing(Dropped::Stale),
        }
    }

    fn on_reset(&mut self, now: Instant, id: MessageId) -> Received<'static> {
        let sent = self.messages.settled(now, id);
        if let Some(token) = self.exchanges.rejected(id) {
            return Received::Reset(Sent::Request(token));
        }
        match sent {
            Some(Sent::Ping) => Received::Alive,
            Some(of) => Received::Reset(of),
            None => Received::Reset(Sent::Other(id)),
        }
    }

    fn on_content<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        if let Some(received) = self.messages.on_duplicate(now, message) {
            return received;
        }
        let (id, token) = (message.message_id(), message.token());
        let confirmable = message.message_type() == MessageType::Confirmable;
        match self.exchanges.classify(message.code(), token) {
            Meaning::Request => {
                self.messages.peer_is_there(now);
                let state = State::Pending {
                    acknowledged: false,
                };
                match self.messages.remember(now, &message, state) {
                    Some(serial) => request(message, serial),
                    None => Received::Nothing(Dropped::Overloaded),
                }
            }
            Meaning::Response => {
                self.messages.responded(now, token);
                let state = if confirmable {
                    State::Acknowledged
                } else {
                    State::Silent
                };
                if confirmable {
                    self.messages.empty(MessageType::Acknowledgement, id);
                }
                self.messages.remember(now, &message, state);
                Received::Response { token, message }
            }
            Meaning::Notification | Meaning::Other => {
                let state = State::Notification;
                let serial = self.messages.remember(now, &message, state);
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
        }
    }
}
