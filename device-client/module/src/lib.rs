//! The module: what the compiler builds, the package carries and the device executes in place.
//!
//! - [`mod@format`]: the container; its bytes are described in `docs/module-format.md`.
//! - [`loader`]: [`Module`], a checked view of an image that borrows it and copies nothing.
//! - [`plan`]: the records a plan is made of, one file per operator.
//! - [`kernels`]: the portable kernels, one file per operator.
//! - [`run`]: executing a plan in an arena, and its golden self test.
//! - [`numerics`]: the rounding and the constants that compiler and engines share.
//! - `build` (feature `build`): the writer.
//! - `spec` (feature `std`): the arithmetic as plain loops, which the kernels are held to.
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

pub use arena::Arena;
pub use format::{ABI_VERSION, CONTAINER_VERSION, IMAGE_ALIGN, NUMERICS_VERSION};
pub use kernels::Kernel;
pub use loader::{Host, Module, ModuleError, Refusal, Step};
pub use run::{Class, RunError, Runner, SelfTest, SelfTestError};
