//! Who a package is from (vendor identifier, draft-ietf-suit-manifest 8.4.8.2), and how a transfer
//! names it.

use sha2::{Digest, Sha256};

/// Our vendor identifier, fixed for all time: `4e3c1f0a-7d52-4b9e-9a61-2c8f5d70b3e4`.
pub const VENDOR_ID: [u8; 16] = [
    0x4e, 0x3c, 0x1f, 0x0a, 0x7d, 0x52, 0x4b, 0x9e, 0x9a, 0x61, 0x2c, 0x8f, 0x5d, 0x70, 0xb3, 0xe4,
];

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The Request-Tag (RFC 9175 §3) of a transfer of the package `prefix` followed by
/// `payload`: the first 8 bytes of its SHA-256.
#[must_use]
pub fn request_tag(prefix: &[u8], payload: &[u8]) -> [u8; 8] {
    let digest = Sha256::new()
        .chain_update(prefix)
        .chain_update(payload)
        .finalize();
    let mut tag = [0; 8];
    tag.copy_from_slice(&digest[..8]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_tag_does_not_depend_on_the_cut() {
        assert_eq!(request_tag(b"abc", b"def"), request_tag(b"", b"abcdef"));
        assert_eq!(request_tag(b"ab", b"c"), sha256(b"abc")[..8]);
    }
}
