//! Who signed a package: the COSE_Sign1 of the authentication wrapper (RFC 9052 §4.2, detached
//! payload, draft-ietf-suit-manifest 8.3).

use crate::algorithm::{Algorithm, to_be_signed};
use crate::anchor::{Anchors, KeyId, TrustAnchor};
use crate::error::{Unsupported, Untrusted};
use crate::verify::{Scheme, verify};

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
