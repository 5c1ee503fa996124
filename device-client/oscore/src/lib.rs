//! OSCORE (RFC 8613) without a heap, a socket, a clock or randomness: CoAP messages protected from
//! end to end, for both ends.
//!
//! A [`Peer`] is what one end knows of another. It stands between CoAP and the datagrams, as DTLS
//! would: [`Peer::seal`] makes an OSCORE message of a plain one, [`Peer::open`] the plain one of
//! what came. Messages without a code (acknowledgements, resets, pings) go as they are.
//!
//! The cipher is AES-CCM-16-64-128, the key derivation HKDF with SHA-256, which every
//! implementation has.
//!
//! # Numbers are never used twice
//!
//! A number used twice with one key gives both contents away. There are three ways to keep them
//! apart over a restart, see [`Start`]: numbers are reserved in steps and the mark is made durable
//! before they are used ([`Peer::reserve`], RFC 8613 §B.1.1); or the keys are derived again
//! (RFC 8613 §B.2), which needs nothing durable and one more round trip; or the keys are new.
//!
//! Which requests were received is not durable. After a restart the first one is answered with an
//! Echo option (RFC 8613 §B.1.2) that the peer must repeat; or, if nothing is known any more, with
//! a part of new keys.
//!
//! # A message that is sent again
//!
//! CoAP repeats messages above this layer. A request that is repeated is sealed to the same bytes,
//! so the other end knows it for what it is. One that arrives again is opened again and marked as
//! [`repeated`](Message::repeated): it must only be compared with what was answered
//! ([`Endpoint::handle_repeated`](tinsmith_coap::Endpoint::handle_repeated)), never be acted on.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod bytes;
mod cose;
mod derive;
mod exchange;
mod message;
mod numbers;
mod option;
mod peer;
mod rederive;
mod refusal;
#[cfg(test)]
mod testing;
mod window;

pub use crate::derive::{
    AES_CCM_16_64_128, HKDF_SHA_256, MAX_ID, MAX_ID_CONTEXT, MAX_SALT, MAX_SECRET, Master,
    MasterError,
};
pub use crate::option::{NUMBERS, OscoreOption};
pub use crate::peer::{
    MAX_ENCODED, MAX_OVERHEAD, Message, Opened, Peer, Reservation, SealError, Start, StoredError,
};
pub use crate::rederive::Random;
pub use crate::refusal::Refusal;
pub use crate::window::{Seen, Window};
pub use tinsmith_dtls::Aes;
#[cfg(feature = "soft-aes")]
pub use tinsmith_dtls::SoftAes;
