//! What a device is made of: objects 27300 (Compute Platform), 27301 (Compute Unit) and 27302
//! (Memory Region), and the digest over what of it stays constant between two boots.

mod digest;
mod kernels;
#[cfg(feature = "std")]
mod owned;
#[cfg(feature = "std")]
mod values;

pub use digest::{DIGEST_LEN, digest, is_constant};
pub use kernels::{Kernels, KernelsError, encode_kernels, kernels};
#[cfg(feature = "std")]
pub use owned::{Capability, CapabilityError, Platform, Region, Unit};
