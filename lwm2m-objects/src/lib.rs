//! LwM2M object definitions, paths, values and content formats, without heap.
//!
//! Both ends use it: a client encodes what it is asked for straight into a datagram
//! ([`format::encode`] into a [`Window`]), a server decodes into owned values
//! ([`format::decode_all`]). Definitions come from the DDF files in `ddf/`, see [`model`]. The
//! numbers, names and descriptors that objects carry are in [`firmware`], [`software`] and
//! [`compute`].
//!
//! Features: `alloc` adds owned values; `std` adds serde and the owned
//! [`Capability`](capability::Capability).
#![cfg_attr(not(any(test, feature = "std")), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod capability;
pub mod cbor;
pub mod compute;
pub mod decimal;
mod define;
pub mod firmware;
pub mod format;
#[cfg(feature = "alloc")]
pub mod hex;
pub mod model;
mod number;
mod path;
mod records;
pub mod sink;
pub mod software;
mod value;

pub use format::{Codec, ContentFormat, FormatError, Record};
pub use model::{ids, models, object};
pub use number::UnknownNumber;
pub use path::{MAX_ID, MAX_PATH_LEN, Path, PathError, PathText};
pub use records::{FromFn, Records};
pub use sink::{Counter, Sink, SliceSink, Window};
#[cfg(feature = "alloc")]
pub use value::OwnedValue;
pub use value::{Objlnk, Value, ValueType};
