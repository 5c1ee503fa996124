//! What the server shows of itself to peers without a pre-shared key, and whose certificates it
//! believes.

use std::fmt;

use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::x509::X509;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The most certificates between that of the server and an authority, and of authorities.
const MOST: usize = 1000;

/// Why something can't be shown or believed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OwnError {
    /// The key is none of P-256, in PEM and without a password.
    Key,
    /// There is no certificate, or one can't be read.
    Certificate,
    /// The certificate is of another key.
    Mismatch,
    /// There is no authority, or one can't be read.
    Authorities,
    /// OpenSSL failed.
    OpenSsl(ErrorStack),
}

impl fmt::Display for OwnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the key must be an EC key of P-256 in PEM, not encrypted"),
            Self::Certificate => f.write_str("no certificate in PEM, or one that can't be read"),
            Self::Mismatch => f.write_str("the certificate is not that of the key"),
            Self::Authorities => {
                f.write_str("no certificate of an authority in PEM, or one that can't be read")
            }
            Self::OpenSsl(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OwnError {}

impl From<ErrorStack> for OwnError {
    fn from(error: ErrorStack) -> Self {
        Self::OpenSsl(error)
    }
}

/// The server's own key, its certificate if it has one, and the authorities whose certificates it
/// believes.
#[derive(Clone)]
pub struct Own {
    pub(crate) key: PKey<Private>,
    /// Its own certificate first; empty: it shows its raw public key only.
    pub(crate) chain: Vec<X509>,
    pub(crate) authorities: Vec<X509>,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("chain", &self.chain.len())
            .field("authorities", &self.authorities.len())
            .finish_non_exhaustive()
    }
}

impl Own {
    /// With a key in PEM and nothing else: for raw public keys (RFC 7250).
    ///
    /// # Errors
    /// It is no key of P-256.
    pub fn new(key: &[u8]) -> Result<Self, OwnError> {
        // A callback, or OpenSSL would ask the terminal for a password.
        let key = PKey::private_key_from_pem_callback(key, |_| Ok(0)).map_err(|_| OwnError::Key)?;
        let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
        if curve != Some(Nid::X9_62_PRIME256V1) {
            return Err(OwnError::Key);
        }
        Ok(Self {
            key,
            chain: Vec::new(),
            authorities: Vec::new(),
        })
    }

    /// Shows a certificate as well: PEM, its own first, then those of the authorities between.
    ///
    /// # Errors
    /// It can't be read, or is that of another key.
    pub fn with_certificate(mut self, chain: &[u8]) -> Result<Self, OwnError> {
        self.chain = certificates(chain).ok_or(OwnError::Certificate)?;
        let own = self.chain.first().ok_or(OwnError::Certificate)?;
        if !own.public_key()?.public_eq(&self.key) {
            return Err(OwnError::Mismatch);
        }
        Ok(self)
    }

    /// Believes certificates of these authorities, in PEM. One may be a root, an authority below
    /// one, or the certificate of a device.
    ///
    /// # Errors
    /// One can't be read, or there is none.
    pub fn with_authorities(mut self, authorities: &[u8]) -> Result<Self, OwnError> {
        self.authorities = certificates(authorities).ok_or(OwnError::Authorities)?;
        Ok(self)
    }

    /// The SubjectPublicKeyInfo of its key: what devices with raw public keys have to know.
    ///
    /// # Errors
    /// OpenSSL failed.
    pub fn public_key(&self) -> Result<Vec<u8>, OwnError> {
        Ok(self.key.public_key_to_der()?)
    }

    /// A new key of P-256, in PEM.
    ///
    /// # Errors
    /// OpenSSL failed.
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, OwnError> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        Ok(Zeroizing::new(key.private_key_to_pem_pkcs8()?))
    }
}

/// At least one, and all of them.
fn certificates(pem: &[u8]) -> Option<Vec<X509>> {
    let all = X509::stack_from_pem(pem).ok()?;
    (1..=MOST).contains(&all.len()).then_some(all)
}

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

/// The SubjectPublicKeyInfo of a key that OpenSSL has.
pub(crate) fn info<T: openssl::pkey::HasPublic>(key: &PKeyRef<T>) -> Option<Vec<u8>> {
    key.public_key_to_der().ok()
}
