//! ES256 (RFC 9053 §2.1): ECDSA on P-256 with SHA-256, by the crate p256.

use p256::Sec1Point;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use crate::algorithm::TO_BE_SIGNED;
use crate::identity::sha256;

/// Whether `signature` is that of the key with these coordinates.
#[inline(never)]
pub(super) fn verify(point: &[u8; 64], message: &[u8; TO_BE_SIGNED], signature: &[u8; 64]) -> bool {
    let (Some(key), Ok(signature)) = (key(point), Signature::from_slice(signature)) else {
        return false;
    };
    key.verify_prehash(&sha256(message), &signature).is_ok()
}

/// A point of the curve.
#[inline(never)]
pub(super) fn is_key(point: &[u8; 64]) -> bool {
    key(point).is_some()
}

fn key(point: &[u8; 64]) -> Option<VerifyingKey> {
    let point = Sec1Point::from_untagged_bytes(point.into());
    VerifyingKey::from_sec1_point(&point).ok()
}
