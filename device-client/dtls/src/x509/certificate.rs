//! One certificate (RFC 5280 §4.1).

use core::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::{Name, time};
use crate::curve::{self, POINT};
use crate::der::{Der, INTEGER, OCTET_STRING, SEQUENCE};

const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SET: u8 = 0x31;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// ecdsa-with-SHA256 (RFC 5758 §3.2), as an AlgorithmIdentifier's content.
const ECDSA_SHA256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0];

/// Key usage bits, of the first byte.
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_CERT_SIGN: u8 = 0x04;

/// What counts in a certificate.
pub(super) struct Certificate<'b> {
    /// What is signed.
    signed: &'b [u8],
    algorithm: &'b [u8],
    signature: &'b [u8],
    issuer: &'b [u8],
    subject: &'b [u8],
    from: i64,
    until: i64,
    pub(super) key: &'b [u8; POINT],
    said: Extensions<'b>,
}

/// What the extensions say, as far as they are there.
#[derive(Default)]
struct Extensions<'b> {
    key_usage: Option<u8>,
    /// An authority, which may have so many authorities below it.
    authority: Option<Option<u8>>,
    purposes: Option<&'b [u8]>,
    names: Option<&'b [u8]>,
    /// Basic constraints were there.
    constrained: bool,
}

impl<'b> Certificate<'b> {
    /// None if it is none, or if there is something in it that has to be understood and is not.
    pub(super) fn read(der: &'b [u8]) -> Option<Self> {
        let mut outer = Der::new(der);
        let mut all = outer.within(SEQUENCE)?;
        outer.end()?;
        let (signed, content) = all.whole(SEQUENCE)?;
        let algorithm = all.of(SEQUENCE)?;
        let [0, signature @ ..] = all.of(BIT_STRING)? else {
            return None;
        };
        all.end()?;

        let mut part = Der::new(content);
        let version = part.optional(0xa0)?;
        part.of(INTEGER)?;
        if part.of(SEQUENCE)? != algorithm {
            return None;
        }
        let issuer = part.of(SEQUENCE)?;
        let mut validity = part.within(SEQUENCE)?;
        let (from, until) = (time::read(&mut validity)?, time::read(&mut validity)?);
        validity.end()?;
        let subject = part.of(SEQUENCE)?;
        let key = curve::point_of(part.whole(SEQUENCE)?.0)?;
        let mut said = Extensions::default();
        match version {
            None => {}
            Some([INTEGER, 1, 2]) => {
                if let Some(extensions) = part.optional(0xa3)? {
                    said = Extensions::read(extensions)?;
                }
            }
            Some(_) => return None,
        }
        part.end()?;
        Some(Self {
            signed,
            algorithm,
            signature,
            issuer,
            subject,
            from,
            until,
            key,
            said,
        })
    }

    /// With a clock, whether it is valid now.
    pub(super) fn is_valid(&self, now: Option<i64>) -> bool {
        now.is_none_or(|now| (self.from..=self.until).contains(&now))
    }

    /// Whether a server may use it; one that does not say what it is for may.
    pub(super) fn is_for_servers(&self) -> bool {
        let signs = self
            .said
            .key_usage
            .is_none_or(|u| u & DIGITAL_SIGNATURE != 0);
        let serves = self.said.purposes.is_none_or(|purposes| {
            let mut purposes = Der::new(purposes);
            core::iter::from_fn(|| purposes.of(OBJECT_IDENTIFIER))
                .any(|purpose| purpose == SERVER_AUTH || purpose == ANY_USAGE)
        });
        signs && serves
    }

    /// Whether this is that of an authority that has signed another, below which there are so many
    /// authorities.
    pub(super) fn has_issued(&self, other: &Certificate<'_>, below: usize) -> bool {
        let Some(longest) = self.said.authority else {
            return false;
        };
        let may = longest.is_none_or(|longest| below <= usize::from(longest))
            && self.said.key_usage.is_none_or(|u| u & KEY_CERT_SIGN != 0);
        if !may || other.issuer != self.subject || other.algorithm != ECDSA_SHA256 {
            return false;
        }
        let hash = Sha256::digest(other.signed).into();
        curve::is_signed(self.key, &hash, other.signature)
    }

    /// Whether it is for this server: by its alternative names, by its common name without any.
    pub(super) fn has_name(&self, name: Name<'_>) -> bool {
        let Some(names) = self.said.names else {
            return match (name, self.common_name()) {
                (Name::Dns(name), Some(common)) => is_host(common, name),
                _ => false,
            };
        };
        let mut names = Der::new(names);
        core::iter::from_fn(|| names.any()).any(|(kind, is)| match (name, kind) {
            (Name::Dns(name), DNS_NAME) => is_host(is, name),
            (Name::Address(IpAddr::V4(address)), IP_ADDRESS) => is == address.octets(),
            (Name::Address(IpAddr::V6(address)), IP_ADDRESS) => is == address.octets(),
            _ => false,
        })
    }

    /// The last in the subject.
    fn common_name(&self) -> Option<&'b [u8]> {
        let mut sets = Der::new(self.subject);
        let mut found = None;
        while let Some(mut set) = sets.within(SET) {
            while let Some(mut pair) = set.within(SEQUENCE) {
                if pair.of(OBJECT_IDENTIFIER)? == COMMON_NAME {
                    found = Some(pair.any()?.1);
                }
            }
        }
        found
    }
}

/// Whether a name, whose first label may be a star, is that of a host (RFC 6125 §6.4).
fn is_host(pattern: &[u8], host: &str) -> bool {
    let host = host.as_bytes();
    match pattern.strip_prefix(b"*.") {
        None => !host.is_empty() && pattern.eq_ignore_ascii_case(host),
        // A star is no top level domain's, and stands for one label.
        Some(parent) => {
            let dot = host.iter().position(|byte| *byte == b'.');
            let rest = dot
                .filter(|dot| *dot > 0)
                .and_then(|dot| host.get(dot + 1..));
            parent.contains(&b'.') && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(parent))
        }
    }
}

impl<'b> Extensions<'b> {
    fn read(content: &'b [u8]) -> Option<Self> {
        let mut outer = Der::new(content);
        let mut list = outer.within(SEQUENCE)?;
        outer.end()?;
        let mut said = Self::default();
        while list.end().is_none() {
            let mut extension = list.within(SEQUENCE)?;
            let kind = extension.of(OBJECT_IDENTIFIER)?;
            let critical = match extension.optional(BOOLEAN)? {
                None => false,
                Some([0xff]) => true,
                Some(_) => return None,
            };
            let value = extension.of(OCTET_STRING)?;
            extension.end()?;
            match kind {
                [0x55, 0x1d, 15] if said.key_usage.is_none() => {
                    said.key_usage = Some(key_usage(value)?);
                }
                [0x55, 0x1d, 17] if said.names.is_none() => {
                    said.names = Some(elements(value)?);
                }
                [0x55, 0x1d, 19] if !said.constrained => {
                    said.constrained = true;
                    said.authority = authority(value)?;
                }
                [0x55, 0x1d, 37] if said.purposes.is_none() => {
                    said.purposes = Some(elements(value)?);
                }
                // One twice; name constraints (30), which are not followed here.
                [0x55, 0x1d, 15 | 17 | 19 | 30 | 37] => return None,
                _ if critical => return None,
                _ => {}
            }
        }
        Some(said)
    }
}

fn key_usage(value: &[u8]) -> Option<u8> {
    let mut outer = Der::new(value);
    let bits = outer.of(BIT_STRING)?;
    outer.end()?;
    let [0..=7, first, ..] = bits else {
        return None;
    };
    Some(*first)
}

/// The content of a sequence of elements, all of which can be read.
fn elements(value: &[u8]) -> Option<&[u8]> {
    let mut outer = Der::new(value);
    let content = outer.of(SEQUENCE)?;
    outer.end()?;
    let mut list = Der::new(content);
    while list.end().is_none() {
        list.any()?;
    }
    Some(content)
}

/// Basic constraints: an authority or none, with the length of paths below it.
#[allow(clippy::option_option)]
fn authority(value: &[u8]) -> Option<Option<Option<u8>>> {
    let mut outer = Der::new(value);
    let mut content = outer.within(SEQUENCE)?;
    outer.end()?;
    let is = match content.optional(BOOLEAN)? {
        None => false,
        Some([0xff]) => true,
        Some(_) => return None,
    };
    let longest = match content.tag() {
        None => None,
        // More than 255 is as good as 255.
        Some(_) => Some(match content.unsigned()? {
            [one] => *one,
            _ => u8::MAX,
        }),
    };
    content.end()?;
    Some(is.then_some(longest))
}
