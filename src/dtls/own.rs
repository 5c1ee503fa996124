//! What the server shows of itself to peers without a pre-shared key, and whose certificates it
//! believes.

use std::fmt;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::x509::X509;
use zeroize::Zeroizing;

use crate::error::OwnError;
use crate::revocations::{self, Believed};
use crate::subject::{common_name, key_digest, name_of};

/// The most certificates between that of the server and an authority, and of authorities.
const MOST: usize = 1000;

/// Whose certificates of devices are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its subject, e.g. `CN=root, O=somebody`, in the order of its certificate.
    pub subject: String,
    /// The common name in it.
    pub common_name: Option<String>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub digest: [u8; 32],
}

/// A key, and the certificate that is shown with it.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) key: PKey<Private>,
    /// Its own certificate first; empty: it shows its raw public key only.
    pub(crate) chain: Vec<X509>,
}

/// The server's own keys, their certificates if it has some, the authorities whose certificates it
/// believes, and those of them that it does not.
#[derive(Clone)]
pub struct Own {
    /// The first, for raw public keys and for whoever asks for no name of another.
    pub(crate) first: Pair,
    pub(crate) others: Vec<Pair>,
    pub(crate) believed: Arc<Believed>,
    /// What is old, though it counts.
    old: Vec<String>,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("certificates", &(1 + self.others.len()))
            .field("believed", &self.believed)
            .finish_non_exhaustive()
    }
}

impl Own {
    /// With a key in PEM and nothing else: for raw public keys (RFC 7250).
    ///
    /// # Errors
    /// It is no key of P-256.
    pub fn new(key: &[u8]) -> Result<Self, OwnError> {
        Ok(Self {
            first: Pair {
                key: private_key(key)?,
                chain: Vec::new(),
            },
            others: Vec::new(),
            believed: Arc::default(),
            old: Vec::new(),
        })
    }

    /// Shows a certificate as well: PEM, its own first, then those of the authorities between.
    ///
    /// # Errors
    /// It can't be read, or is that of another key.
    pub fn with_certificate(mut self, chain: &[u8]) -> Result<Self, OwnError> {
        self.first.chain = chain_of(&self.first.key, chain)?;
        note_old(&mut self.old, &self.first.chain);
        Ok(self)
    }

    /// Shows another certificate, of another key, to who asks for a name that it has and the first
    /// has not (RFC 6066 §3).
    ///
    /// # Errors
    /// One of them can't be read, or they do not fit.
    pub fn and(mut self, key: &[u8], chain: &[u8]) -> Result<Self, OwnError> {
        let key = private_key(key)?;
        let chain = chain_of(&key, chain)?;
        note_old(&mut self.old, &chain);
        self.others.push(Pair { key, chain });
        Ok(self)
    }

    /// Believes certificates of these authorities, in PEM. One may be a root, an authority below
    /// one, or the certificate of a device.
    ///
    /// # Errors
    /// One can't be read, or there is none.
    pub fn with_authorities(mut self, authorities: &[u8]) -> Result<Self, OwnError> {
        let authorities = certificates(authorities).ok_or(OwnError::Authorities)?;
        note_old(&mut self.old, &authorities);
        self.believed = Arc::new(Believed::new(authorities)?);
        Ok(self)
    }

    /// Does not believe what an authority has revoked: one list in DER, or any number in PEM. Each is
    /// signed by one of the authorities, which are known before.
    ///
    /// # Errors
    /// One can't be read, or none of the authorities has signed it.
    pub fn with_revocations(mut self, lists: &[u8]) -> Result<Self, OwnError> {
        let mut believed = Believed::clone(&self.believed);
        for list in revocations::lists(lists).ok_or(OwnError::Revocations)? {
            believed.revoke(&list)?;
            if revocations::is_old(&list) {
                let issuer = name_of(list.issuer_name());
                self.old.push(format!(
                    "the revocation list of {issuer} should have a successor"
                ));
            }
        }
        self.believed = Arc::new(believed);
        Ok(self)
    }

    /// What is not as it should be and counts nevertheless: certificates that are not valid now, and
    /// revocation lists that should have been replaced; each with a sentence.
    #[must_use]
    pub fn old(&self) -> &[String] {
        &self.old
    }

    /// The SubjectPublicKeyInfo of its key: what devices with raw public keys have to know.
    ///
    /// # Errors
    /// OpenSSL failed.
    pub fn public_key(&self) -> Result<Vec<u8>, OwnError> {
        Ok(self.first.key.public_key_to_der()?)
    }

    /// The authorities that it believes.
    #[must_use]
    pub fn authorities(&self) -> Vec<Authority> {
        let all = self.believed.trusted().iter().filter_map(|certificate| {
            Some(Authority {
                subject: name_of(certificate.subject_name()),
                common_name: common_name(certificate),
                digest: key_digest(certificate)?,
            })
        });
        all.collect()
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

/// A key of P-256.
fn private_key(pem: &[u8]) -> Result<PKey<Private>, OwnError> {
    // A callback, or OpenSSL would ask the terminal for a password.
    let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0)).map_err(|_| OwnError::Key)?;
    let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
    match curve {
        Some(Nid::X9_62_PRIME256V1) => Ok(key),
        _ => Err(OwnError::Key),
    }
}

/// The certificate of a key, and those above it.
fn chain_of(key: &PKeyRef<Private>, pem: &[u8]) -> Result<Vec<X509>, OwnError> {
    let chain = certificates(pem).ok_or(OwnError::Certificate)?;
    let own = chain.first().ok_or(OwnError::Certificate)?;
    match own.public_key()?.public_eq(key) {
        true => Ok(chain),
        false => Err(OwnError::Mismatch),
    }
}

/// Tells of those that are not valid now.
fn note_old(old: &mut Vec<String>, certificates: &[X509]) {
    let Ok(now) = Asn1Time::days_from_now(0) else {
        return;
    };
    for certificate in certificates {
        let name = name_of(certificate.subject_name());
        if certificate.not_after() < now {
            let end = certificate.not_after();
            old.push(format!("the certificate of {name} has expired: {end}"));
        } else if certificate.not_before() > now {
            let begin = certificate.not_before();
            old.push(format!(
                "the certificate of {name} is not valid before {begin}"
            ));
        }
    }
}
