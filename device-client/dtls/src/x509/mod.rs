//! Whether a server's certificate is to be believed (RFC 5280 as far as a device needs it,
//! RFC 7925 §4.4): P-256, ECDSA with SHA-256, paths of few certificates in order.

mod certificate;
mod time;

use core::net::IpAddr;

use certificate::Certificate;

use crate::bytes::Reader;
use crate::curve::{self, POINT};

/// Longest certificate of an account, in bytes.
pub const MAX_CERTIFICATE: usize = 640;
/// Most certificates that a server may show: its own and two above it.
const MAX_SHOWN: usize = 3;

/// What a certificate of an account says about the server's (LwM2M TS 1.1 §5.2.8.7, RFC 6698
/// §2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// 0: it is an authority on the path from the server's to one of [`Trust::authorities`].
    Authority,
    /// 1: it is the server's, which has such a path.
    Service,
    /// 2: it is the authority at the end of the path.
    Anchor,
    /// 3: it is the server's, and nothing else of it is looked at.
    Issued,
}

impl Usage {
    /// Of its number, /0/x/15.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Authority,
            1 => Self::Service,
            2 => Self::Anchor,
            3 => Self::Issued,
            _ => return None,
        })
    }
}

/// Who a server has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// A DNS name, which the server is told (RFC 6066 §3).
    Dns(&'a str),
    /// An address.
    Address(IpAddr),
}

/// What a server's certificate is measured by. Certificates are DER.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    /// What `certificate` says.
    pub usage: Usage,
    /// That of the account.
    pub certificate: &'a [u8],
    /// The authorities that the device trusts, whatever the account says.
    pub authorities: &'a [&'a [u8]],
    /// The name that the server's certificate must have; looked at where others have certificates
    /// of the same authority: with [`Usage::Authority`] and [`Usage::Anchor`].
    pub name: Name<'a>,
    /// Seconds since 1970-01-01 UTC; none without a clock: then whether certificates are valid now
    /// is not looked at. Nor is it with [`Usage::Issued`] (RFC 7671 §5.1).
    pub now: Option<i64>,
}

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It can't be read, has another kind of key, or says something critical that is not known
    /// here.
    Unreadable,
    /// No authority that is trusted is above it.
    Authority,
    /// It, or one above it, is not yet or no longer valid.
    Expired,
    /// It has another name.
    Name,
    /// It is not for servers.
    Usage,
}

/// The certificates that a server shows, its own first, none if they are too many.
struct Shown<'b> {
    all: [&'b [u8]; MAX_SHOWN],
    count: usize,
}

impl<'b> Shown<'b> {
    fn read(body: &'b [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let len = reader.u24()?;
        let mut list = Reader(reader.take(len)?);
        reader.end()?;
        let mut shown = Self {
            all: [&[]; MAX_SHOWN],
            count: 0,
        };
        while !list.0.is_empty() {
            let len = list.u24()?;
            *shown.all.get_mut(shown.count)? = list.take(len)?;
            shown.count += 1;
        }
        (shown.count > 0).then_some(shown)
    }

    fn all(&self) -> &[&'b [u8]] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

/// Why a Certificate is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its body is no list of certificates.
    Decode,
    /// It is another than the account's.
    Stranger,
    Flaw(Flaw),
}

impl From<Flaw> for Refused {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

/// The key of the server that shows this body of a Certificate.
pub(crate) fn believe(body: &[u8], trust: &Trust<'_>) -> Result<[u8; POINT], Refused> {
    let shown = Shown::read(body).ok_or(Refused::Decode)?;
    let shown = shown.all();
    let first = shown.first().copied().unwrap_or_default();
    let is_it = curve::same(first, trust.certificate);
    if matches!(trust.usage, Usage::Issued | Usage::Service) && !is_it {
        return Err(Refused::Stranger);
    }
    let server = Certificate::read(first).ok_or(Flaw::Unreadable)?;
    if trust.usage == Usage::Issued {
        return Ok(*server.key);
    }
    if !server.is_for_servers() {
        return Err(Flaw::Usage.into());
    }
    if trust.usage == Usage::Anchor {
        path(shown, &[trust.certificate], None, trust.now)?;
    } else {
        let through = (trust.usage == Usage::Authority).then_some(trust.certificate);
        path(shown, trust.authorities, through, trust.now)?;
    }
    if trust.usage != Usage::Service && !server.has_name(trust.name) {
        return Err(Flaw::Name.into());
    }
    Ok(*server.key)
}

/// Looks for a path from the first certificate to one of the anchors, through one that is given.
fn path(
    shown: &[&[u8]],
    anchors: &[&[u8]],
    through: Option<&[u8]>,
    now: Option<i64>,
) -> Result<(), Flaw> {
    let mut passed = through.is_none();
    let is_through = |der| through.is_some_and(|through| curve::same(through, der));
    for (below, der) in shown.iter().enumerate() {
        let certificate = Certificate::read(der).ok_or(Flaw::Unreadable)?;
        if !certificate.is_valid(now) {
            return Err(Flaw::Expired);
        }
        // The server's own is no authority, whoever says so.
        passed |= below > 0 && is_through(der);
        let mut ended = anchors.contains(der);
        for anchor in anchors {
            let Some(above) = Certificate::read(anchor).filter(|_| !ended) else {
                continue;
            };
            if above.has_issued(&certificate, below) {
                if !above.is_valid(now) {
                    return Err(Flaw::Expired);
                }
                passed |= is_through(anchor);
                ended = true;
            }
        }
        if ended {
            return passed.then_some(()).ok_or(Flaw::Authority);
        }
        let above = shown.get(below + 1).ok_or(Flaw::Authority)?;
        let above = Certificate::read(above).ok_or(Flaw::Unreadable)?;
        if !above.has_issued(&certificate, below) {
            return Err(Flaw::Authority);
        }
    }
    Err(Flaw::Authority)
}

/// The key in a certificate that can be used.
pub(crate) fn key_of(der: &[u8]) -> Option<&[u8; POINT]> {
    Certificate::read(der).map(|certificate| certificate.key)
}

#[cfg(test)]
mod tests;
