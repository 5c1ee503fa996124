//! Who signed a package: the COSE_Sign1 of the authentication wrapper (RFC 9052 §4.2, detached
//! payload, draft-ietf-suit-manifest 8.3).

use lwm2m_objects::cbor::{CborError, Reader};

use crate::anchor::{Anchors, KeyId};
use crate::error::{PackageError, Unsupported};
use crate::profile as p;
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

    /// The algorithm with a COSE number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::EdDsa, Self::Es256]
            .into_iter()
            .find(|algorithm| algorithm.number() == number)
    }

    /// Its protected header: `{1: algorithm}`.
    pub(crate) const fn protected(self) -> [u8; 3] {
        match self {
            Self::EdDsa => [0xa1, 1, 0x27],
            Self::Es256 => [0xa1, 1, 0x26],
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

/// What is signed: the Sig_structure (RFC 9052 §4.4) around the digest of the manifest.
#[must_use]
pub fn to_be_signed(algorithm: Algorithm, digest: &[u8; 32]) -> [u8; TO_BE_SIGNED] {
    let mut bytes = [0; TO_BE_SIGNED];
    let parts: [&[u8]; 5] = [
        b"\x84\x6aSignature1\x43",
        &algorithm.protected(),
        // No external data; the payload is the digest as in the wrapper.
        b"\x40\x58\x24",
        b"\x82\x2f\x58\x20",
        digest,
    ];
    let all = parts.iter().flat_map(|part| part.iter());
    for (place, byte) in bytes.iter_mut().zip(all) {
        *place = *byte;
    }
    bytes
}

/// `18([<< {1: algorithm} >>, {4: h'key id'}, null, h'signature'])`.
pub(crate) fn signature(bytes: &[u8]) -> Result<Signature<&[u8; 64]>, Unsupported> {
    read_signature(bytes).map_err(|_| Unsupported::Authentication)
}

fn read_signature(bytes: &[u8]) -> Result<Signature<&[u8; 64]>, CborError> {
    let mut reader = Reader::new(bytes);
    let r = &mut reader;
    let same = |same: bool| {
        if same {
            Ok(())
        } else {
            Err(CborError::Malformed)
        }
    };
    same(r.tag()? == p::TAG_COSE_SIGN1 && r.array()? == 4)?;
    let protected = r.bytes()?;
    let algorithm = [Algorithm::EdDsa, Algorithm::Es256]
        .into_iter()
        .find(|algorithm| algorithm.protected() == protected)
        .ok_or(CborError::Malformed)?;
    same(r.map()? == 1 && r.unsigned()? == p::COSE_KEY_ID)?;
    let key_id = r.bytes()?.try_into().map_err(|_| CborError::Malformed)?;
    r.null()?;
    let bytes = r.bytes()?.try_into().map_err(|_| CborError::Malformed)?;
    same(r.is_empty())?;
    Ok(Signature {
        algorithm,
        key_id,
        bytes,
    })
}

impl From<Untrusted> for PackageError {
    fn from(why: Untrusted) -> Self {
        Self::Untrusted(why)
    }
}
