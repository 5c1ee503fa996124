//! Servers with OSCORE: what of theirs is taken, and what is said to the rest.

use core::net::SocketAddr;

use tinsmith_coap::{Code, Message, MessageType, Received};
use tinsmith_oscore::{self as oscore, Opened, Refusal};

use crate::client::{AnswerTo, Client};
use crate::event::Event;
use crate::handler::Origin;
use crate::platform::{Now, Platform, instant};

impl Client<'_> {
    /// The server has OSCORE.
    pub(crate) fn is_sealed(&self, index: usize) -> bool {
        let link = self.sessions.get(index).and_then(|s| s.link());
        link.is_some_and(|l| l.oscore.is_on())
    }

    /// A message of a server with OSCORE.
    pub(crate) fn open(
        &mut self,
        now: Now,
        index: usize,
        bytes: &mut [u8],
        platform: &mut dyn Platform,
    ) {
        let session = self.sessions.get_mut(index);
        let Some(link) = session.and_then(|s| s.link_mut()) else {
            return;
        };
        // The answer to an earlier message would be overwritten.
        self.answer_to = None;
        match link.oscore.open(bytes, self.answer, platform) {
            Opened::Message(message) => {
                // It is never longer than what it came in.
                if let (Some(place), Some(plain)) =
                    (bytes.get_mut(..message.len), self.answer.get(..message.len))
                {
                    place.copy_from_slice(plain);
                    self.opened(now, index, place, message, platform);
                }
            }
            Opened::Answer { len, .. } => {
                let to = link.address;
                self.answer_to = Some(as_it_is(to, len));
            }
            Opened::Unprotected => self.unprotected(now, index, bytes, platform),
            Opened::Dropped(_) => {}
        }
        self.look_at_keys(now);
    }

    /// A message that is the server's.
    fn opened(
        &mut self,
        now: Now,
        index: usize,
        bytes: &[u8],
        opened: oscore::Message,
        platform: &mut dyn Platform,
    ) {
        let session = self.sessions.get_mut(index);
        let (Some(link), Ok(message)) = (session.and_then(|s| s.link_mut()), Message::parse(bytes))
        else {
            return;
        };
        let received = match opened.repeated {
            true => link.coap.handle_repeated(instant(now), message),
            false => link.coap.handle_message(instant(now), message),
        };
        match received {
            Received::Response { token, .. } if opened.again => {
                link.secure.answered();
                let instances = self.device.log.instances;
                match (index, self.sessions.get_mut(index)) {
                    (0, _) => self.bootstrap.ask_again(now, token),
                    (_, Some(session)) => session.ask_again(now, token, instances),
                    _ => {}
                }
            }
            received => self.received(now, index, received, platform),
        }
    }

    /// A message without OSCORE: a request is refused. An error may say that the server can't open
    /// what it was sent (RFC 8613 §8.2); whoever else says so knows the token, and could as well
    /// have kept the request from the server.
    fn unprotected(&mut self, now: Now, index: usize, bytes: &[u8], platform: &mut dyn Platform) {
        let session = self.sessions.get(index);
        let (Some(link), Ok(message)) = (session.and_then(|s| s.link()), Message::parse(bytes))
        else {
            return;
        };
        if message.code().is_request() {
            let id = platform.random() as u16;
            let made = Refusal::Unprotected.write(&message, id, self.answer);
            self.answer_to = made.ok().map(|len| as_it_is(link.address, len));
            return;
        }
        let says_so = matches!(
            message.code(),
            Code::BAD_REQUEST | Code::UNAUTHORIZED | Code::BAD_OPTION
        );
        if says_so && message.message_type() == MessageType::Acknowledgement {
            self.message(now, index, bytes, platform);
        }
    }

    /// With new keys nothing of a registration is left but its name.
    pub(crate) fn look_at_keys(&mut self, now: Now) {
        for session in self.sessions.iter_mut() {
            let Some(link) = session.link_mut() else {
                continue;
            };
            if link.oscore.has_new_keys() {
                let server = match link.origin {
                    Origin::Server { short_id, .. } => short_id,
                    Origin::Bootstrap => 0,
                };
                self.device.log.event(Event::NewKeys { server });
                session.register_anew(now);
            }
        }
    }

    /// An answer that OSCORE itself has made.
    pub(crate) fn poll_as_it_is(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let AnswerTo { to, len, .. } = self.answer_to.take_if(|answer| answer.as_it_is)?;
        buf.get_mut(..len)?.copy_from_slice(self.answer.get(..len)?);
        let index = self.session_at(to)?;
        let link = self.sessions.get_mut(index)?.link_mut()?;
        Some((to, link.secure.seal(now.mono, buf, len, platform)?))
    }
}

const fn as_it_is(to: SocketAddr, len: usize) -> AnswerTo {
    AnswerTo {
        to,
        len,
        as_it_is: true,
    }
}
