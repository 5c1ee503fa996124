//! The records of a plan: one file per operator, with the record as the device reads it and, under
//! the feature `build`, as the compiler writes it.

mod view;
pub mod window;

#[cfg(feature = "build")]
mod owned;

pub use view::View;
pub use window::Window;

#[cfg(feature = "build")]
pub use owned::*;
