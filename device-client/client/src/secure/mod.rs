//! What lies between a session's CoAP and its datagrams: DTLS, for servers that are talked to with
//! it, and nothing for the others.

#[cfg(feature = "dtls")]
mod dtls;
#[cfg(feature = "dtls")]
pub(crate) use dtls::{Secure, Step};

#[cfg(not(feature = "dtls"))]
mod none;
#[cfg(not(feature = "dtls"))]
pub(crate) use none::Secure;
