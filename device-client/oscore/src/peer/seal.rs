//! From a plain message to an OSCORE message (RFC 8613 §8.1, §8.3).

use sha2::{Digest, Sha256};
use tinsmith_coap::{BuildError, Builder, Code, Message, OptionNumber};
use tinsmith_dtls::Aes;

use super::{Peer, SealError};
use crate::cose::{Cipher, Of};
use crate::exchange::Asked;
use crate::message::{Head, Outer, is_outer, write};
use crate::option::OscoreOption;
use crate::rederive::wrap;

impl<const ASKED: usize, const HEARD: usize> Peer<ASKED, HEARD> {
    /// Makes an OSCORE message of `datagram` in `out`, which has room for [`MAX_OVERHEAD`] bytes
    /// more; its length.
    ///
    /// [`MAX_OVERHEAD`]: super::MAX_OVERHEAD
    ///
    /// # Errors
    /// It is to be dropped, as if it were lost on the way.
    pub fn seal(
        &mut self,
        aes: &mut dyn Aes,
        datagram: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let message = Message::parse(datagram).map_err(|_| SealError::Malformed)?;
        if message.option(OptionNumber::OSCORE).is_some() {
            return Err(SealError::Malformed);
        }
        if message.code() == Code::EMPTY {
            let place = out.get_mut(..datagram.len()).ok_or(BuildError::Full)?;
            place.copy_from_slice(datagram);
            return Ok(datagram.len());
        }
        match message.code().is_request() {
            true => self.seal_request(aes, datagram, &message, out),
            false => self.seal_response(aes, &message, out),
        }
    }

    fn number(&mut self) -> Result<u64, SealError> {
        if self.context.numbers.are_exhausted() {
            return Err(SealError::Exhausted);
        }
        self.context.numbers.take().ok_or(SealError::Unreserved)
    }

    fn seal_request(
        &mut self,
        aes: &mut dyn Aes,
        datagram: &[u8],
        message: &Message<'_>,
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let digest = digest(&[datagram, self.echo.as_slice()]);
        let (id, token) = (message.message_id(), message.token());
        let asked = self.asked.get(token);
        let same = asked.filter(|asked| asked.id == id && asked.digest == digest);
        let (partial_iv, again) = match same.map(|asked| asked.partial_iv) {
            Some(partial_iv) => (partial_iv, true),
            None => (self.number()?, false),
        };
        let kid_context = match (&self.context.id, self.context.wrapped) {
            (None, _) => None,
            (Some(id), true) => wrap(id.as_slice()),
            (Some(id), false) => {
                let mut plain = crate::rederive::Wrapped::EMPTY;
                plain.push(id.as_slice()).map(|()| plain)
            }
        };
        let kid = self.master.sender();
        let option = OscoreOption {
            partial_iv: Some(partial_iv),
            kid_context: kid_context.as_ref().map(|context| context.as_slice()),
            kid: Some(kid),
        };
        let option = option.encode().ok_or(SealError::Malformed)?;
        let cipher = Cipher {
            key: &self.context.keys.sender,
            nonce: self.context.keys.nonce(kid, partial_iv),
            of: Of { kid, partial_iv },
        };
        let observe = message.observe();
        let outer = Outer {
            head: Head::of(message),
            code: match observe {
                Some(_) => Code::FETCH,
                None => Code::POST,
            },
            host: message.option(OptionNumber::URI_HOST),
            port: message.option(OptionNumber::URI_PORT),
            observe,
            oscore: option.as_slice(),
        };
        let echo = Some(self.echo.as_slice()).filter(|echo| !echo.is_empty());
        let made = write(aes, &outer, &cipher, message.code(), out, |b| {
            options(b, message, echo, None)
        })?;
        if !again {
            self.asked.put(Asked {
                token,
                id,
                partial_iv,
                digest,
                observes: observe == Some(0),
                answered: false,
                highest: None,
            });
        }
        Ok(made)
    }

    fn seal_response(
        &mut self,
        aes: &mut dyn Aes,
        message: &Message<'_>,
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let token = message.token();
        let heard = *self.heard.get(token).ok_or(SealError::UnknownRequest)?;
        // A notification has a number of its own, so that their order is known. The nonce of a
        // request is used once.
        let own = heard.used || heard.observes;
        let partial_iv = match own {
            true => Some(self.number()?),
            false => None,
        };
        let option = OscoreOption {
            partial_iv,
            ..OscoreOption::default()
        };
        let option = option.encode().ok_or(SealError::Malformed)?;
        let (own_id, peer_id) = (self.master.sender(), self.master.recipient());
        let keys = &self.context.keys;
        let cipher = Cipher {
            key: &keys.sender,
            nonce: match partial_iv {
                Some(number) => keys.nonce(own_id, number),
                None => keys.nonce(peer_id, heard.partial_iv),
            },
            of: Of {
                kid: peer_id,
                partial_iv: heard.partial_iv,
            },
        };
        let observe = message.observe();
        let outer = Outer {
            head: Head::of(message),
            code: match observe {
                Some(_) => Code::CONTENT,
                None => Code::CHANGED,
            },
            host: None,
            port: None,
            observe,
            oscore: option.as_slice(),
        };
        // Even if this fails the nonce counts as used. Without Observe it is no observation, or
        // its end.
        if let Some(heard) = self.heard.get(token) {
            heard.used = true;
            heard.observes &= observe.is_some();
        }
        let inner = observe.map(|_| 0);
        Ok(write(aes, &outer, &cipher, message.code(), out, |b| {
            options(b, message, None, inner)
        })?)
    }
}

/// The inner options and the payload of a message, an Echo in its place among them, and the value of
/// Observe if it is another.
fn options(
    builder: &mut Builder<'_>,
    message: &Message<'_>,
    mut echo: Option<&[u8]>,
    observe: Option<u32>,
) -> Result<(), BuildError> {
    let own = echo.is_some();
    for option in message.options() {
        if is_outer(option.number) || own && option.number == OptionNumber::ECHO {
            continue;
        }
        if option.number > OptionNumber::ECHO
            && let Some(echo) = echo.take()
        {
            builder.option(OptionNumber::ECHO, echo)?;
        }
        match (option.number, observe) {
            (OptionNumber::OBSERVE, Some(value)) => builder.uint(OptionNumber::OBSERVE, value)?,
            (number, _) => builder.option(number, option.value)?,
        };
    }
    if let Some(echo) = echo {
        builder.option(OptionNumber::ECHO, echo)?;
    }
    builder.payload(message.payload())?;
    Ok(())
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u32).to_be_bytes());
        digest.update(part);
    }
    let whole: [u8; 32] = digest.finalize().into();
    let mut half = [0; 16];
    for (place, byte) in half.iter_mut().zip(whole) {
        *place = byte;
    }
    half
}
