//! What firmware with embassy has in common.
//!
//! With the feature `build`, for build scripts: [`build::Target`] makes the linker script, the
//! layout of the flash and the capability records of a target file. With the feature `run`, for
//! the firmware: [`run`] is the loop around the client, for whatever is a [`Board`] and a
//! [`Network`].
#![cfg_attr(not(feature = "build"), no_std)]

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "part")]
mod device;
#[cfg(feature = "run")]
mod memory;
#[cfg(feature = "run")]
mod network;
#[cfg(feature = "run")]
mod node;
#[cfg(feature = "part")]
mod part;

#[cfg(feature = "part")]
pub use device::Device;
#[cfg(feature = "run")]
pub use memory::ClientMemory;
#[cfg(feature = "run")]
pub use network::{DATAGRAM, Network};
#[cfg(feature = "run")]
pub use node::{Application, Board, NoApplication, run};
#[cfg(feature = "part")]
pub use part::Part;
