//! Tinsmith: an LwM2M server with a model compiler inside.
//!
//! A constrained device bootstraps and registers over CoAP; the server reads what it is made of,
//! compiles a model into a module for exactly that device, pushes it over the air, watches its
//! trial and commits or rolls back.

pub mod cli;
#[cfg(feature = "compiler")]
pub mod compiler;
pub mod digest;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod inference;
#[cfg(feature = "server")]
pub mod lwm2m;
pub mod samples;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
pub mod task;
#[cfg(feature = "server")]
pub mod transport;
#[cfg(feature = "server")]
pub mod update;
#[cfg(feature = "server")]
pub mod zoo;
