//! What lies between a session's CoAP and its datagrams: OSCORE and DTLS, for servers that are
//! talked to with them, and nothing for the others.

#[cfg(feature = "dtls")]
mod dtls;
#[cfg(feature = "dtls")]
pub(crate) use dtls::{Secure, Step};

#[cfg(not(feature = "dtls"))]
mod none;
#[cfg(not(feature = "dtls"))]
pub(crate) use none::Secure;

#[cfg(feature = "oscore")]
mod oscore;
#[cfg(feature = "oscore")]
pub(crate) use oscore::Oscore;

#[cfg(not(feature = "oscore"))]
mod no_oscore;
#[cfg(not(feature = "oscore"))]
pub(crate) use no_oscore::Oscore;
