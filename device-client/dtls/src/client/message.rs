//! Handshake messages: their fragments, what a client writes and what it reads
//! (RFC 6347 §4.2, RFC 5246 §7.4, RFC 4279 §2).

use crate::aead::Aead;
use crate::bytes::{Reader, Writer};
use crate::cid::Cid;
use crate::client::error::{HandshakeError, Misbehaved};
#[cfg(feature = "rpk")]
use crate::client::exchange::{Answered, key_pairs_len, write_key_pairs};
use crate::client::offer::Kind;
use crate::record::VERSION;

pub(super) const HELLO_REQUEST: u8 = 0;
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
#[cfg(feature = "rpk")]
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
#[cfg(feature = "rpk")]
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
#[cfg(feature = "rpk")]
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;

/// Bytes before the body of a fragment.
pub(super) const HEADER: usize = 12;

const RENEGOTIATION_INFO: u16 = 0xff01;
const EXTENDED_MASTER_SECRET: u16 = 23;
const CONNECTION_ID: u16 = 54;
/// Among the cipher suites: asks for the renegotiation extension (RFC 5746 §3.3).
const RENEGOTIATION_SCSV: u16 = 0x00ff;

/// A part of a message, or a whole one.
#[derive(Clone, Copy)]
pub(super) struct Fragment<'b> {
    pub(super) kind: u8,
    /// Bytes of the whole message's body.
    pub(super) len: usize,
    pub(super) sequence: u16,
    pub(super) offset: usize,
    pub(super) bytes: &'b [u8],
}

impl<'b> Fragment<'b> {
    /// The next of a record; none at its end, and where it is no fragment.
    pub(super) fn read(reader: &mut Reader<'b>) -> Option<Self> {
        let (kind, len) = (reader.u8()?, reader.u24()?);
        let (sequence, offset) = (reader.u16()?, reader.u24()?);
        let bytes = reader.u24()?;
        let bytes = reader.take(bytes)?;
        (offset + bytes.len() <= len).then_some(Self {
            kind,
            len,
            sequence,
            offset,
            bytes,
        })
    }
}

/// Whether it is one that the server sends in the clear, in answer to a ClientHello.
pub(super) const fn is_of_server(kind: u8) -> bool {
    #[cfg(feature = "rpk")]
    if let CERTIFICATE | CERTIFICATE_REQUEST = kind {
        return true;
    }
    matches!(kind, SERVER_HELLO | SERVER_KEY_EXCHANGE | SERVER_HELLO_DONE)
}

/// The header of a message in one piece.
pub(super) fn whole_header(kind: u8, len: usize, sequence: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let mut writer = Writer::new(&mut header);
    writer.u8(kind);
    writer.u24(len);
    writer.u16(sequence);
    writer.u24(0);
    writer.u24(len);
    header
}

/// Writes a message in one piece; how long it is, none if it does not fit.
pub(super) fn write_message(
    place: &mut [u8],
    kind: u8,
    sequence: u16,
    body: impl FnOnce(&mut Writer<'_>),
) -> Option<usize> {
    let (header, rest) = place.split_first_chunk_mut::<HEADER>()?;
    let mut writer = Writer::new(rest);
    body(&mut writer);
    let len = writer.finish()?;
    *header = whole_header(kind, len, sequence);
    Some(HEADER + len)
}

/// What a ClientHello says.
pub(super) struct ClientHello<'a> {
    pub(super) random: &'a [u8; 32],
    pub(super) cookie: &'a [u8],
    pub(super) offer: &'a [Aead],
    pub(super) kind: Kind,
    /// The name that the server is asked for; empty: none.
    #[cfg(feature = "rpk")]
    pub(super) server_name: &'a str,
    /// What we want in records to us; none if we don't want the extension.
    pub(super) cid: Option<&'a Cid>,
}

impl ClientHello<'_> {
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.put(&VERSION);
        w.put(self.random);
        // No session to resume.
        w.u8(0);
        w.u8(self.cookie.len() as u8);
        w.put(self.cookie);
        w.u16(2 * (self.offer.len() as u16 + 1));
        for aead in self.offer {
            w.u16(self.kind.suite(*aead));
        }
        w.u16(RENEGOTIATION_SCSV);
        // No compression.
        w.put(&[1, 0]);
        let cid_len = self.cid.map_or(0, |cid| 5 + cid.len() as u16);
        #[cfg(feature = "rpk")]
        let cid_len = cid_len + key_pairs_len(self.kind, self.server_name);
        w.u16(4 + cid_len);
        w.u16(EXTENDED_MASTER_SECRET);
        w.u16(0);
        if let Some(cid) = self.cid {
            w.u16(CONNECTION_ID);
            w.u16(1 + cid.len() as u16);
            w.u8(cid.len() as u8);
            w.put(cid.as_bytes());
        }
        #[cfg(feature = "rpk")]
        write_key_pairs(w, self.kind, self.server_name);
    }
}

/// The cookie of a ClientHello that we wrote.
pub(super) fn cookie_of(hello: &[u8]) -> Option<&[u8]> {
    // Behind version, random and an empty session id.
    let mut reader = Reader(hello.get(HEADER + VERSION.len() + 32 + 1..)?);
    reader.vector8()
}

/// What a ServerHello says.
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    pub(super) aead: Aead,
    pub(super) extended_master_secret: bool,
    /// The Connection ID that the server wants; none if it does not know the extension.
    pub(super) cid: Option<Cid>,
    #[cfg(feature = "rpk")]
    pub(super) answered: Answered,
}

impl ServerHello {
    /// Reads the body of one that answers a hello with this offer.
    pub(super) fn read(
        body: &[u8],
        offer: &[Aead],
        kind: Kind,
        cid_offered: bool,
    ) -> Result<Self, HandshakeError> {
        let decode = Misbehaved::Decode(SERVER_HELLO);
        let mut reader = Reader(body);
        let version = reader.array().ok_or(decode)?;
        if version != VERSION {
            return Err(Misbehaved::Version(version).into());
        }
        let random = reader.array().ok_or(decode)?;
        // The name that the server gave the session.
        let session = reader.vector8().ok_or(decode)?;
        let suite = reader.u16().ok_or(decode)?;
        let compression = reader.u8().ok_or(decode)?;
        if session.len() > 32 {
            return Err(decode.into());
        }
        let aead = offer.iter().find(|aead| kind.suite(**aead) == suite);
        let aead = *aead.ok_or(Misbehaved::Suite(suite))?;
        if compression != 0 {
            return Err(Misbehaved::Compression.into());
        }
        let mut hello = Self {
            random,
            aead,
            extended_master_secret: false,
            cid: None,
            #[cfg(feature = "rpk")]
            answered: Answered::nothing(kind),
        };
        if !reader.0.is_empty() {
            let extensions = Reader(reader.vector16().ok_or(decode)?);
            reader.end().ok_or(decode)?;
            hello.read_extensions(extensions, cid_offered)?;
        }
        #[cfg(feature = "rpk")]
        hello.answered.suffice()?;
        Ok(hello)
    }

    fn read_extensions(
        &mut self,
        mut extensions: Reader<'_>,
        cid_offered: bool,
    ) -> Result<(), HandshakeError> {
        let decode = Misbehaved::Decode(SERVER_HELLO);
        let mut renegotiation = false;
        while !extensions.0.is_empty() {
            let kind = extensions.u16().ok_or(decode)?;
            let mut content = Reader(extensions.vector16().ok_or(decode)?);
            match kind {
                EXTENDED_MASTER_SECRET if !self.extended_master_secret => {
                    self.extended_master_secret = true;
                }
                // Of a first handshake it is empty (RFC 5746 §3.4).
                RENEGOTIATION_INFO if !renegotiation => {
                    renegotiation = content.vector8().ok_or(decode)?.is_empty();
                    if !renegotiation {
                        return Err(decode.into());
                    }
                }
                CONNECTION_ID if cid_offered && self.cid.is_none() => {
                    let cid = Cid::new(content.vector8().ok_or(decode)?);
                    self.cid = Some(cid.map_err(|_| HandshakeError::CidTooLong)?);
                }
                #[cfg(feature = "rpk")]
                _ => self.answered.take(kind, &mut content, decode)?,
                #[cfg(not(feature = "rpk"))]
                _ => return Err(Misbehaved::Extension(kind).into()),
            }
            content.end().ok_or(decode)?;
        }
        Ok(())
    }
}

/// The cookie of a HelloVerifyRequest's body.
pub(super) fn read_cookie(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader(body);
    reader.take(VERSION.len())?;
    let cookie = reader.vector8()?;
    reader.end()?;
    Some(cookie)
}

/// Whether the body of a ServerKeyExchange is that of PSK: a hint, which LwM2M has no use for.
pub(super) fn is_psk_hint(body: &[u8]) -> bool {
    let mut reader = Reader(body);
    reader.vector16().is_some() && reader.end().is_some()
}
