//! Two ends and what they say to each other.

#![allow(dead_code)]

use tinsmith_coap::{Builder, Code, Message as Coap, MessageType, OptionNumber, Token};
use tinsmith_dtls::SoftAes;
use tinsmith_oscore::{Master, Message, Opened, Peer, Refusal, SealError, Start};

/// Bytes from hexadecimal digits.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// One end, with random bytes that tests can foresee.
pub(crate) struct End {
    pub(crate) peer: Peer,
    pub(crate) random: u64,
}

pub(crate) fn master(sender: &[u8], recipient: &[u8]) -> Master {
    let secret = hex("0102030405060708090a0b0c0d0e0f10");
    let salt = hex("9e7ca92223786340");
    Master::new(&secret, &salt, sender, recipient).expect("good")
}

/// Client and server of RFC 8613 §C.1.
pub(crate) fn ends(start: Start<'_>) -> (End, End) {
    (
        End::new(master(b"", b"\x01"), start),
        End::new(master(b"\x01", b""), start),
    )
}

impl End {
    pub(crate) fn new(master: Master, start: Start<'_>) -> Self {
        let mut peer = Peer::new(master, start).expect("good");
        let reservation = peer.reserve(1_000);
        peer.confirm_reserved(reservation);
        End { peer, random: 1 }
    }

    /// What is left after a restart, and numbers for what comes.
    pub(crate) fn restart(&mut self) {
        let stored = self.stored();
        let peer = Peer::new(self.peer.master().clone(), Start::Stored(&stored));
        self.peer = peer.expect("good");
        let reservation = self.peer.reserve(1_000);
        self.peer.confirm_reserved(reservation);
    }

    pub(crate) fn stored(&self) -> Vec<u8> {
        let mut out = [0; 100];
        let len = self.peer.encode(&mut out).expect("room");
        out[..len].to_vec()
    }

    pub(crate) fn try_seal(&mut self, datagram: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut out = [0; 2_000];
        let len = self.peer.seal(&mut SoftAes::new(), datagram, &mut out)?;
        Ok(out[..len].to_vec())
    }

    pub(crate) fn seal(&mut self, datagram: &[u8]) -> Vec<u8> {
        self.try_seal(datagram).expect("sealed")
    }

    pub(crate) fn open_any(&mut self, datagram: &[u8]) -> (Opened, Vec<u8>) {
        let mut datagram = datagram.to_vec();
        let mut out = [0; 2_000];
        let seed = &mut self.random;
        let mut random = |place: &mut [u8]| {
            for byte in place {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (*seed >> 33) as u8;
            }
        };
        let aes = &mut SoftAes::new();
        let opened = self.peer.open(aes, &mut random, &mut datagram, &mut out);
        let len = match opened {
            Opened::Message(Message { len, .. }) | Opened::Answer { len, .. } => len,
            _ => 0,
        };
        (opened, out[..len].to_vec())
    }

    /// A message that is not refused.
    pub(crate) fn open(&mut self, datagram: &[u8]) -> (Message, Vec<u8>) {
        match self.open_any(datagram) {
            (Opened::Message(message), bytes) => (message, bytes),
            (other, _) => panic!("{other:?}"),
        }
    }

    /// A new message of the peer.
    pub(crate) fn take(&mut self, datagram: &[u8]) -> Vec<u8> {
        let (message, bytes) = self.open(datagram);
        assert!(!message.repeated && !message.again, "{message:?}");
        bytes
    }

    /// What is answered.
    pub(crate) fn answers(&mut self, datagram: &[u8]) -> (Option<Refusal>, Vec<u8>) {
        match self.open_any(datagram) {
            (Opened::Answer { why, .. }, bytes) => (why, bytes),
            (other, _) => panic!("{other:?}"),
        }
    }
}

pub(crate) fn token(byte: u8) -> Token {
    Token::new(&[byte, 7]).expect("short")
}

/// A confirmable request for /3/0, with options.
pub(crate) fn request(
    id: u16,
    code: Code,
    with: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut all: Vec<(OptionNumber, &[u8])> = vec![
        (OptionNumber::URI_PATH, b"3"),
        (OptionNumber::URI_PATH, b"0"),
    ];
    all.extend_from_slice(with);
    all.sort_by_key(|(number, _)| *number);
    message(MessageType::Confirmable, id, code, &all, payload)
}

/// Its piggybacked response.
pub(crate) fn response(
    id: u16,
    code: Code,
    with: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    message(MessageType::Acknowledgement, id, code, with, payload)
}

pub(crate) fn message(
    kind: MessageType,
    id: u16,
    code: Code,
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut out = [0; 2_000];
    let mut builder = Builder::new(&mut out, kind, code, id, token(id as u8)).expect("room");
    for (number, value) in options {
        builder.option(*number, value).expect("in order");
    }
    builder.payload(payload).expect("room");
    builder.as_bytes().to_vec()
}

pub(crate) fn parse(bytes: &[u8]) -> Coap<'_> {
    Coap::parse(bytes).expect("a message")
}
