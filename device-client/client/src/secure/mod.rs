//! What lies between a session's CoAP and its datagrams: DTLS, for servers that are talked to with
//! it, and nothing for the others.

#[cfg(feature = "dtls")]
mod psk;
#[cfg(feature = "dtls")]
pub(crate) use psk::{Secure, Step};

#[cfg(not(feature = "dtls"))]
mod none;
#[cfg(not(feature = "dtls"))]
pub(crate) use none::Secure;
