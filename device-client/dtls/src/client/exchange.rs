//! What a handshake with key pairs says in its hellos, and what is known of the keys.

use crate::bytes::{Reader, Writer};
use crate::client::error::Misbehaved;
use crate::client::offer::Kind;
use crate::curve::POINT;

#[cfg(feature = "x509")]
const SERVER_NAME: u16 = 0;
const POINT_FORMATS: u16 = 11;
const CLIENT_CERTIFICATE_TYPE: u16 = 19;
const SERVER_CERTIFICATE_TYPE: u16 = 20;
/// A certificate type (RFC 7250 §3).
const RAW_PUBLIC_KEY: u8 = 2;
/// Extensions of a ClientHello: supported groups, point formats, signature algorithms.
const KEY_PAIRS: [u8; 22] = [
    0, 10, 0, 4, 0, 2, 0, 23, // P-256
    0, 11, 0, 2, 1, 0, // not compressed
    0, 13, 0, 4, 0, 2, 4, 3, // ECDSA with SHA-256
];
/// And both certificate types.
const RAW_KEYS: [u8; 12] = [
    0, 19, 0, 2, 1, 2, // ours
    0, 20, 0, 2, 1, 2, // the server's
];

/// Bytes of what [`write_key_pairs`] writes.
#[cfg_attr(not(feature = "x509"), allow(unused_variables))]
pub(super) const fn key_pairs_len(kind: Kind, server_name: &str) -> u16 {
    match kind {
        Kind::Psk => 0,
        Kind::RawKeys => (KEY_PAIRS.len() + RAW_KEYS.len()) as u16,
        #[cfg(feature = "x509")]
        Kind::Certificates => {
            let name = server_name.len();
            let name = if name == 0 { 0 } else { 9 + name };
            (KEY_PAIRS.len() + name) as u16
        }
    }
}

/// Writes the extensions that belong to key pairs.
#[cfg_attr(not(feature = "x509"), allow(unused_variables))]
pub(super) fn write_key_pairs(w: &mut Writer<'_>, kind: Kind, server_name: &str) {
    if kind != Kind::Psk {
        w.put(&KEY_PAIRS);
    }
    if kind == Kind::RawKeys {
        w.put(&RAW_KEYS);
    }
    #[cfg(feature = "x509")]
    if !server_name.is_empty() {
        let len = server_name.len() as u16;
        w.u16(SERVER_NAME);
        w.u16(len + 5);
        w.u16(len + 3);
        w.u8(0);
        w.u16(len);
        w.put(server_name.as_bytes());
    }
}

/// What a ServerHello answers of these extensions.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    pub(super) offered: Kind,
    formats: bool,
    pub(super) client_type: bool,
    server_type: bool,
    #[cfg(feature = "x509")]
    name: bool,
}

impl Answered {
    pub(super) const fn nothing(offered: Kind) -> Self {
        Self {
            offered,
            formats: false,
            client_type: false,
            server_type: false,
            #[cfg(feature = "x509")]
            name: false,
        }
    }

    /// A server that says nothing has a certificate (RFC 7250 §4.2).
    pub(super) fn suffice(self) -> Result<(), Misbehaved> {
        let raw = self.server_type || self.offered != Kind::RawKeys;
        raw.then_some(()).ok_or(Misbehaved::CertificateType)
    }

    /// Takes one extension; what can't be read is the fault that is given.
    pub(super) fn take(
        &mut self,
        kind: u16,
        content: &mut Reader<'_>,
        decode: Misbehaved,
    ) -> Result<(), Misbehaved> {
        let answered = match (kind, self.offered) {
            (POINT_FORMATS, Kind::RawKeys) => &mut self.formats,
            (CLIENT_CERTIFICATE_TYPE, Kind::RawKeys) => &mut self.client_type,
            (SERVER_CERTIFICATE_TYPE, Kind::RawKeys) => &mut self.server_type,
            #[cfg(feature = "x509")]
            (POINT_FORMATS, Kind::Certificates) => &mut self.formats,
            #[cfg(feature = "x509")]
            (SERVER_NAME, Kind::Certificates) => &mut self.name,
            _ => return Err(Misbehaved::Extension(kind)),
        };
        if core::mem::replace(answered, true) {
            return Err(Misbehaved::Extension(kind));
        }
        if kind == POINT_FORMATS {
            let formats = content.vector8().ok_or(decode)?;
            return formats.contains(&0).then_some(()).ok_or(Misbehaved::Curve);
        }
        #[cfg(feature = "x509")]
        if kind == SERVER_NAME {
            return Ok(());
        }
        let chosen = content.u8().ok_or(decode)?;
        let raw = chosen == RAW_PUBLIC_KEY;
        raw.then_some(()).ok_or(Misbehaved::CertificateType)
    }
}

/// What is known of the two keys of each end.
pub(super) struct Exchange {
    /// Our key of this handshake.
    pub(super) secret: [u8; 32],
    /// The server's key that we know it by.
    pub(super) server: [u8; POINT],
    /// Its key of this handshake.
    pub(super) agreed: [u8; POINT],
    /// It wants to see our key.
    pub(super) requested: bool,
}

impl Exchange {
    pub(super) const REST: Self = Self {
        secret: [0; 32],
        server: [0; POINT],
        agreed: [0; POINT],
        requested: false,
    };
}

impl Drop for Exchange {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}
