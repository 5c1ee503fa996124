//! The module: what the compiler builds, the package carries and the device executes in place.
//!
//! From the bottom up, where each knows those before it only:
//!
//! - [`numerics`]: the rounding and the constants that compiler and engines share.
//! - [`mod@format`]: the bytes; they are described in `docs/module-format.md`.
//! - [`plan`]: the records a plan is made of, one file per operator.
//! - [`Arena`]: the memory of a run.
//! - [`kernels`]: the portable kernels, one file per operator.
//! - [`loader`]: [`Module`], a checked view of an image that borrows it and copies nothing.
//! - [`run`]: executing a plan in an arena, and its golden self test.
//! - `spec` (feature `std`): the arithmetic as plain loops, which the kernels are held to.
//! - `build` (feature `build`): the writer, one file per operator.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

#[cfg(feature = "build")]
extern crate alloc;

mod arena;
#[cfg(feature = "build")]
pub mod build;
pub mod format;
pub mod kernels;
pub mod loader;
pub mod numerics;
pub mod plan;
pub mod run;
#[cfg(feature = "std")]
pub mod spec;

pub use arena::{Arena, RunError};
pub use format::{ABI_VERSION, CONTAINER_VERSION, IMAGE_ALIGN, ModuleError, NUMERICS_VERSION};
pub use kernels::Kernel;
pub use loader::{Host, Module, Refusal, Step};
pub use run::{Class, Runner, SelfTest, SelfTestError};
