//! What may be wrong with a package, and how a device reports it.

use core::fmt;

use lwm2m_objects::compute::ModelResult;
use lwm2m_objects::firmware::UpdateResult;

use crate::anchor::KeyId;

/// Why a package was refused. Never our fault: each names what the sender must change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackageError {
    /// The bytes are not deterministic CBOR (RFC 8949 §4.2.1), a length does not fit its
    /// container, or something follows where nothing may.
    Malformed,
    /// The head does not end within [`crate::MAX_HEAD`] bytes.
    HeadTooLong,
    /// Well formed, but not in the profile this receiver knows.
    Unsupported(Unsupported),
    /// The manifest does not have the digest in the authentication wrapper.
    ManifestDigest,
    /// Nobody whom this device trusts has signed it.
    Untrusted(Untrusted),
    /// The payload does not have the digest in the manifest.
    PayloadDigest,
    /// Image size (parameter 14) and length of the payload differ.
    SizeMismatch {
        /// Image size in the manifest, bytes.
        manifest: u64,
        /// Length of the payload's byte string, bytes.
        payload: u64,
    },
    /// A request of this device was not met.
    Refused(Refusal),
}

/// What the reader met that is not in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsupported {
    /// The outermost item is not a SUIT envelope (tag 107, a map of authentication wrapper,
    /// manifest and one payload).
    Envelope,
    /// An authentication block this receiver cannot verify, or a digest other than SHA-256.
    Authentication,
    /// A manifest version other than 1.
    ManifestVersion,
    /// A member of the manifest or of its common part.
    Member,
    /// A component other than one module or one firmware image.
    Component,
    /// A command sequence.
    Commands,
    /// A parameter.
    Parameter,
}

/// Why a package is not taken to be from who may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is not signed, and this device has a trust anchor.
    Unsigned,
    /// It is signed with a key that is no trust anchor of this device.
    UnknownKey(KeyId),
    /// The signature is not that of the key.
    Forged,
}

/// What a well-formed package demands that this device does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Vendor identifier of someone else.
    Vendor,
    /// Built for a device of another class.
    Class,
    /// This device has no such component.
    Component,
    /// Built for another runtime ABI.
    Abi {
        /// ABI version of the package.
        package: u32,
        /// ABI version of the device.
        device: u32,
    },
    /// The arena is too small.
    Arena {
        /// Bytes the module needs.
        needed: u32,
        /// Bytes the device has.
        available: u32,
    },
    /// The slot is too small.
    Storage {
        /// Bytes of the payload.
        needed: u32,
        /// Bytes of the slot.
        available: u32,
    },
    /// Not above that of the last package committed, or more than [`crate::MAX_JUMP`] above it.
    Sequence {
        /// Sequence number of the package.
        package: u64,
        /// Highest sequence number committed.
        floor: u64,
    },
}

impl From<Untrusted> for PackageError {
    fn from(why: Untrusted) -> Self {
        Self::Untrusted(why)
    }
}

impl PackageError {
    /// Update Result of Object 5 (/5/0/5).
    #[must_use]
    pub const fn update_result(self) -> UpdateResult {
        match self {
            Self::Malformed
            | Self::ManifestDigest
            | Self::Untrusted(_)
            | Self::PayloadDigest
            | Self::SizeMismatch { .. } => UpdateResult::IntegrityFailed,
            Self::HeadTooLong | Self::Unsupported(_) => UpdateResult::UnsupportedPackage,
            Self::Refused(refusal) => match refusal {
                Refusal::Storage { .. } => UpdateResult::NotEnoughFlash,
                Refusal::Arena { .. } => UpdateResult::OutOfRam,
                Refusal::Vendor | Refusal::Class | Refusal::Component | Refusal::Abi { .. } => {
                    UpdateResult::UnsupportedPackage
                }
                Refusal::Sequence { .. } => UpdateResult::Failed,
            },
        }
    }

    /// Result of Object 27303 (/27303/x/8).
    #[must_use]
    pub const fn model_result(self) -> ModelResult {
        match self {
            Self::Unsupported(Unsupported::Authentication) | Self::Untrusted(_) => {
                ModelResult::Signature
            }
            Self::Malformed
            | Self::ManifestDigest
            | Self::PayloadDigest
            | Self::SizeMismatch { .. } => ModelResult::Digest,
            Self::HeadTooLong | Self::Unsupported(_) => ModelResult::Unsupported,
            Self::Refused(refusal) => match refusal {
                Refusal::Vendor | Refusal::Class | Refusal::Component => ModelResult::OtherDevice,
                Refusal::Abi { .. } => ModelResult::Abi,
                Refusal::Arena { .. } => ModelResult::Arena,
                Refusal::Storage { .. } => ModelResult::Storage,
                // The object has no value for a replayed package; the signature of an old one is
                // no longer good enough, which is the nearest.
                Refusal::Sequence { .. } => ModelResult::Signature,
            },
        }
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the package is not deterministic CBOR"),
            Self::HeadTooLong => {
                write!(
                    f,
                    "the package's head is longer than {} bytes",
                    crate::MAX_HEAD
                )
            }
            Self::Unsupported(what) => write!(f, "the package has an unsupported {what}"),
            Self::ManifestDigest => f.write_str("the manifest does not match its digest"),
            Self::Untrusted(why) => why.fmt(f),
            Self::PayloadDigest => f.write_str("the payload does not match its digest"),
            Self::SizeMismatch { manifest, payload } => write!(
                f,
                "the manifest announces {manifest} bytes, the payload has {payload}"
            ),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("the package is not signed"),
            Self::UnknownKey(id) => {
                f.write_str("the package is signed with a key that is no trust anchor here: ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Forged => f.write_str("the signature of the package is wrong"),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "envelope",
            Self::Authentication => "authentication block or digest algorithm",
            Self::ManifestVersion => "manifest version",
            Self::Member => "manifest member",
            Self::Component => "component",
            Self::Commands => "command sequence",
            Self::Parameter => "parameter",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor => f.write_str("the package is from another vendor"),
            Self::Class => f.write_str("the package was built for another class of device"),
            Self::Component => f.write_str("the device has no such component"),
            Self::Abi { package, device } => {
                write!(
                    f,
                    "the package needs runtime ABI {package}, the device has {device}"
                )
            }
            Self::Arena { needed, available } => {
                write!(
                    f,
                    "the module needs {needed} bytes of arena, the device has {available}"
                )
            }
            Self::Storage { needed, available } => {
                write!(f, "the payload has {needed} bytes, the slot {available}")
            }
            Self::Sequence { package, floor } => {
                write!(
                    f,
                    "sequence number {package} is not above {floor}, the last committed"
                )
            }
        }
    }
}

impl core::error::Error for PackageError {}

impl From<Refusal> for PackageError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unsupported> for PackageError {
    fn from(what: Unsupported) -> Self {
        Self::Unsupported(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_follow_the_objects() {
        for (error, update, model) in [
            (PackageError::Malformed, 5, 3),
            (PackageError::ManifestDigest, 5, 3),
            (PackageError::PayloadDigest, 5, 3),
            (Unsupported::Commands.into(), 6, 8),
            (Unsupported::Authentication.into(), 6, 2),
            (Untrusted::Unsigned.into(), 5, 2),
            (Untrusted::UnknownKey([0; 8]).into(), 5, 2),
            (Untrusted::Forged.into(), 5, 2),
            (Refusal::Class.into(), 6, 4),
            (
                Refusal::Abi {
                    package: 2,
                    device: 1,
                }
                .into(),
                6,
                5,
            ),
            (
                Refusal::Arena {
                    needed: 2,
                    available: 1,
                }
                .into(),
                3,
                6,
            ),
            (
                Refusal::Storage {
                    needed: 2,
                    available: 1,
                }
                .into(),
                2,
                7,
            ),
            (
                Refusal::Sequence {
                    package: 1,
                    floor: 1,
                }
                .into(),
                8,
                2,
            ),
        ] {
            assert_eq!(
                (error.update_result() as u8, error.model_result() as u8),
                (update, model),
                "{error}"
            );
        }
    }
}
