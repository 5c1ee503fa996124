//! What is wrong with what a server is to show or to believe.

use std::fmt;

use openssl::error::ErrorStack;

/// Why something can't be shown or believed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OwnError {
    /// The key is none of P-256, in PEM and without a password.
    Key,
    /// There is no certificate, or one can't be read.
    Certificate,
    /// The certificate is of another key.
    Mismatch,
    /// There is no authority, or one can't be read.
    Authorities,
    /// There is no revocation list, or one can't be read.
    Revocations,
    /// The revocation list of this issuer is signed by none of the authorities.
    Unsigned(String),
    /// OpenSSL failed.
    OpenSsl(ErrorStack),
}

impl fmt::Display for OwnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the key must be an EC key of P-256 in PEM, not encrypted"),
            Self::Certificate => f.write_str("no certificate in PEM, or one that can't be read"),
            Self::Mismatch => f.write_str("the certificate is not that of the key"),
            Self::Authorities => {
                f.write_str("no certificate of an authority in PEM, or one that can't be read")
            }
            Self::Revocations => {
                f.write_str("no revocation list in PEM or DER, or one that can't be read")
            }
            Self::Unsigned(issuer) => write!(
                f,
                "the revocation list of {issuer} is signed by no authority that is believed; its \
                 certificate has to be among those of --coaps-ca"
            ),
            Self::OpenSsl(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OwnError {}

impl From<ErrorStack> for OwnError {
    fn from(error: ErrorStack) -> Self {
        Self::OpenSsl(error)
    }
}
