//! Authorities that are believed, and what they have revoked (RFC 5280 §5).

use std::collections::HashSet;
use std::fmt;

use openssl::asn1::{Asn1IntegerRef, Asn1Time};
use openssl::error::ErrorStack;
use openssl::x509::{X509, X509Crl, X509CrlRef, X509Ref};

use crate::error::OwnError;
use crate::proven::{By, mark};
use crate::subject::{key_digest, name_of};

const BEGIN: &[u8] = b"-----BEGIN X509 CRL-----";
const END: &[u8] = b"-----END X509 CRL-----";

/// Whose certificates are believed, and which of them are not.
///
/// A certificate has a mark: of the key that signed it, and its serial number. So no authority can
/// revoke what another has signed, whatever they call themselves.
#[derive(Clone, Default)]
pub(crate) struct Believed {
    /// All that are known, as they may have signed lists.
    authorities: Vec<X509>,
    /// Without those that another of them has revoked.
    trusted: Vec<X509>,
    /// Marks of these.
    anchors: HashSet<u64>,
    /// Marks of certificates that count no more.
    revoked: HashSet<u64>,
}

impl fmt::Debug for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Believed")
            .field("trusted", &self.trusted.len())
            .field("revoked", &self.revoked.len())
            .finish_non_exhaustive()
    }
}

fn anchor(certificate: &X509Ref) -> Option<u64> {
    Some(mark("authority", &[&key_digest(certificate)?]))
}

fn issued(issuer: &[u8; 32], serial: &Asn1IntegerRef) -> Result<u64, ErrorStack> {
    Ok(mark("certificate", &[issuer, &serial.to_bn()?.to_vec()]))
}

impl Believed {
    pub(crate) fn new(authorities: Vec<X509>) -> Result<Self, OwnError> {
        let mut believed = Self {
            authorities,
            ..Self::default()
        };
        believed.trust()?;
        Ok(believed)
    }

    /// Who may be above the certificate of a device, with nobody above itself.
    pub(crate) fn trusted(&self) -> &[X509] {
        &self.trusted
    }

    /// Finds out who is trusted.
    fn trust(&mut self) -> Result<(), OwnError> {
        let mut trusted = Vec::new();
        for authority in &self.authorities {
            if !self.has_revoked(authority)? {
                trusted.push(authority.clone());
            }
        }
        let anchors = trusted.iter().map(|one| anchor(one));
        let anchors = anchors.collect::<Option<_>>();
        self.anchors = anchors.ok_or(OwnError::Authorities)?;
        self.trusted = trusted;
        Ok(())
    }

    /// Whether the certificate of an authority was revoked by the one that issued it.
    fn has_revoked(&self, authority: &X509Ref) -> Result<bool, OwnError> {
        let issuer_name = authority.issuer_name().to_der()?;
        for issuer in &self.authorities {
            let is_its = issuer.subject_name().to_der()? == issuer_name;
            if !is_its || !authority.verify(&*issuer.public_key()?).unwrap_or(false) {
                continue;
            }
            let key = key_digest(issuer).ok_or(OwnError::Authorities)?;
            if self
                .revoked
                .contains(&issued(&key, authority.serial_number())?)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a list that one of the authorities has signed.
    pub(crate) fn revoke(&mut self, list: &X509CrlRef) -> Result<(), OwnError> {
        let name = list.issuer_name().to_der()?;
        let mut is_signed = false;
        for authority in &self.authorities {
            let key = authority.public_key()?;
            let is_its = authority.subject_name().to_der()? == name;
            if !is_its || !list.verify(&key).unwrap_or(false) {
                continue;
            }
            is_signed = true;
            let issuer = key_digest(authority).ok_or(OwnError::Authorities)?;
            for revoked in list.get_revoked().into_iter().flatten() {
                self.revoked
                    .insert(issued(&issuer, revoked.serial_number())?);
            }
        }
        match is_signed {
            true => self.trust(),
            false => Err(OwnError::Unsigned(name_of(list.issuer_name()))),
        }
    }

    /// Marks of a chain that is in order: of each certificate in it, that of the device first, and
    /// of the authority.
    pub(crate) fn chain<'c>(chain: impl Iterator<Item = &'c X509Ref>) -> Option<By> {
        let chain: Vec<_> = chain.collect();
        let mut marks = Vec::with_capacity(chain.len());
        for pair in chain.windows(2) {
            let issuer = key_digest(pair[1])?;
            marks.push(issued(&issuer, pair[0].serial_number()).ok()?);
        }
        marks.push(anchor(chain.last()?)?);
        Some(By::Chain(marks.into()))
    }

    /// Whether a certificate in a chain was revoked.
    pub(crate) fn is_revoked(&self, by: &By) -> bool {
        match by {
            By::Chain(marks) => marks.iter().any(|mark| self.revoked.contains(mark)),
            By::Unsaid | By::Key(_) => false,
        }
    }

    /// Whether the authority of a chain is still one, and nothing in it was revoked.
    pub(crate) fn counts(&self, by: &By) -> bool {
        match by {
            By::Chain(marks) => {
                let anchor = marks.last();
                anchor.is_some_and(|anchor| self.anchors.contains(anchor)) && !self.is_revoked(by)
            }
            By::Unsaid | By::Key(_) => true,
        }
    }
}

/// One in DER, or all in PEM; none if there is none.
pub(crate) fn lists(bytes: &[u8]) -> Option<Vec<X509Crl>> {
    let find = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).position(|at| at == part);
    let mut rest = bytes;
    let mut all = Vec::new();
    while let Some(begin) = find(rest, BEGIN) {
        let end = begin + find(&rest[begin..], END)? + END.len();
        all.push(X509Crl::from_pem(&rest[begin..end]).ok()?);
        rest = &rest[end..];
    }
    if all.is_empty() {
        all.push(X509Crl::from_der(bytes).ok()?);
    }
    Some(all)
}

/// Whether there should be another one by now.
pub(crate) fn is_old(list: &X509CrlRef) -> bool {
    let now = Asn1Time::days_from_now(0);
    let next = list.next_update();
    now.is_ok_and(|now| next.is_some_and(|next| next < now))
}
