//! The capability digest (27300/0/13).

use sha2::{Digest as _, Sha256};

use crate::Records;

/// Bytes of a capability digest.
pub const DIGEST_LEN: usize = 16;

/// The digest over the constant resources among the records.
pub fn digest<R: Records + ?Sized>(records: &R) -> [u8; DIGEST_LEN] {
    let _ = records;
    let hash = Sha256::new().chain_update(b"tinsmith-capability-1").finalize();
    let mut digest = [0; DIGEST_LEN];
    digest.copy_from_slice(&hash[..DIGEST_LEN]);
    digest
}
