//! The LwM2M client: bootstrap, registration, objects, updates and trial, in memory given by the
//! caller.
//!
//! [`Client`] has no socket, clock, flash driver or heap. A board's loop is:
//!
//! ```text
//! let mut client = Client::new(config, memory);
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
//! An application brings objects of its own as [`Object`]s.
//!
//! Time, randomness and the memory-mapped flash come in with each call ([`Now`], [`Platform`]), so
//! the same code runs on a board, on a host, and in tests with virtual time and power cuts.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

mod body;
mod bootstrap;
mod client;
mod device;
mod engine;
mod facts;
mod flash;
mod job;
mod log;
mod manage;
#[cfg(any(test, feature = "std"))]
pub mod mem_flash;
mod object;
mod objects;
mod observe;
mod parts;
mod platform;
mod read;
mod registration;
mod request;
#[cfg(test)]
mod scenario;
mod session;
mod start;
mod storage;
mod store;
#[cfg(test)]
mod testing;
mod text;
mod update;
mod uri;
mod write;
mod zero;

pub use client::Client;
#[cfg(any(test, feature = "std"))]
pub use facts::module_class;
pub use flash::{
    FlashError, FlashLayout, FlashOp, FlashRead, LayoutError, MAX_WRITE_UNIT, MIN_JOURNAL_HALF,
    Region, SLOTS,
};
pub use object::{Body, Context, Done, Object, Origin, Part, Target, Ticket, Values, View};
pub use observe::Observation;
pub use platform::{
    BootstrapError, Buffers, Config, ConfigError, Event, Input, Memory, Now, Output, Platform,
};
pub use session::Session;
pub use tinsmith_coap::Code;
pub use update::firmware::{FirmwareState, UpdateResult};
pub use update::slot::{ModelResult, SlotState};
