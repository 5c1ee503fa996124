//! Who signed a package: the COSE_Sign1 of the authentication wrapper (RFC 9052 §4.2, detached
//! payload, draft-ietf-suit-manifest 8.3).

use crate::anchor::{Anchors, KeyId, TrustAnchor};
use crate::error::{PackageError, Unsupported};
use crate::verify::{Scheme, verify};

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

/// A signature and who says to have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<B> {
    /// How.
    pub algorithm: Algorithm,
    /// With which key.
    pub key_id: KeyId,
    /// 64 bytes: R and S of Ed25519, r and s of ECDSA.
    pub bytes: B,
}

impl Signature<[u8; 64]> {
    /// Whether it is that of a key, of the manifest with a digest.
    #[must_use]
    pub fn is_of(&self, anchor: &TrustAnchor, digest: &[u8; 32], schemes: &[Scheme]) -> bool {
        let mut anchors = Anchors::EMPTY;
        anchors.add(*anchor);
        let authentication = Authentication {
            digest: *digest,
            signature: Some(Signature {
                algorithm: self.algorithm,
                key_id: self.key_id,
                bytes: &self.bytes,
            }),
        };
        authentication.verify(&anchors, schemes).is_ok()
    }
}

/// The authentication wrapper of a package whose manifest has the digest in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication<'a> {
    /// SHA-256 of the wrapped manifest.
    pub digest: [u8; 32],
    /// None if the package is not signed.
    pub signature: Option<Signature<&'a [u8; 64]>>,
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

impl Authentication<'_> {
    /// Holds the signature against the trust anchors of this device; gives the key that made it.
    ///
    /// Without anchors everything is taken, and nobody's key is given.
    ///
    /// # Errors
    /// Nobody who is trusted has signed it.
    pub fn verify(
        &self,
        anchors: &Anchors,
        schemes: &[Scheme],
    ) -> Result<Option<KeyId>, Untrusted> {
        if anchors.is_empty() {
            return Ok(None);
        }
        let signature = self.signature.ok_or(Untrusted::Unsigned)?;
        let unknown = Untrusted::UnknownKey(signature.key_id);
        let anchor = anchors.find(&signature.key_id).ok_or(unknown)?;
        let signed = to_be_signed(signature.algorithm, &self.digest);
        let good = anchor.algorithm() == signature.algorithm
            && verify(
                schemes,
                signature.algorithm,
                anchor.point(),
                &signed,
                signature.bytes,
            );
        match good {
            true => Ok(Some(signature.key_id)),
            false => Err(Untrusted::Forged),
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

/// The one form of `18([<< {1: algorithm} >>, {4: h'key id'}, null, h'signature'])`.
pub(crate) fn signature(bytes: &[u8]) -> Result<Signature<&[u8; 64]>, Unsupported> {
    read_signature(bytes).ok_or(Unsupported::Authentication)
}

fn read_signature(bytes: &[u8]) -> Option<Signature<&[u8; 64]>> {
    let rest = bytes.strip_prefix(b"\xd2\x84\x43\xa1\x01")?;
    let (algorithm, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b"\xa1\x04\x48")?;
    let (key_id, rest) = rest.split_first_chunk()?;
    let rest = rest.strip_prefix(b"\xf6\x58\x40")?;
    Some(Signature {
        algorithm: Algorithm::from_encoded(*algorithm)?,
        key_id: *key_id,
        bytes: rest.try_into().ok()?,
    })
}

impl From<Untrusted> for PackageError {
    fn from(why: Untrusted) -> Self {
        Self::Untrusted(why)
    }
}
