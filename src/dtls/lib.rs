//! DTLS 1.2 for all peers of one UDP socket, without the socket: [`Server`] takes datagrams and the
//! time, and says what to send, what was received and who is gone.
//!
//! Handshakes are OpenSSL's. A ClientHello costs nothing before its sender has sent a cookie back;
//! a peer's first data after the handshake frees OpenSSL's part of it, and what is left is an
//! [`Association`](tinsmith_dtls::Association) of a few hundred bytes, which no C code sees and which
//! can be kept over a restart.
//!
//! OpenSSL takes random bytes and the time of its retransmissions from the system; everything else
//! comes in as arguments.

mod agreement;
mod associations;
mod beside;
mod cid;
mod config;
mod context;
mod cookie;
mod credentials;
mod error;
mod established;
mod ffi;
mod handshake;
mod hello;
mod kept;
mod own;
mod pending;
mod proof;
mod proven;
mod revocations;
mod revoke;
mod server;
mod shown;
mod siblings;
mod subject;
#[cfg(test)]
mod testing;

pub use cid::{CID_LEN, worker};
pub use config::{Ask, Config, Counters, NotSent, Output};
pub use credentials::{Credentials, Psk};
pub use error::OwnError;
pub use handshake::Failure;
pub use hello::ClientHello;
pub use kept::Unreadable;
pub use openssl::error::ErrorStack;
pub use own::{Authority, Own};
pub use server::Server;
pub use siblings::Siblings;
pub use subject::{authority_digest, raw_key_digest, subject_public_key_info};
pub use tinsmith_dtls::Window;
