//! One world for tests: the real server core and reconciler against the real client with its flash
//! in memory, in virtual time.
//!
//! Loss, duplication, reordering, rebinding, power cuts, and cuts of the server's store follow from
//! one seed, so that a failure is repeated by its number.

mod chance;
mod counter;
mod device;
mod disk;
mod heard;
pub mod models;
mod network;
mod seeds;
mod server;
mod signers;
mod world;

pub use chance::Chance;
pub use counter::Counter;
pub use device::Device;
pub use disk::Disk;
pub use heard::Heard;
pub use network::{Datagram, Network, Weather};
pub use seeds::tell;
pub use server::{BOOTSTRAP, MANAGEMENT, Server, Told, Waits};
pub use signers::Signers;
pub use world::World;
