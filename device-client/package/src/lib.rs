//! The package that carries a module or a firmware image to a device: a SUIT envelope
//! (draft-ietf-suit-manifest) in deterministic CBOR, with the payload last.
//!
//! Everything before the payload is the *head*, at most [`MAX_HEAD`] bytes, so a device can refuse
//! a package before it erases anything. [`Head::parse`] needs neither heap nor copies: feed it the
//! first bytes as they arrive. The byte layout is in `docs/package-format.md`.
//!
//! The manifest is held to one profile: every head has exactly one encoding. What a full SUIT
//! interpreter would decide by running commands, this reader decides by comparing with the only
//! command sequences the profile allows; anything else is [`PackageError::Unsupported`].
#![cfg_attr(not(any(test, feature = "std")), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod algorithm;
mod anchor;
mod authentication;
#[cfg(feature = "class-ids")]
mod class;
#[cfg(feature = "alloc")]
mod encode;
mod error;
mod head;
mod identity;
mod profile;
mod verify;

pub use crate::algorithm::{Algorithm, TO_BE_SIGNED, to_be_signed};
pub use crate::anchor::{Anchors, KeyId, MAX_ANCHOR, MAX_ANCHORS, TrustAnchor};
pub use crate::authentication::{Authentication, Signature};
#[cfg(feature = "class-ids")]
pub use crate::class::{firmware_class_id, module_class_id, vendor_uuid};
pub use crate::error::{PackageError, Refusal, Unsupported, Untrusted};
pub use crate::head::{Head, Kind, Parsed, Receiver};
pub use crate::identity::{VENDOR_ID, request_tag, sha256};
pub use crate::verify::Scheme;

#[cfg(feature = "alloc")]
pub use crate::encode::{EncodeError, Manifest, encode, encode_prefix};

/// Longest head (everything before the first byte of the payload), in bytes.
pub const MAX_HEAD: usize = 1024;

/// As far as the sequence number of a package may be above the highest one committed: nobody uses up
/// all of them by one package.
pub const MAX_JUMP: u64 = 1 << 32;
/// Longest model name, in bytes of UTF-8 (27303/x/0).
pub const MAX_MODEL_NAME: usize = 64;
/// Longest model version, in bytes of UTF-8 (27303/x/1).
pub const MAX_MODEL_VERSION: usize = 32;
/// Longest compiler string, in bytes of UTF-8 (27303/x/4).
pub const MAX_COMPILER: usize = 64;
