//! From a datagram of the peer to a plain message: requests (RFC 8613 §8.2).

use tinsmith_coap::{BuildError, Code, Message as Coap, MessageType, OptionNumber};
use tinsmith_dtls::Aes;

use super::{Context, Message, Opened, Peer, Phase};
use crate::bytes::Bytes;
use crate::cose::{Cipher, Of};
use crate::derive::{IdContext, MAX_ID_CONTEXT, R2};
use crate::exchange::Heard;
use crate::message::{Head, Inner, Outer, Parts, inner, merge, write};
use crate::option::OscoreOption;
use crate::rederive::{
    Random, RunKey, Wrapped, begins_with_r2, join, make_r2, random as fresh, unwrap, wrap,
};
use crate::refusal::Refusal;
use crate::window::{Seen, Window};

/// Which keys a request is of.
enum Keyed {
    Current,
    /// It asks for new ones with this ID Context.
    First(IdContext),
    /// It has those that were made with an R2 of ours.
    Third(IdContext),
}

/// A request before it is opened.
pub(super) struct Request {
    pub(super) parts: Parts,
    partial_iv: u64,
}

impl<const ASKED: usize, const HEARD: usize> Peer<ASKED, HEARD> {
    /// Opens a datagram. The plain message, or an answer, is written to `out`, which has at least
    /// the room of the datagram and 64 bytes; the datagram's bytes change.
    pub fn open(
        &mut self,
        aes: &mut dyn Aes,
        random: &mut Random<'_>,
        datagram: &mut [u8],
        out: &mut [u8],
    ) -> Opened {
        let Ok(message) = Coap::parse(datagram) else {
            return Opened::Dropped(Refusal::Malformed);
        };
        if message.code() == Code::EMPTY {
            let Some(place) = out.get_mut(..datagram.len()) else {
                return Opened::Dropped(Refusal::Malformed);
            };
            place.copy_from_slice(datagram);
            return Opened::Message(Message {
                len: datagram.len(),
                repeated: false,
                again: false,
            });
        }
        let mut values = message.values(OptionNumber::OSCORE);
        let Some(value) = values.next() else {
            return Opened::Unprotected;
        };
        let single = values.next().is_none();
        let parts = Parts::of(datagram, &message);
        let option = OscoreOption::decode(value).filter(|_| single);
        let mut kid_context = None;
        let option = option.and_then(|option| {
            kid_context = match option.kid_context {
                Some(context) => Some(Wrapped::new(context)?),
                None => None,
            };
            Some((option.partial_iv, option.kid.map(Bytes::<7>::new)))
        });
        let by_proxy = [
            OptionNumber::BLOCK1,
            OptionNumber::BLOCK2,
            OptionNumber::PROXY_URI,
            OptionNumber::PROXY_SCHEME,
        ];
        let by_proxy = by_proxy.iter().any(|n| message.option(*n).is_some());
        let is_request = message.code().is_request();
        let head = parts.head;
        let opened = match option {
            _ if by_proxy => Err(Refusal::Proxy),
            None => Err(Refusal::Cose),
            Some((_, Some(None))) => Err(Refusal::NoContext),
            Some((partial_iv, kid)) if is_request => {
                let kid = kid.flatten();
                match (partial_iv, kid) {
                    (Some(partial_iv), Some(kid)) => {
                        let request = Request { parts, partial_iv };
                        let named = (&kid, kid_context.as_ref());
                        self.open_request(aes, random, &request, named, datagram, out)
                    }
                    _ => Err(Refusal::Cose),
                }
            }
            Some((partial_iv, kid)) => {
                let named = (partial_iv, kid.flatten(), kid_context);
                self.open_response(aes, random, &parts, named, datagram, out)
            }
        };
        match opened {
            Ok(opened) => opened,
            Err(why) if is_request => refuse(head, why, random, out),
            Err(why) => Opened::Dropped(why),
        }
    }

    fn keyed(&self, kid_context: Option<&[u8]>) -> Result<Keyed, Refusal> {
        let kid_context = match kid_context {
            Some(kid_context) if !self.context.is_named(kid_context) => kid_context,
            _ if self.phase == Phase::First => return Err(Refusal::NoContext),
            _ => return Ok(Keyed::Current),
        };
        let id = unwrap(kid_context).ok_or(Refusal::NoContext)?;
        let context = IdContext::new(id).ok_or(Refusal::NoContext)?;
        if !self.run.as_slice().is_empty() && begins_with_r2(&self.run, id) {
            return Ok(Keyed::Third(context));
        }
        match id.len() + R2 <= MAX_ID_CONTEXT {
            true => Ok(Keyed::First(context)),
            false => Err(Refusal::NoContext),
        }
    }

    fn open_request(
        &mut self,
        aes: &mut dyn Aes,
        random: &mut Random<'_>,
        request: &Request,
        (kid, kid_context): (&Bytes<7>, Option<&Wrapped>),
        datagram: &mut [u8],
        out: &mut [u8],
    ) -> Result<Opened, Refusal> {
        if kid.as_slice() != self.master.recipient() {
            return Err(Refusal::NoContext);
        }
        match self.keyed(kid_context.map(Bytes::as_slice))? {
            Keyed::Current => self.open_current(aes, random, request, datagram, out),
            Keyed::First(id) => {
                let first = self.master.keys(Some(id.as_slice()));
                self.decrypt(aes, &first, request, datagram)?;
                self.offer(aes, random, id.as_slice(), request, out)
            }
            Keyed::Third(id) => {
                let mut context = Context::rederived(&self.master, id, self.durable);
                let end = self.decrypt(aes, &context.keys, request, datagram)?;
                context.window = Some(Window::NEW);
                if let Some(window) = &mut context.window {
                    window.mark(request.partial_iv);
                }
                self.switch(context);
                self.take(request, end, false, datagram, out)
            }
        }
    }

    fn open_current(
        &mut self,
        aes: &mut dyn Aes,
        random: &mut Random<'_>,
        request: &Request,
        datagram: &mut [u8],
        out: &mut [u8],
    ) -> Result<Opened, Refusal> {
        let partial_iv = request.partial_iv;
        let seen = self.context.window.map(|window| window.check(partial_iv));
        if seen == Some(Seen::TooOld) {
            return Err(Refusal::Replayed);
        }
        let keys = self.context.keys.clone();
        let end = self.decrypt(aes, &keys, request, datagram)?;
        if let Some(window) = &mut self.context.window {
            window.mark(partial_iv);
            return self.take(request, end, seen == Some(Seen::Before), datagram, out);
        }
        if self.context.numbers.left() == 0 {
            let id = self.context.id.clone().unwrap_or(IdContext::EMPTY);
            return self.offer(aes, random, id.as_slice(), request, out);
        }
        let sealed = request.parts.sealed;
        let echo = inner(datagram, sealed, end).map(|(_, message)| Inner::of(&message).echo);
        let expected = self.challenge;
        if expected.is_some() && echo.ok_or(Refusal::Cose)? == expected {
            self.challenge = None;
            self.context.window = Some(Window::from(partial_iv));
            // The plaintext's first byte was taken for the header; put it back.
            restore_code(datagram, sealed);
            return self.take(request, end, false, datagram, out);
        }
        self.challenge(aes, random, request, out)
    }

    /// Decrypts in place; where the plaintext ends.
    fn decrypt(
        &self,
        aes: &mut dyn Aes,
        keys: &crate::derive::Keys,
        request: &Request,
        datagram: &mut [u8],
    ) -> Result<usize, Refusal> {
        let kid = self.master.recipient();
        let partial_iv = request.partial_iv;
        let cipher = Cipher {
            key: &keys.recipient,
            nonce: keys.nonce(kid, partial_iv),
            of: Of { kid, partial_iv },
        };
        let sealed = request.parts.sealed;
        let place = datagram.get_mut(sealed..).ok_or(Refusal::Cose)?;
        let plain = cipher.open(aes, place).ok_or(Refusal::Inauthentic)?;
        Ok(sealed + plain.len())
    }

    /// A request that is authentic.
    fn take(
        &mut self,
        request: &Request,
        end: usize,
        repeated: bool,
        datagram: &mut [u8],
        out: &mut [u8],
    ) -> Result<Opened, Refusal> {
        let Request { parts, partial_iv } = request;
        let (outer, message) = inner(datagram, parts.sealed, end).ok_or(Refusal::Cose)?;
        let nested = message.option(OptionNumber::OSCORE).is_some();
        if nested || !message.code().is_request() {
            return Err(Refusal::Cose);
        }
        let len = merge(parts, outer, &message, None, out).map_err(|_| Refusal::Malformed)?;
        let token = parts.head.token;
        let known = self.heard.get(token);
        if known.is_none_or(|heard| heard.partial_iv != *partial_iv) {
            self.heard.put(Heard {
                token,
                partial_iv: *partial_iv,
                observes: message.observe() == Some(0),
                used: repeated,
            });
        }
        Ok(Opened::Message(Message {
            len,
            repeated,
            again: false,
        }))
    }

    /// Asks the peer to prove that its request is not an old one (RFC 8613 §B.1.2).
    fn challenge(
        &mut self,
        aes: &mut dyn Aes,
        random: &mut Random<'_>,
        request: &Request,
        out: &mut [u8],
    ) -> Result<Opened, Refusal> {
        // One that is outstanding stays: who replays requests can't take it away.
        let echo = *self.challenge.get_or_insert_with(|| fresh(random));
        let number = self.context.numbers.take().ok_or(Refusal::NoContext)?;
        let keys = self.context.keys.clone();
        let option = OscoreOption {
            partial_iv: Some(number),
            ..OscoreOption::default()
        };
        let cipher = Cipher {
            key: &keys.sender,
            nonce: keys.nonce(self.master.sender(), number),
            of: self.of(request),
        };
        let head = answer_head(request.parts.head, random);
        let made = unauthorized(aes, head, option, &cipher, Some(&echo), out);
        let len = made.map_err(|_| Refusal::Malformed)?;
        Ok(Opened::Answer { len, why: None })
    }

    /// Answers with a part of new keys, whose first part is the request's (RFC 8613 §B.2).
    fn offer(
        &mut self,
        aes: &mut dyn Aes,
        random: &mut Random<'_>,
        id: &[u8],
        request: &Request,
        out: &mut [u8],
    ) -> Result<Opened, Refusal> {
        if self.run.as_slice().is_empty() {
            self.run = RunKey::new(&fresh::<16>(random)).ok_or(Refusal::NoContext)?;
        }
        let r2 = make_r2(&self.run, random);
        let second = join(&r2, id).ok_or(Refusal::NoContext)?;
        let keys = self.master.keys(Some(second.as_slice()));
        let kid_context = wrap(&r2).ok_or(Refusal::NoContext)?;
        let option = OscoreOption {
            kid_context: Some(kid_context.as_slice()),
            ..OscoreOption::default()
        };
        // These keys are used once, so the nonce of the request can be.
        let cipher = Cipher {
            key: &keys.sender,
            nonce: keys.nonce(self.master.recipient(), request.partial_iv),
            of: self.of(request),
        };
        let head = answer_head(request.parts.head, random);
        let made = unauthorized(aes, head, option, &cipher, None, out);
        let len = made.map_err(|_| Refusal::Malformed)?;
        Ok(Opened::Answer { len, why: None })
    }

    fn of(&self, request: &Request) -> Of<'_> {
        Of {
            kid: self.master.recipient(),
            partial_iv: request.partial_iv,
        }
    }
}

/// The head of an answer: in the acknowledgement, if there is one.
fn answer_head(head: Head, random: &mut Random<'_>) -> Head {
    match head.kind {
        MessageType::Confirmable => Head {
            kind: MessageType::Acknowledgement,
            ..head
        },
        _ => Head {
            kind: MessageType::NonConfirmable,
            id: u16::from_be_bytes(fresh(random)),
            ..head
        },
    }
}

/// A sealed 4.01.
fn unauthorized(
    aes: &mut dyn Aes,
    head: Head,
    option: OscoreOption<'_>,
    cipher: &Cipher<'_>,
    echo: Option<&[u8]>,
    out: &mut [u8],
) -> Result<usize, BuildError> {
    let option = option.encode().ok_or(BuildError::Full)?;
    let outer = Outer {
        head,
        code: Code::CHANGED,
        host: None,
        port: None,
        observe: None,
        oscore: option.as_slice(),
    };
    write(aes, &outer, cipher, Code::UNAUTHORIZED, out, |b| {
        if let Some(echo) = echo {
            b.option(OptionNumber::ECHO, echo)?;
        }
        Ok(())
    })
}

fn refuse(head: Head, why: Refusal, random: &mut Random<'_>, out: &mut [u8]) -> Opened {
    let Head { kind, id, token } = answer_head(head, random);
    match why.write_to(kind, id, token, out) {
        Ok(len) => Opened::Answer {
            len,
            why: Some(why),
        },
        Err(_) => Opened::Dropped(why),
    }
}

/// Undoes what [`inner`] did to the plaintext's first byte.
fn restore_code(datagram: &mut [u8], sealed: usize) {
    let code = sealed
        .checked_sub(2)
        .and_then(|at| datagram.get(at).copied());
    if let (Some(code), Some(place)) = (code, datagram.get_mut(sealed)) {
        *place = code;
    }
}
