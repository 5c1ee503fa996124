//! The LwM2M client: bootstrap, registration, objects, updates and trial, in memory given by the
//! caller.
//!
//! [`Client`] has no socket, clock, flash driver or heap. A board's loop is:
//!
//! ```text
//! let mut client = Client::new(config, &[&sensor], memory);
//! client.start(now(), &mut board)?;
//! loop {
//!     while let Some(output) = client.poll(now(), &mut buf, &mut board) {
//!         match output {
//!             Output::Transmit { to, len } => socket.send_to(&buf[..len], to),
//!             Output::Flash(op) => { let result = flash(op); remember it for FlashDone }
//!             Output::Reboot => reset(),
//!             Output::Event(event) => log(event),
//!         }
//!         if a flash operation is done { client.handle(now(), Input::FlashDone(result), ..) }
//!     }
//!     wait for a datagram, or until client.next_deadline(), and call client.handle(..)
//! }
//! ```
//!
//! An application brings objects of its own as [`Object`]s, here a sensor.
//!
//! Time, randomness and the memory-mapped flash come in with each call ([`Now`], [`Platform`]), so
//! the same code runs on a board, on a host, and in tests with virtual time and power cuts.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

mod answer;
mod bootstrap;
mod client;
mod config;
#[cfg(feature = "oscore")]
mod contexts;
mod datagrams;
mod device;
mod event;
mod flash;
mod handler;
#[cfg(feature = "dtls")]
mod kept;
mod manage;
#[cfg(any(test, feature = "std"))]
pub mod mem_flash;
mod object;
mod objects;
mod platform;
mod read;
mod request;
#[cfg(test)]
mod scenario;
#[cfg(feature = "oscore")]
mod sealed;
mod secure;
#[cfg(feature = "dtls")]
mod secured;
mod session;
mod shell;
mod start;
mod store;
#[cfg(test)]
mod testing;
mod text;
mod turn;
mod update;
mod upload;
mod uri;
mod zero;

pub use client::Client;
#[cfg(feature = "x509")]
pub use config::Certificates;
#[cfg(feature = "rpk")]
pub use config::KeyPair;
#[cfg(feature = "oscore")]
pub use config::OscoreFactory;
#[cfg(feature = "dtls")]
pub use config::SecureFactory;
pub use config::{Config, ConfigError, Factory};
#[cfg(any(test, feature = "std"))]
pub use device::module_class;
pub use event::{BootstrapError, Event};
pub use flash::{
    FlashError, FlashLayout, FlashOp, FlashRead, LayoutError, MAX_WRITE_UNIT, MIN_JOURNAL_HALF,
    Region, SLOTS,
};
pub use handler::{Body, Done, Origin, Part, Target, Ticket};
pub use lwm2m_objects::compute::{ModelResult, SlotState};
pub use lwm2m_objects::firmware::{State as FirmwareState, UpdateResult};
pub use object::{Context, Object, Values, View};
pub use platform::{Now, Platform};
pub use session::{Observation, Session};
pub use shell::{Buffers, Input, Memory, Output};
pub use tinsmith_coap::Code;
#[cfg(feature = "dtls")]
pub use tinsmith_dtls::HandshakeError;
#[cfg(feature = "rpk")]
pub use tinsmith_dtls::public_key_info;
#[cfg(feature = "board-aes")]
pub use tinsmith_dtls::{Aes, BLOCK, SoftAes};
pub use tinsmith_package::{Anchors, MAX_ANCHORS, Scheme, TrustAnchor};
