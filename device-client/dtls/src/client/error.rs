//! Why there is no association.

use core::fmt;

use crate::alert::{Alert, AlertDescription};
#[cfg(feature = "x509")]
use crate::x509::Flaw;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server did not answer, however often it was asked.
    TimedOut,
    /// The server refused; the alert says why.
    Refused(Alert),
    /// The server does what the standard does not allow, or what was not agreed.
    Misbehaved(Misbehaved),
    /// Identity or key are too long or empty, or are no keys.
    Credentials,
    /// A Connection ID of the server is longer than [`MAX_CID`](crate::MAX_CID).
    CidTooLong,
}

/// Which rule the server breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaved {
    /// A message of this type can't be read.
    Decode(u8),
    /// A message of this type is longer than any that is put together.
    TooLong(u8),
    /// A message of this type comes out of turn.
    OutOfTurn(u8),
    /// It chose another version than DTLS 1.2.
    Version([u8; 2]),
    /// It chose a cipher suite that was not offered.
    Suite(u16),
    /// It chose to compress.
    Compression,
    /// It answered an extension that was not asked for, or one twice.
    Extension(u16),
    /// Its Finished is not that of this handshake: it has another key, or somebody is between.
    Finished,
    /// It wants one cookie after the other.
    Cookies,
    /// It does not show, or ask for, what was offered: raw public keys or certificates.
    #[cfg(feature = "rpk")]
    CertificateType,
    /// It shows another key, or certificate, than the one that it has.
    #[cfg(feature = "rpk")]
    Stranger,
    /// It chose another curve, or a point that is not on it.
    #[cfg(feature = "rpk")]
    Curve,
    /// It did not sign this handshake with the key that it shows.
    #[cfg(feature = "rpk")]
    Signature,
    /// It takes no signature with ECDSA and SHA-256.
    #[cfg(feature = "rpk")]
    Request,
    /// Its certificate is not to be believed.
    #[cfg(feature = "x509")]
    Certificate(Flaw),
}

impl HandshakeError {
    /// What the server is told.
    pub(super) const fn alert(self) -> Option<AlertDescription> {
        use AlertDescription as To;
        Some(match self {
            Self::TimedOut | Self::Refused(_) => return None,
            Self::Credentials | Self::CidTooLong => To::INTERNAL_ERROR,
            Self::Misbehaved(rule) => match rule {
                Misbehaved::Decode(_) | Misbehaved::TooLong(_) => To::DECODE_ERROR,
                Misbehaved::OutOfTurn(_) | Misbehaved::Cookies => To::UNEXPECTED_MESSAGE,
                Misbehaved::Version(_) => To::PROTOCOL_VERSION,
                Misbehaved::Suite(_) | Misbehaved::Compression => To::ILLEGAL_PARAMETER,
                Misbehaved::Extension(_) => To::UNSUPPORTED_EXTENSION,
                Misbehaved::Finished => To::DECRYPT_ERROR,
                #[cfg(feature = "rpk")]
                Misbehaved::CertificateType => To::UNSUPPORTED_CERTIFICATE,
                #[cfg(feature = "rpk")]
                Misbehaved::Stranger => To::CERTIFICATE_UNKNOWN,
                #[cfg(feature = "rpk")]
                Misbehaved::Curve => To::ILLEGAL_PARAMETER,
                #[cfg(feature = "rpk")]
                Misbehaved::Signature => To::DECRYPT_ERROR,
                #[cfg(feature = "rpk")]
                Misbehaved::Request => To::HANDSHAKE_FAILURE,
                #[cfg(feature = "x509")]
                Misbehaved::Certificate(flaw) => match flaw {
                    Flaw::Unreadable | Flaw::Name => To::BAD_CERTIFICATE,
                    Flaw::Authority => To::UNKNOWN_CA,
                    Flaw::Expired => To::CERTIFICATE_EXPIRED,
                    Flaw::Usage => To::UNSUPPORTED_CERTIFICATE,
                },
            },
        })
    }
}

impl From<Misbehaved> for HandshakeError {
    fn from(rule: Misbehaved) -> Self {
        Self::Misbehaved(rule)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer to the DTLS handshake"),
            Self::Refused(alert) => {
                write!(
                    f,
                    "the server refused the DTLS handshake: {:?}",
                    alert.description
                )
            }
            Self::Misbehaved(rule) => rule.fmt(f),
            Self::Credentials => f.write_str("identity or key are empty or too long, or no keys"),
            Self::CidTooLong => f.write_str("the server's Connection ID is too long"),
        }
    }
}

impl fmt::Display for Misbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(of) => write!(f, "handshake message {of} of the server can't be read"),
            Self::TooLong(of) => write!(f, "handshake message {of} of the server is too long"),
            Self::OutOfTurn(of) => write!(f, "handshake message {of} out of turn"),
            Self::Version([major, minor]) => {
                write!(f, "the server chose version {major}.{minor}, not DTLS 1.2")
            }
            Self::Suite(suite) => write!(f, "the server chose cipher suite {suite:#06x}"),
            Self::Compression => f.write_str("the server chose to compress"),
            Self::Extension(of) => write!(f, "the server answered extension {of}, unasked"),
            Self::Finished => f.write_str("the server has another key, or somebody is between"),
            Self::Cookies => f.write_str("the server wants one cookie after the other"),
            #[cfg(feature = "rpk")]
            Self::CertificateType => f.write_str("the server has another kind of certificates"),
            #[cfg(feature = "rpk")]
            Self::Stranger => f.write_str("the server shows a key that is not its own"),
            #[cfg(feature = "rpk")]
            Self::Curve => f.write_str("the server chose another curve, or no point of it"),
            #[cfg(feature = "rpk")]
            Self::Signature => f.write_str("the server did not sign with the key that it shows"),
            #[cfg(feature = "rpk")]
            Self::Request => f.write_str("the server takes no signature with ECDSA and SHA-256"),
            #[cfg(feature = "x509")]
            Self::Certificate(flaw) => f.write_str(match flaw {
                Flaw::Unreadable => "the server's certificate can't be read",
                Flaw::Authority => "no trusted authority is above the server's certificate",
                Flaw::Expired => "a certificate of the server is not valid now",
                Flaw::Name => "the server's certificate has another name",
                Flaw::Usage => "the server's certificate is not for servers",
            }),
        }
    }
}

impl core::error::Error for HandshakeError {}
