//! Building packages, on the server.

use alloc::vec::Vec;
use core::fmt;

use lwm2m_objects::cbor::Writer;

use crate::algorithm::{Algorithm, TO_BE_SIGNED, to_be_signed};
use crate::authentication::Signature;
use crate::head::Head;
use crate::identity::sha256;
use crate::profile as p;
use crate::{MAX_COMPILER, MAX_HEAD, MAX_MODEL_NAME, MAX_MODEL_VERSION};

/// A head that cannot be encoded: a mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// Model name, model version or compiler is too long.
    TextTooLong {
        /// Which one.
        field: &'static str,
        /// Its length, bytes.
        len: usize,
        /// Its limit, bytes.
        limit: usize,
    },
    /// Size or digest in the head are not those of the payload.
    PayloadMismatch,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TextTooLong { field, len, limit } => {
                write!(
                    f,
                    "{field} has {len} bytes, a package carries at most {limit}"
                )
            }
            Self::PayloadMismatch => f.write_str("the head describes another payload"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// The whole package.
///
/// # Errors
/// A text that is too long, or a payload that is not the one the head describes.
pub fn encode(head: &Head<'_>, payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
    if u64::from(head.size) != payload.len() as u64 || head.digest != sha256(payload) {
        return Err(EncodeError::PayloadMismatch);
    }
    let mut package = encode_prefix(head)?;
    package.extend_from_slice(payload);
    Ok(package)
}

/// Everything before the payload, without signature; the package is this and then the payload's
/// bytes.
///
/// # Errors
/// A text that is too long.
pub fn encode_prefix(head: &Head<'_>) -> Result<Vec<u8>, EncodeError> {
    Ok(Manifest::of(head)?.prefix(None))
}

/// What of a head is signed.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// With the head of its byte string.
    wrapped: Vec<u8>,
    digest: [u8; 32],
    payload: u32,
}

impl Manifest {
    /// The manifest of a head.
    ///
    /// # Errors
    /// A text that is too long.
    pub fn of(head: &Head<'_>) -> Result<Self, EncodeError> {
        check_texts(head)?;
        let wrapped = Writer::new(Vec::new()).bytes(&manifest(head)).take();
        Ok(Self {
            digest: sha256(&wrapped),
            wrapped,
            payload: head.size,
        })
    }

    /// Its SHA-256, with the head of its byte string.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The bytes that are to be signed.
    #[must_use]
    pub fn to_be_signed(&self, algorithm: Algorithm) -> [u8; TO_BE_SIGNED] {
        to_be_signed(algorithm, &self.digest)
    }

    /// Everything before the payload; the package is this and then the payload's bytes.
    #[must_use]
    pub fn prefix(&self, signature: Option<&Signature<[u8; 64]>>) -> Vec<u8> {
        let mut authentication = Writer::new(Vec::new());
        authentication
            .array(1 + u64::from(signature.is_some()))
            .bytes(&suit_digest(&self.digest));
        if let Some(signature) = signature {
            authentication.bytes(&sign1(signature));
        }
        let prefix = Writer::new(Vec::new())
            .tag(p::TAG_ENVELOPE)
            .map(3)
            .unsigned(p::AUTHENTICATION)
            .bytes(&authentication.take())
            .unsigned(p::MANIFEST)
            .encoded(&self.wrapped)
            .text(p::PAYLOAD_KEY)
            .bytes_header(u64::from(self.payload))
            .take();
        debug_assert!(prefix.len() <= MAX_HEAD);
        prefix
    }
}

/// COSE_Sign1 with detached payload (RFC 9052 §4.2).
fn sign1(signature: &Signature<[u8; 64]>) -> Vec<u8> {
    Writer::new(Vec::new())
        .tag(p::TAG_COSE_SIGN1)
        .array(4)
        .bytes(&[0xa1, 1, signature.algorithm.encoded()])
        .map(1)
        .unsigned(p::COSE_KEY_ID)
        .bytes(&signature.key_id)
        .null()
        .bytes(&signature.bytes)
        .take()
}

fn check_texts(head: &Head<'_>) -> Result<(), EncodeError> {
    for (field, text, limit) in [
        ("model name", head.model_name, MAX_MODEL_NAME),
        ("model version", head.model_version, MAX_MODEL_VERSION),
        ("compiler", head.compiler, MAX_COMPILER),
    ] {
        let len = text.len();
        if len > limit {
            return Err(EncodeError::TextTooLong { field, len, limit });
        }
    }
    Ok(())
}

fn manifest(head: &Head<'_>) -> Vec<u8> {
    let validate = Writer::new(Vec::new())
        .array(2)
        .unsigned(p::IMAGE_MATCH)
        .unsigned(p::REPORT_ALL)
        .take();
    let install = Writer::new(Vec::new())
        .array(8)
        .integer(p::CONDITION_RUNTIME)
        .unsigned(p::REPORT_ALL)
        .unsigned(p::OVERRIDE_PARAMETERS)
        .map(1)
        .unsigned(p::URI)
        .text(p::PAYLOAD_KEY)
        .unsigned(p::FETCH)
        .unsigned(p::REPORT_ALL)
        .unsigned(p::IMAGE_MATCH)
        .unsigned(p::REPORT_ALL)
        .take();
    Writer::new(Vec::new())
        .map(5)
        .unsigned(p::VERSION)
        .unsigned(1)
        .unsigned(p::SEQUENCE_NUMBER)
        .unsigned(head.sequence)
        .unsigned(p::COMMON)
        .bytes(&common(head))
        .unsigned(p::VALIDATE)
        .bytes(&validate)
        .unsigned(p::INSTALL)
        .bytes(&install)
        .take()
}

fn common(head: &Head<'_>) -> Vec<u8> {
    Writer::new(Vec::new())
        .map(2)
        .unsigned(p::COMPONENTS)
        .array(1)
        .array(1)
        .bytes(head.kind.component().as_bytes())
        .unsigned(p::SHARED_SEQUENCE)
        .bytes(&shared_sequence(head))
        .take()
}

fn shared_sequence(head: &Head<'_>) -> Vec<u8> {
    let slots = u64::from(head.slot.is_some());
    let mut w = Writer::new(Vec::new());
    w.array(6 + 2 * slots)
        .unsigned(p::OVERRIDE_PARAMETERS)
        .map(11 + slots)
        .unsigned(p::VENDOR_IDENTIFIER)
        .bytes(&head.vendor_id)
        .unsigned(p::CLASS_IDENTIFIER)
        .bytes(&head.class_id)
        .unsigned(p::IMAGE_DIGEST)
        .bytes(&suit_digest(&head.digest));
    if let Some(slot) = head.slot {
        w.unsigned(p::COMPONENT_SLOT).unsigned(u64::from(slot));
    }
    w.unsigned(p::IMAGE_SIZE)
        .unsigned(u64::from(head.size))
        .integer(p::ABI)
        .unsigned(u64::from(head.abi))
        .integer(p::ARENA)
        .unsigned(u64::from(head.arena_bytes))
        .integer(p::TRIAL)
        .unsigned(u64::from(head.trial_s))
        .integer(p::MODEL_NAME)
        .text(head.model_name)
        .integer(p::MODEL_VERSION)
        .text(head.model_version)
        .integer(p::SOURCE_DIGEST)
        .bytes(&head.source_digest)
        .integer(p::COMPILER)
        .text(head.compiler)
        .unsigned(p::VENDOR_IDENTIFIER)
        .unsigned(p::REPORT_ALL)
        .unsigned(p::CLASS_IDENTIFIER)
        .unsigned(p::REPORT_ALL);
    if head.slot.is_some() {
        w.unsigned(p::COMPONENT_SLOT).unsigned(p::REPORT_ALL);
    }
    w.take()
}

/// `[-16, h'digest']`.
fn suit_digest(digest: &[u8; 32]) -> Vec<u8> {
    Writer::new(Vec::new())
        .array(2)
        .integer(p::SHA_256)
        .bytes(digest)
        .take()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    /// Example 0 of draft-ietf-suit-manifest: what the digest of a manifest is taken over.
    #[test]
    fn the_manifest_digest_is_that_of_the_draft() {
        let image = hex("00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210");
        let shared = Writer::new(Vec::new())
            .array(6)
            .unsigned(p::OVERRIDE_PARAMETERS)
            .map(4)
            .unsigned(p::VENDOR_IDENTIFIER)
            .bytes(&hex::<16>("fa6b4a53d5ad5fdfbe9de663e4d41ffe"))
            .unsigned(p::CLASS_IDENTIFIER)
            .bytes(&hex::<16>("1492af1425695e48bf429b2d51f2ab45"))
            .unsigned(p::IMAGE_DIGEST)
            .bytes(&suit_digest(&image))
            .unsigned(p::IMAGE_SIZE)
            .unsigned(34_768)
            .unsigned(p::VENDOR_IDENTIFIER)
            .unsigned(p::REPORT_ALL)
            .unsigned(p::CLASS_IDENTIFIER)
            .unsigned(p::REPORT_ALL)
            .take();
        let common = Writer::new(Vec::new())
            .map(2)
            .unsigned(p::COMPONENTS)
            .array(1)
            .array(1)
            .bytes(&[0])
            .unsigned(p::SHARED_SEQUENCE)
            .bytes(&shared)
            .take();
        let manifest = Writer::new(Vec::new())
            .map(5)
            .unsigned(p::VERSION)
            .unsigned(1)
            .unsigned(p::SEQUENCE_NUMBER)
            .unsigned(0)
            .unsigned(p::COMMON)
            .bytes(&common)
            .unsigned(p::VALIDATE)
            .bytes(&[0x82, 3, 15])
            .unsigned(9)
            .bytes(&[0x82, 23, 2])
            .take();
        assert_eq!(
            sha256(&Writer::new(Vec::new()).bytes(&manifest).take()),
            hex("6658ea560262696dd1f13b782239a064da7c6c5cbaf52fded428a6fc83c7e5af")
        );
    }
}
