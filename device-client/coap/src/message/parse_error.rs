//! What can be wrong with a datagram.

use core::fmt;

use super::{Code, MessageType};

/// What the sender of a datagram broke in the message format (RFC 7252 §3).
///
/// [`stateless::refusal`](crate::stateless::refusal) says whether to answer with a Reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than the header of 4 bytes.
    TooShort,
    /// Version is not 1: to be ignored silently.
    Version(u8),
    /// Token length 9 to 15. 13 and 14 are extended tokens (RFC 8974), which we don't use.
    TokenLength(u8),
    /// The token is cut off.
    TokenTruncated,
    /// Code of a reserved class (1, 3, 6, 7) or a detail without a class.
    ReservedClass(Code),
    /// Code 0.00 with a token, options or a payload (RFC 7252 §4.1).
    EmptyWithContent,
    /// A type that may not carry this code: an empty NON, a request in an ACK, a RST with content
    /// (RFC 7252 §4.3, table 1).
    TypeAndCode(MessageType, Code),
    /// Option delta 15 that is not the payload marker.
    ReservedDelta,
    /// Option length 15.
    ReservedLength,
    /// An option's extended header or value is cut off.
    OptionTruncated,
    /// The option number is above 65,535.
    OptionNumber,
    /// Payload marker without payload.
    MarkerWithoutPayload,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("shorter than a CoAP header"),
            Self::Version(version) => write!(f, "CoAP version {version}, not 1"),
            Self::TokenLength(len) => write!(f, "token length {len} is not 0 to 8"),
            Self::TokenTruncated => f.write_str("token is cut off"),
            Self::ReservedClass(code) => write!(f, "code {code} is of a reserved class"),
            Self::EmptyWithContent => f.write_str("empty message has a token or more bytes"),
            Self::TypeAndCode(kind, code) => write!(f, "{kind:?} may not carry code {code}"),
            Self::ReservedDelta => f.write_str("option delta 15 is reserved"),
            Self::ReservedLength => f.write_str("option length 15 is reserved"),
            Self::OptionTruncated => f.write_str("option is cut off"),
            Self::OptionNumber => f.write_str("option number is above 65535"),
            Self::MarkerWithoutPayload => f.write_str("payload marker without payload"),
        }
    }
}

impl core::error::Error for ParseError {}
