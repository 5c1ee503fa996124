//! What is answered to a request that can't be opened: plain CoAP (RFC 8613 §7.4, §8.2).

use core::fmt;

use tinsmith_coap::{
    BuildError, Builder, Code, Message, MessageId, MessageType, OptionNumber, Token, stateless,
};

/// Why a message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It is no CoAP message, or not one that fits the buffer.
    Malformed,
    /// The OSCORE option or the plaintext is malformed.
    Cose,
    /// Its sender or its ID Context is not known.
    NoContext,
    /// It came before, long ago, or may have.
    Replayed,
    /// It was changed on the way, or its sender has other keys.
    Inauthentic,
    /// A proxy cut it into blocks, or is meant to pass it on.
    Proxy,
    /// A response to nothing that was asked.
    Unasked,
    /// A request without OSCORE where it is needed.
    Unprotected,
}

impl Refusal {
    /// The code of the answer, and its text.
    #[must_use]
    pub const fn answer(self) -> (Code, &'static str) {
        match self {
            Self::Cose | Self::Malformed => (Code::BAD_OPTION, "Failed to decode COSE"),
            Self::NoContext => (Code::UNAUTHORIZED, "Security context not found"),
            Self::Replayed => (Code::UNAUTHORIZED, "Replay detected"),
            Self::Inauthentic => (Code::BAD_REQUEST, "Decryption failed"),
            Self::Proxy => (Code::PROXYING_NOT_SUPPORTED, "No proxy"),
            Self::Unasked => (Code::BAD_REQUEST, ""),
            Self::Unprotected => (Code::UNAUTHORIZED, "OSCORE only"),
        }
    }

    /// Writes the answer to a request, unprotected and with an outer Max-Age of 0; its length. A
    /// message that is not confirmable is answered with this message id.
    ///
    /// # Errors
    /// There is no room.
    pub fn write(
        self,
        request: &Message<'_>,
        id: MessageId,
        out: &mut [u8],
    ) -> Result<usize, BuildError> {
        let (code, text) = self.answer();
        stateless::reply(request, id, code, out, |b| add(b, text))
    }

    pub(crate) fn write_to(
        self,
        kind: MessageType,
        id: MessageId,
        token: Token,
        out: &mut [u8],
    ) -> Result<usize, BuildError> {
        let (code, text) = self.answer();
        let mut builder = Builder::new(out, kind, code, id, token)?;
        add(&mut builder, text)?;
        Ok(builder.len())
    }
}

fn add(builder: &mut Builder<'_>, text: &str) -> Result<(), BuildError> {
    builder.uint(OptionNumber::MAX_AGE, 0)?;
    builder.payload(text.as_bytes())?;
    Ok(())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "no CoAP message",
            Self::Cose => "malformed OSCORE option or plaintext",
            Self::NoContext => "no security context for its sender",
            Self::Replayed => "message that was there before",
            Self::Inauthentic => "message that is not authentic",
            Self::Proxy => "message that a proxy has changed or is to pass on",
            Self::Unasked => "response to nothing that was asked",
            Self::Unprotected => "message without OSCORE",
        })
    }
}

impl core::error::Error for Refusal {}
