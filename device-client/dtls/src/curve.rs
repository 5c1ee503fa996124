//! P-256: keys as accounts have them, the agreement of a secret, signatures over SHA-256.

use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::ops::Reduce as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::{FieldBytes, NonZeroScalar, PublicKey, Scalar, Sec1Point, SecretKey};
use zeroize::Zeroizing;

use crate::bytes::Writer;
use crate::der::{Der, INTEGER, OCTET_STRING, SEQUENCE};

/// Bytes of a point that is not compressed.
pub(crate) const POINT: usize = 65;
/// Bytes of a SubjectPublicKeyInfo (RFC 5480).
pub const PUBLIC_KEY: usize = INFO.len() + POINT;
/// Most bytes of a private key, as PKCS #8 with its public key.
pub const MAX_PRIVATE_KEY: usize = 160;
/// Most bytes of a signature as DER (RFC 3279 §2.2.3).
pub(crate) const MAX_SIGNATURE: usize = 72;

/// Before the point of a SubjectPublicKeyInfo: id-ecPublicKey, secp256r1.
const INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The part of it that names algorithm and curve.
const ALGORITHM: core::ops::Range<usize> = 4..23;
/// The part of that which names the curve.
const CURVE: core::ops::Range<usize> = 13..23;

/// The point of a SubjectPublicKeyInfo, if it is one of this curve and not compressed.
pub(crate) fn point_of(info: &[u8]) -> Option<&[u8; POINT]> {
    let point: &[u8; POINT] = info.strip_prefix(&INFO[..])?.try_into().ok()?;
    (point[0] == 4).then_some(point)
}

/// The SubjectPublicKeyInfo (RFC 5480) of a private key as an account has it.
#[must_use]
pub fn public_key_info(private_key: &[u8]) -> Option<[u8; PUBLIC_KEY]> {
    let point = PrivateKey::read(private_key)?.public();
    let mut info = [0; PUBLIC_KEY];
    let (head, rest) = info.split_at_mut(INFO.len());
    head.copy_from_slice(&INFO);
    rest.copy_from_slice(&point);
    Some(info)
}

/// Whether it is the SubjectPublicKeyInfo of a key that there is.
pub(crate) fn is_public_key(info: &[u8]) -> bool {
    point_of(info).is_some_and(|point| PublicKey::from_sec1_bytes(point).is_ok())
}

/// Whether both are the same bytes, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let differs = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differs == 0
}

/// Of one end; overwritten at its end.
pub(crate) struct PrivateKey(SecretKey);

impl PrivateKey {
    /// Of PKCS #8 (RFC 5958), or of the ECPrivateKey in it (RFC 5915) alone.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let mut outer = Der::new(der);
        let mut key = outer.within(SEQUENCE)?;
        outer.end()?;
        let version = key.of(INTEGER)?;
        if key.tag() == Some(SEQUENCE) {
            if !matches!(version, [0 | 1]) || key.of(SEQUENCE)? != &INFO[ALGORITHM] {
                return None;
            }
            // Attributes and the public key may follow.
            let mut inner = Der::new(key.of(OCTET_STRING)?);
            key = inner.within(SEQUENCE)?;
            inner.end()?;
            if key.of(INTEGER)? != [1] {
                return None;
            }
        } else if version != [1] {
            return None;
        }
        let secret = key.of(OCTET_STRING)?;
        let curve = key.optional(0xa0)?;
        if curve.is_some_and(|curve| curve != &INFO[CURVE]) {
            return None;
        }
        SecretKey::from_bytes(secret.try_into().ok()?)
            .ok()
            .map(Self)
    }

    /// Of random bytes, for one handshake.
    pub(crate) fn of_random(random: &[u8; 32]) -> Option<Self> {
        let scalar = Zeroizing::new(Scalar::reduce(<&FieldBytes>::from(random)));
        let scalar: Option<NonZeroScalar> = NonZeroScalar::new(*scalar).into();
        scalar.map(|scalar| Self(scalar.into()))
    }

    /// The point of its public key.
    pub(crate) fn public(&self) -> [u8; POINT] {
        let point = Sec1Point::from(self.0.public_key());
        let mut bytes = [0; POINT];
        bytes.copy_from_slice(point.as_bytes());
        bytes
    }

    /// The secret that it has in common with the private key of a public one, none if that is no
    /// point of the curve (RFC 8422 §5.10).
    pub(crate) fn agree(&self, point: &[u8; POINT]) -> Option<Zeroizing<[u8; 32]>> {
        let public = PublicKey::from_sec1_bytes(point).ok()?;
        let scalar = self.0.to_nonzero_scalar();
        let shared = (public.to_projective() * scalar.as_ref()).to_affine();
        Some(Zeroizing::new(shared.x().into()))
    }

    /// A signature of a hash, as DER; how long it is.
    pub(crate) fn sign(&self, hash: &[u8; 32], out: &mut [u8; MAX_SIGNATURE]) -> Option<usize> {
        let key = SigningKey::from(&self.0);
        let signature: Signature = key.sign_prehash(hash).ok()?;
        let bytes = signature.to_bytes();
        let (r, s) = bytes.split_at(32);
        let (r, s) = (number(r), number(s));
        let len = |(sign, of): (bool, &[u8])| 2 + usize::from(sign) + of.len();
        let mut writer = Writer::new(out);
        writer.put(&[SEQUENCE, (len(r) + len(s)) as u8]);
        for (sign, of) in [r, s] {
            writer.put(&[INTEGER, (usize::from(sign) + of.len()) as u8]);
            writer.put(&[0][..usize::from(sign)]);
            writer.put(of);
        }
        writer.finish()
    }
}

/// A number without the zeros before it, and whether its first bit is set.
fn number(bytes: &[u8]) -> (bool, &[u8]) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let of = bytes.get(zeros..).unwrap_or_default();
    (of.first().is_some_and(|first| *first >= 0x80), of)
}

/// Whether the signature, as DER, is one of this hash by this key.
pub(crate) fn is_signed(point: &[u8; POINT], hash: &[u8; 32], signature: &[u8]) -> bool {
    let verify = || {
        let signature = read_signature(signature)?;
        let key = VerifyingKey::from_sec1_bytes(point).ok()?;
        key.verify_prehash(hash, &signature).ok()
    };
    verify().is_some()
}

fn read_signature(signature: &[u8]) -> Option<Signature> {
    let mut outer = Der::new(signature);
    let mut both = outer.within(SEQUENCE)?;
    outer.end()?;
    let mut bytes = [0; 64];
    for place in bytes.chunks_exact_mut(32) {
        let of = both.unsigned()?;
        let start = place.len().checked_sub(of.len())?;
        place.get_mut(start..)?.copy_from_slice(of);
    }
    both.end()?;
    Signature::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// Made by OpenSSL: `openssl ecparam -name prime256v1 -genkey`, `openssl pkcs8 -topk8 -nocrypt`,
    /// `openssl ec -pubout`.
    const SEC1: &str = "\
        30770201010420dcd61b061c922c60f83c9e2f979f7e8c206167c8f85d8f32f7b9606276c874f2a0\
        0a06082a8648ce3d030107a1440342000464273afc2149f6b00c7e859761d3096df602c52fa96578\
        a6e8d4f5f8313dc78ea6bdf5af9927d1671eea8a875f43723ab599116c78391481c3f29cdbd32dc9\
        72";
    const PKCS8: &str = "\
        308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420dcd61b06\
        1c922c60f83c9e2f979f7e8c206167c8f85d8f32f7b9606276c874f2a1440342000464273afc2149\
        f6b00c7e859761d3096df602c52fa96578a6e8d4f5f8313dc78ea6bdf5af9927d1671eea8a875f43\
        723ab599116c78391481c3f29cdbd32dc972";
    const INFO_OF_IT: &str = "\
        3059301306072a8648ce3d020106082a8648ce3d0301070342000464273afc2149f6b00c7e859761\
        d3096df602c52fa96578a6e8d4f5f8313dc78ea6bdf5af9927d1671eea8a875f43723ab599116c78\
        391481c3f29cdbd32dc972";
    /// `printf abc | openssl dgst -sha256 -sign`.
    const SIGNED: &str = "\
        30440220295315f59c1fe028bdb5ed1d7f8eda9d936e130a90b02ff1a02ec21d701b75a902204e01\
        cf6f851b157bc0ef06a314427d2ce9b47ecd3f7830c0e9f6028b9acba6b2";
    /// SHA-256 of `abc` (FIPS 180-4).
    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn hash() -> [u8; 32] {
        hex(HASH).try_into().unwrap()
    }

    #[test]
    fn private_keys_in_both_forms() {
        for text in [SEC1, PKCS8] {
            let der = hex(text);
            assert!(der.len() <= MAX_PRIVATE_KEY);
            assert_eq!(public_key_info(&der).unwrap()[..], hex(INFO_OF_IT));
            for cut in 0..der.len() {
                assert_eq!(public_key_info(&der[..cut]), None);
            }
            assert_eq!(public_key_info(&[&der[..], &[0]].concat()), None);
        }
        // Another curve in its parameters.
        let mut other = hex(SEC1);
        let at = other.windows(10).position(|w| w == &INFO[CURVE]).unwrap();
        other[at + 9] ^= 1;
        assert_eq!(public_key_info(&other), None);
        // Zero, and the order of the curve, are no keys.
        for secret in [
            &[0; 32][..],
            &hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
        ] {
            let key = [&[0x30, 37, 2, 1, 1, 4, 32][..], secret].concat();
            assert_eq!(public_key_info(&key), None);
        }
    }

    #[test]
    fn points() {
        let info = hex(INFO_OF_IT);
        assert_eq!(point_of(&info).unwrap()[..], info[26..]);
        assert_eq!(point_of(&info[1..]), None);
        let mut hybrid = info.clone();
        hybrid[26] = 6;
        assert_eq!(point_of(&hybrid), None);
        // Not on the curve.
        let mut off: [u8; POINT] = info[26..].try_into().unwrap();
        off[64] ^= 1;
        assert!(
            PrivateKey::of_random(&[3; 32])
                .unwrap()
                .agree(&off)
                .is_none()
        );
        assert!(!is_signed(&off, &hash(), &hex(SIGNED)));
    }

    /// NIST CAVP, ECC CDH primitive, P-256, COUNT = 0.
    #[test]
    fn the_known_agreement() {
        let secret = hex("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534");
        let peer = hex("04
            700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287
            db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac");
        let shared = hex("46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b");
        let key = PrivateKey::of_random(&secret.try_into().unwrap()).unwrap();
        let agreed = key.agree(&peer.try_into().unwrap()).unwrap();
        assert_eq!(agreed[..], shared);
        assert!(PrivateKey::of_random(&[0; 32]).is_none());
    }

    #[test]
    fn signatures_of_ours_and_of_openssl() {
        let key = PrivateKey::read(&hex(SEC1)).unwrap();
        let point = key.public();
        assert!(is_signed(&point, &hash(), &hex(SIGNED)));
        for n in 0..40u8 {
            let hash = [n; 32];
            let mut out = [0; MAX_SIGNATURE];
            let len = key.sign(&hash, &mut out).unwrap();
            assert!(is_signed(&point, &hash, &out[..len]));
            assert!(!is_signed(&point, &[n + 1; 32], &out[..len]));
            let mut changed = out;
            changed[usize::from(n) % len] ^= 0x10;
            assert!(!is_signed(&point, &hash, &changed[..len]));
        }
    }
}
