//! A device as a process: the client that runs on a microcontroller, on a UDP socket, with its
//! flash in a file.
//!
//! What the device is made of comes from a target file (`device-client/boards/targets`): its arena
//! and its module slots have the sizes that the part has, and its flash has the part's erase and
//! write units, so a device that is too small is too small here as well.

mod anchor;
mod flash;
mod run;
mod target;

pub use anchor::read_anchor;
pub use run::{Application, Config, Error, Factory, Psk, run, run_with};
pub use target::{Target, TargetError, names};
pub use tinsmith_client::TrustAnchor;
