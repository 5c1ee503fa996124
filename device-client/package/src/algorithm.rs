//! Signature algorithms, and what is signed.

/// A signature algorithm, by its COSE number (RFC 9053 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Its COSE number.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
        }
    }

    /// Its COSE number in CBOR.
    pub(crate) const fn encoded(self) -> u8 {
        match self {
            Self::EdDsa => 0x27,
            Self::Es256 => 0x26,
        }
    }

    /// The algorithm with a COSE number, in CBOR.
    pub(crate) fn from_encoded(number: u8) -> Option<Self> {
        match number {
            0x27 => Some(Self::EdDsa),
            0x26 => Some(Self::Es256),
            _ => None,
        }
    }
}

/// Bytes of what is signed.
pub const TO_BE_SIGNED: usize = 55;

/// What is signed: the Sig_structure (RFC 9052 §4.4) around the digest of the manifest, which is in
/// it as in the wrapper; there is no external data.
#[must_use]
pub fn to_be_signed(algorithm: Algorithm, digest: &[u8; 32]) -> [u8; TO_BE_SIGNED] {
    const START: &[u8; TO_BE_SIGNED - 32] =
        b"\x84\x6aSignature1\x43\xa1\x01\x27\x40\x58\x24\x82\x2f\x58\x20";
    const ALGORITHM: usize = 15;
    let mut bytes = [0; TO_BE_SIGNED];
    let (start, end) = bytes.split_at_mut(START.len());
    start.copy_from_slice(START);
    start[ALGORITHM] = algorithm.encoded();
    end.copy_from_slice(digest);
    bytes
}
