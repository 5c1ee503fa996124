//! The head of a package: what a device knows before the first byte of the payload.

mod parse;

use crate::authentication::Authentication;
use crate::error::{PackageError, Refusal};
use crate::identity::VENDOR_ID;
use crate::{MAX_HEAD, MAX_JUMP};
use parse::{Outer, Stop};

/// What the payload is; on the wire the only part of the component identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A whole firmware image.
    Firmware,
    /// A model with what is needed to run it, for one of the model slots.
    Module,
    /// The trust anchors that replace those of the device, as COSE_KeySet.
    Anchors,
}

impl Kind {
    /// The part of the component identifier.
    #[must_use]
    pub const fn component(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Module => "module",
            Self::Anchors => "trust-anchor",
        }
    }

    fn from_component(part: &[u8]) -> Option<Self> {
        [Self::Firmware, Self::Module, Self::Anchors]
            .into_iter()
            .find(|kind| kind.component().as_bytes() == part)
    }
}

/// Everything a package says of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Manifest sequence number: above that of every package committed before.
    pub sequence: u64,
    /// What the payload is.
    pub kind: Kind,
    /// The slot it was built for; `None` leaves the choice to the device.
    pub slot: Option<u8>,
    /// Vendor identifier, a UUID ([`VENDOR_ID`]).
    pub vendor_id: [u8; 16],
    /// Class identifier, a UUID (`module_class_id`, `firmware_class_id`).
    pub class_id: [u8; 16],
    /// SHA-256 of the payload.
    pub digest: [u8; 32],
    /// Length of the payload, bytes.
    pub size: u32,
    /// Runtime ABI version it needs (27300/0/3).
    pub abi: u32,
    /// Arena it needs, bytes (27303/x/14).
    pub arena_bytes: u32,
    /// Seconds until a trial that nobody commits rolls back; 0: commit after a green self test.
    pub trial_s: u32,
    /// Model name (27303/x/0), at most [`MAX_MODEL_NAME`](crate::MAX_MODEL_NAME) bytes.
    pub model_name: &'a str,
    /// Model version (27303/x/1), at most [`MAX_MODEL_VERSION`](crate::MAX_MODEL_VERSION) bytes.
    pub model_version: &'a str,
    /// SHA-256 of the source model (27303/x/2).
    pub source_digest: [u8; 32],
    /// Name and version of the compiler (27303/x/4), at most [`MAX_COMPILER`](crate::MAX_COMPILER) bytes.
    pub compiler: &'a str,
}

/// How far the head has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no heap")]
pub enum Parsed<'a> {
    /// Nothing wrong so far, but the head goes on.
    NeedMore,
    /// The head is complete, and its manifest has the digest of the authentication wrapper.
    Complete {
        /// The head.
        head: Head<'a>,
        /// Who signed it.
        authentication: Authentication<'a>,
        /// Offset of the payload's first byte in the package.
        payload_offset: usize,
        /// Length of the payload, bytes; the package ends with it.
        payload_len: u32,
    },
}

/// What a device gives, to hold a head against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The class of modules this device runs; also that of packages with trust anchors.
    pub module_class: [u8; 16],
    /// The class of firmware it takes; `None` if it takes none.
    pub firmware_class: Option<[u8; 16]>,
    /// Its runtime ABI version.
    pub abi: u32,
    /// Its arena, bytes.
    pub arena_bytes: u32,
    /// Size of the slot the payload would go to, bytes.
    pub slot_bytes: u32,
    /// Highest sequence number committed; 0 before the first.
    pub sequence_floor: u64,
}

impl<'a> Head<'a> {
    /// Reads the head from the first bytes of a package, as many as have arrived.
    ///
    /// More than [`MAX_HEAD`] bytes may be given; the head must end within the first `MAX_HEAD`.
    ///
    /// # Errors
    /// As soon as the bytes cannot become a package of the profile any more.
    pub fn parse(input: &'a [u8]) -> Result<Parsed<'a>, PackageError> {
        let window = &input[..input.len().min(MAX_HEAD)];
        match Outer::new(window, window.len() < MAX_HEAD).envelope() {
            Ok((head, authentication, payload_offset, payload_len)) => Ok(Parsed::Complete {
                head,
                authentication,
                payload_offset,
                payload_len,
            }),
            Err(Stop::NeedMore) => Ok(Parsed::NeedMore),
            Err(Stop::Refuse(error)) => Err(error),
        }
    }

    /// Holds the head against what this device gives.
    ///
    /// # Errors
    /// The first demand that is not met.
    pub fn check(&self, receiver: &Receiver) -> Result<(), Refusal> {
        if self.vendor_id != VENDOR_ID {
            return Err(Refusal::Vendor);
        }
        let class = match self.kind {
            Kind::Module | Kind::Anchors => receiver.module_class,
            Kind::Firmware => receiver.firmware_class.ok_or(Refusal::Component)?,
        };
        if self.class_id != class {
            return Err(Refusal::Class);
        }
        if self.abi != receiver.abi {
            return Err(Refusal::Abi {
                package: self.abi,
                device: receiver.abi,
            });
        }
        let above = self.sequence.saturating_sub(receiver.sequence_floor);
        if above == 0 || above > MAX_JUMP {
            let (package, floor) = (self.sequence, receiver.sequence_floor);
            return Err(Refusal::Sequence { package, floor });
        }
        if self.size > receiver.slot_bytes {
            let (needed, available) = (self.size, receiver.slot_bytes);
            return Err(Refusal::Storage { needed, available });
        }
        if self.arena_bytes > receiver.arena_bytes {
            let (needed, available) = (self.arena_bytes, receiver.arena_bytes);
            return Err(Refusal::Arena { needed, available });
        }
        Ok(())
    }
}
