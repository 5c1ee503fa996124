//! Who is at the other end: what a transport tells of each datagram, and is told.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A route to a device. It may change under a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// The source address of the last datagram.
    pub address: SocketAddr,
    /// The DTLS association or the TCP connection; 0 for plain UDP.
    pub association: u32,
}

impl Peer {
    /// A sender of plain UDP datagrams.
    pub fn udp(address: SocketAddr) -> Self {
        Peer {
            address,
            association: 0,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

/// What the security of a message proved about its sender. It belongs to the message, not to the
/// peer: OSCORE works above the transport.
///
/// The names of the variants are in records; their order is that of schema 1, which had numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Identity {
    /// Nothing.
    None,
    /// The PSK identity of the handshake.
    Psk(Vec<u8>),
    /// SHA-256 of the raw public key.
    RawKey([u8; 32]),
    /// The common name of the certificate.
    Certificate(String),
    /// The Sender ID of the device in its OSCORE context.
    Oscore(Vec<u8>),
    /// A name in a certificate of one authority, which others may give to others.
    Certified(Box<Certified>),
}

/// A name, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Certified {
    /// SHA-256 of the SubjectPublicKeyInfo of the authority.
    pub authority: [u8; 32],
    /// The name in the certificate.
    pub name: String,
}

fn digits(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::None => f.write_str("none"),
            Identity::Psk(name) => write!(f, "psk {}", name.escape_ascii()),
            Identity::RawKey(digest) => {
                f.write_str("raw key ")?;
                digits(f, digest)
            }
            Identity::Certificate(name) => write!(f, "certificate {}", name.escape_debug()),
            Identity::Oscore(id) => {
                f.write_str("oscore ")?;
                digits(f, id)
            }
            Identity::Certified(of) => {
                write!(f, "certificate {} of ", of.name.escape_debug())?;
                digits(f, &of.authority)
            }
        }
    }
}

impl Identity {
    /// True if a message of this identity may come from any address.
    pub fn is_authenticated(&self) -> bool {
        !matches!(self, Identity::None)
    }
}
