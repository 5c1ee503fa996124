//! From a datagram of the peer to a plain message: responses (RFC 8613 §8.4).

use tinsmith_coap::{Code, OptionNumber};
use tinsmith_dtls::Aes;

use super::{Context, MAX_ECHO, Message, Opened, Peer, Phase};
use crate::bytes::Bytes;
use crate::cose::{Cipher, Of};
use crate::derive::Keys;
use crate::exchange::Asked;
use crate::message::{Inner, Parts, inner, merge};
use crate::rederive::{R1, Random, Wrapped, join, random as fresh, unwrap};
use crate::refusal::Refusal;

/// Partial IV, 'kid' and 'kid context' of a response.
type Named = (Option<u64>, Option<Bytes<7>>, Option<Wrapped>);

impl<const ASKED: usize, const HEARD: usize> Peer<ASKED, HEARD> {
    pub(super) fn open_response(
        &mut self,
        aes: &mut dyn Aes,
        random: &mut Random<'_>,
        parts: &Parts,
        (partial_iv, kid, kid_context): Named,
        datagram: &mut [u8],
        out: &mut [u8],
    ) -> Result<Opened, Refusal> {
        let asked = *self.asked.get(parts.head.token).ok_or(Refusal::Unasked)?;
        if kid.is_some_and(|kid| kid.as_slice() != self.master.recipient()) {
            return Err(Refusal::NoContext);
        }
        let r2 = kid_context.filter(|context| !self.context.is_named(context.as_slice()));
        let other = match &r2 {
            Some(r2) => {
                let r2 = unwrap(r2.as_slice()).ok_or(Refusal::NoContext)?;
                let second = join(r2, self.context.id()).ok_or(Refusal::NoContext)?;
                let third = join(r2, &fresh::<R1>(random)).ok_or(Refusal::NoContext)?;
                Some((self.master.keys(Some(second.as_slice())), third))
            }
            None if self.phase == Phase::First => return Err(Refusal::NoContext),
            None => None,
        };
        let keys = match &other {
            Some((keys, _)) => keys.clone(),
            None => self.context.keys.clone(),
        };
        let end = self.decrypt_response(aes, &keys, (&asked, partial_iv), parts, datagram)?;
        let (outer, message) = inner(datagram, parts.sealed, end).ok_or(Refusal::Cose)?;
        let nested = message.option(OptionNumber::OSCORE).is_some();
        if nested || !message.code().is_response() {
            return Err(Refusal::Cose);
        }
        let said = Inner::of(&message);
        if let Some((_, third)) = other {
            if said.code != Code::UNAUTHORIZED {
                return Err(Refusal::Cose);
            }
            let merged = merge(parts, outer, &message, None, out);
            let len = merged.map_err(|_| Refusal::Malformed)?;
            let context = Context::rederived(&self.master, third, self.durable);
            self.switch(context);
            self.phase = Phase::Third;
            return Ok(again(len));
        }
        let repeated = self.settle(&asked, partial_iv, &said)?;
        // Its order is that of the numbers, after one that has none (RFC 8613 §4.1.3.5.2).
        let order = partial_iv.map_or(0, |number| (number as u32).wrapping_add(1) & 0xff_ffff);
        let observe = said.observe.map(|_| order);
        let merged = merge(parts, outer, &message, observe, out);
        let len = merged.map_err(|_| Refusal::Malformed)?;
        self.phase = Phase::Settled;
        if said.code == Code::UNAUTHORIZED && said.has_echo && !repeated {
            let echo = message.option(OptionNumber::ECHO).unwrap_or_default();
            self.echo = Bytes::<MAX_ECHO>::new(echo).ok_or(Refusal::Cose)?;
            return Ok(again(len));
        }
        if !repeated {
            self.echo = Bytes::EMPTY;
        }
        Ok(Opened::Message(Message {
            len,
            repeated,
            again: false,
        }))
    }

    /// Decrypts in place; where the plaintext ends.
    fn decrypt_response(
        &self,
        aes: &mut dyn Aes,
        keys: &Keys,
        (asked, partial_iv): (&Asked, Option<u64>),
        parts: &Parts,
        datagram: &mut [u8],
    ) -> Result<usize, Refusal> {
        let (own, peer) = (self.master.sender(), self.master.recipient());
        let cipher = Cipher {
            key: &keys.recipient,
            nonce: match partial_iv {
                Some(number) => keys.nonce(peer, number),
                None => keys.nonce(own, asked.partial_iv),
            },
            of: Of {
                kid: own,
                partial_iv: asked.partial_iv,
            },
        };
        let place = datagram.get_mut(parts.sealed..).ok_or(Refusal::Cose)?;
        let plain = cipher.open(aes, place).ok_or(Refusal::Inauthentic)?;
        Ok(parts.sealed + plain.len())
    }

    /// Whether an authentic response was there before (RFC 8613 §7.4.1).
    fn settle(
        &mut self,
        asked: &Asked,
        partial_iv: Option<u64>,
        said: &Inner,
    ) -> Result<bool, Refusal> {
        if said.observe.is_some() && !asked.observes {
            return Err(Refusal::Unasked);
        }
        let first = !asked.answered && asked.highest.is_none();
        let repeated = match partial_iv {
            // Where there are no notifications there is one response.
            _ if !asked.observes => !first,
            None if first => false,
            None if asked.answered => true,
            None => return Err(Refusal::Replayed),
            Some(number) => match asked.highest {
                Some(highest) if number < highest => return Err(Refusal::Replayed),
                Some(highest) => number == highest,
                None => false,
            },
        };
        if let Some(entry) = self.asked.get(asked.token) {
            entry.answered |= partial_iv.is_none();
            entry.highest = entry.highest.max(partial_iv);
        }
        Ok(repeated)
    }
}

const fn again(len: usize) -> Opened {
    Opened::Message(Message {
        len,
        repeated: false,
        again: true,
    })
}
