//! An association as a record of the store. Numbers are big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 2 |
//! | 1 | bit 0: its identity has one association |
//! | 1, n, 2 | bytes of the IP address, the address, the port |
//! | 1 | what proved the identity: 0 pre-shared key, 1 raw public key, 2 certificate |
//! | 1, n | bytes of the identity, the identity |
//! | rest | [`Association::encode`] |
//!
//! Version 1 knew pre-shared keys only and did not say so; it is still read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tinsmith_dtls::{Association, MAX_ENCODED, Role};
use tinsmith_peer::Identity;

use crate::associations::Entry;

const PSK_ONLY: u8 = 1;
const VERSION: u8 = 2;

// What proved the identity.
const PSK: u8 = 0;
const RAW_KEY: u8 = 1;
const CERTIFICATE: u8 = 2;

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
    let (kind, identity) = match &*entry.identity {
        Identity::Psk(identity) => (PSK, &identity[..]),
        Identity::RawKey(digest) => (RAW_KEY, &digest[..]),
        Identity::Certificate(name) => (CERTIFICATE, name.as_bytes()),
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
    record.push(u8::try_from(identity.len()).ok()?);
    record.extend_from_slice(identity);
    let start = record.len();
    record.resize(start + MAX_ENCODED, 0);
    let len = entry.association.encode(&mut record[start..]).ok()?;
    record.truncate(start + len);
    Some(record)
}

pub(crate) fn read(now: u64, record: &[u8]) -> Option<Entry> {
    let ([version @ (PSK_ONLY | VERSION), flags @ 0..=1, family], rest) =
        record.split_first_chunk()?
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
    let (len, rest) = rest.split_first()?;
    let (identity, rest) = rest.split_at_checked(usize::from(*len))?;
    let identity = match kind {
        PSK => Identity::Psk(identity.to_vec()),
        RAW_KEY => Identity::RawKey(identity.try_into().ok()?),
        CERTIFICATE => Identity::Certificate(String::from_utf8(identity.to_vec()).ok()?),
        _ => return None,
    };
    let association = Association::decode(rest).ok()?;
    (association.role() == Role::Server).then(|| Entry {
        association,
        address: SocketAddr::new(ip, u16::from_be_bytes([*a, *b])),
        identity: Arc::new(identity),
        is_of_one: *flags == 1,
        heard: now,
        asked: None,
        waiting: Vec::new(),
    })
}
