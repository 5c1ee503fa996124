//! Names and public keys of certificates.

use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef};
use openssl::x509::{X509, X509NameRef, X509Ref};
use sha2::{Digest, Sha256};

/// The SubjectPublicKeyInfo of a public key, in PEM or DER; none if it is no key of P-256.
#[must_use]
pub fn subject_public_key_info(key: &[u8]) -> Option<Vec<u8>> {
    let read = PKey::public_key_from_pem(key).or_else(|_| PKey::public_key_from_der(key));
    let key = read.ok()?;
    let curve = key.ec_key().ok()?.group().curve_name();
    let bytes = info(&key)?;
    (curve == Some(Nid::X9_62_PRIME256V1)).then_some(bytes)
}

/// What a raw public key is known by: the SHA-256 digest of its SubjectPublicKeyInfo.
#[must_use]
pub fn raw_key_digest(info: &[u8]) -> [u8; 32] {
    Sha256::digest(info).into()
}

/// What an authority is known by, of its certificate in PEM: SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn authority_digest(pem: &[u8]) -> Option<[u8; 32]> {
    let certificate = X509::from_pem(pem).ok()?;
    key_digest(&certificate)
}

/// The SubjectPublicKeyInfo of a key that OpenSSL has.
pub(crate) fn info<T: openssl::pkey::HasPublic>(key: &PKeyRef<T>) -> Option<Vec<u8>> {
    key.public_key_to_der().ok()
}

/// SHA-256 of the SubjectPublicKeyInfo of who has a certificate.
pub(crate) fn key_digest(certificate: &X509Ref) -> Option<[u8; 32]> {
    let key = certificate.public_key().ok()?;
    Some(raw_key_digest(&info(&key)?))
}

/// A name, as others write it too (RFC 4514 §2, in the other order).
pub(crate) fn name_of(name: &X509NameRef) -> String {
    let parts = name.entries().map(|entry| {
        let kind = entry.object().nid().short_name().unwrap_or("?");
        let value = entry.data().to_string().unwrap_or_default();
        let value = value.replace('\\', "\\\\").replace(',', "\\,");
        format!("{kind}={value}")
    });
    parts.collect::<Vec<_>>().join(", ")
}

pub(crate) fn common_name(certificate: &X509Ref) -> Option<String> {
    let mut entries = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    entries.next()?.data().to_string().ok()
}
