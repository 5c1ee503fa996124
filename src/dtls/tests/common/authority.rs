//! Keys, certificates and authorities for tests.
#![allow(dead_code, unreachable_pub)]

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};

/// Who has a certificate, and the key to it.
#[derive(Clone)]
pub struct Holder {
    pub key: PKey<Private>,
    pub certificate: X509,
}

/// What a certificate is to say.
#[derive(Clone, Copy)]
pub struct Wish<'w> {
    pub common: &'w str,
    /// DNS name, then URI; empty: none.
    pub other: [&'w str; 2],
    pub is_authority: bool,
    /// Valid for so many days from an hour ago, or up to so many days ago.
    pub days: i64,
    /// For TLS servers, not for clients.
    pub for_servers: bool,
}

pub const DEVICE: Wish<'static> = Wish {
    common: "device 1",
    other: ["", ""],
    is_authority: false,
    days: 1,
    for_servers: false,
};

pub fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("it has the curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

/// An authority that nobody is above.
pub fn authority(name: &str) -> Holder {
    let wish = Wish {
        common: name,
        is_authority: true,
        ..DEVICE
    };
    make(None, wish).expect("it can be made")
}

impl Holder {
    pub fn issue(&self, wish: Wish<'_>) -> Self {
        make(Some(self), wish).expect("it can be made")
    }

    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("it can be written")
    }

    pub fn key_pem(&self) -> Vec<u8> {
        self.key
            .private_key_to_pem_pkcs8()
            .expect("it can be written")
    }
}

fn make(issuer: Option<&Holder>, wish: Wish<'_>) -> Result<Holder, openssl::error::ErrorStack> {
    let key = key();
    let mut name = X509Name::builder()?;
    if !wish.common.is_empty() {
        name.append_entry_by_nid(Nid::COMMONNAME, wish.common)?;
    }
    let name = name.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(issuer.map_or(&*name, |issuer| issuer.certificate.subject_name()))?;
    builder.set_pubkey(&key)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs() as i64;
    let end = now + wish.days * 86_400;
    let begin = now.min(end) - 3600;
    let (begin, end) = (Asn1Time::from_unix(begin)?, Asn1Time::from_unix(end)?);
    builder.set_not_before(&begin)?;
    builder.set_not_after(&end)?;
    if wish.is_authority {
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    } else {
        let mut usage = ExtendedKeyUsage::new();
        match wish.for_servers {
            true => usage.server_auth(),
            false => usage.client_auth(),
        };
        builder.append_extension(usage.build()?)?;
    }
    if wish.other != ["", ""] {
        let mut names = SubjectAlternativeName::new();
        let [dns, uri] = wish.other;
        if !dns.is_empty() {
            names.dns(dns);
        }
        if !uri.is_empty() {
            names.uri(uri);
        }
        let names = names.build(&builder.x509v3_context(None, None))?;
        builder.append_extension(names)?;
    }
    builder.sign(
        issuer.map_or(&key, |issuer| &issuer.key),
        MessageDigest::sha256(),
    )?;
    Ok(Holder {
        certificate: builder.build(),
        key,
    })
}
