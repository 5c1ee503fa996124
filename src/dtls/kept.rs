//! An association as a record of the store. Numbers are big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 3 |
//! | 1 | bit 0: its identity has one association |
//! | 1, n, 2 | bytes of the IP address, the address, the port |
//! | 1 | what proved the identity: 0 pre-shared key, 1 raw public key, 2 certificate, 3 that of one authority |
//! | 2, n | bytes of the identity, the identity; that of one authority has 32 bytes of it before the name |
//! | 1, 8 n | how many marks, the marks: of the pre-shared key, or of the certificates and their authority, so that others are told from them |
//! | rest | [`Association::encode`] |
//!
//! Version 2 had no marks and one byte for the length of the identity, and version 1 knew pre-shared keys only and did not say so; both are
//! still read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tinsmith_dtls::{Association, MAX_ENCODED, Role};
use tinsmith_peer::{Certified, Identity};

use crate::associations::Entry;
use crate::proven::By;

const PSK_ONLY: u8 = 1;
const NO_MARKS: u8 = 2;
const VERSION: u8 = 3;

// What proved the identity.
const PSK: u8 = 0;
const RAW_KEY: u8 = 1;
const CERTIFICATE: u8 = 2;
const CERTIFIED: u8 = 3;

/// A record that is no association of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no association that this version can read")
    }
}

impl std::error::Error for Unreadable {}

/// None for an identity that is never kept.
pub(crate) fn write(entry: &Entry) -> Option<Vec<u8>> {
    let certified;
    let (kind, identity) = match &*entry.identity {
        Identity::Psk(identity) => (PSK, &identity[..]),
        Identity::RawKey(digest) => (RAW_KEY, &digest[..]),
        Identity::Certificate(name) => (CERTIFICATE, name.as_bytes()),
        Identity::Certified(of) => {
            certified = [&of.authority[..], of.name.as_bytes()].concat();
            (CERTIFIED, &certified[..])
        }
        _ => return None,
    };
    let mut record = vec![VERSION, u8::from(entry.is_of_one)];
    match entry.address.ip() {
        IpAddr::V4(ip) => {
            record.push(4);
            record.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            record.push(16);
            record.extend_from_slice(&ip.octets());
        }
    }
    record.extend_from_slice(&entry.address.port().to_be_bytes());
    record.push(kind);
    record.extend_from_slice(&u16::try_from(identity.len()).ok()?.to_be_bytes());
    record.extend_from_slice(identity);
    let marks: &[u64] = match &entry.by {
        By::Unsaid => &[],
        By::Key(mark) => &[*mark],
        By::Chain(marks) => marks,
    };
    record.push(u8::try_from(marks.len()).ok()?);
    for mark in marks {
        record.extend_from_slice(&mark.to_be_bytes());
    }
    let start = record.len();
    record.resize(start + MAX_ENCODED, 0);
    let len = entry.association.encode(&mut record[start..]).ok()?;
    record.truncate(start + len);
    Some(record)
}

pub(crate) fn read(now: u64, record: &[u8]) -> Option<Entry> {
    let (
        [
            version @ (PSK_ONLY | NO_MARKS | VERSION),
            flags @ 0..=1,
            family,
        ],
        rest,
    ) = record.split_first_chunk()?
    else {
        return None;
    };
    let (ip, rest) = rest.split_at_checked(usize::from(*family))?;
    let ip = match family {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
        _ => return None,
    };
    let ([a, b], rest) = rest.split_first_chunk()?;
    let (kind, rest) = match *version {
        PSK_ONLY => (PSK, rest),
        _ => rest.split_first().map(|(kind, rest)| (*kind, rest))?,
    };
    let (len, rest) = match *version {
        PSK_ONLY | NO_MARKS => rest
            .split_first()
            .map(|(len, rest)| (u16::from(*len), rest))?,
        _ => rest
            .split_first_chunk()
            .map(|(len, rest)| (u16::from_be_bytes(*len), rest))?,
    };
    let (identity, rest) = rest.split_at_checked(usize::from(len))?;
    let identity = match kind {
        PSK => Identity::Psk(identity.to_vec()),
        RAW_KEY => Identity::RawKey(identity.try_into().ok()?),
        CERTIFICATE => Identity::Certificate(String::from_utf8(identity.to_vec()).ok()?),
        CERTIFIED => {
            let (authority, name) = identity.split_first_chunk()?;
            Identity::Certified(Box::new(Certified {
                authority: *authority,
                name: String::from_utf8(name.to_vec()).ok()?,
            }))
        }
        _ => return None,
    };
    let (marks, rest) = match *version {
        PSK_ONLY | NO_MARKS => (Vec::new(), rest),
        _ => marks(rest)?,
    };
    let by = match (kind, &marks[..]) {
        (_, []) => By::Unsaid,
        (PSK, [mark]) => By::Key(*mark),
        (CERTIFICATE | CERTIFIED, _) => By::Chain(marks.into()),
        _ => return None,
    };
    let association = Association::decode(rest).ok()?;
    (association.role() == Role::Server).then(|| Entry {
        association,
        address: SocketAddr::new(ip, u16::from_be_bytes([*a, *b])),
        identity: Arc::new(identity),
        is_of_one: *flags == 1,
        by,
        heard: now,
        asked: None,
    })
}

/// The marks, and what is behind them.
fn marks(record: &[u8]) -> Option<(Vec<u64>, &[u8])> {
    let (count, rest) = record.split_first()?;
    let (marks, rest) = rest.split_at_checked(usize::from(*count) * 8)?;
    let (marks, _) = marks.as_chunks();
    Some((
        marks.iter().map(|mark| u64::from_be_bytes(*mark)).collect(),
        rest,
    ))
}
