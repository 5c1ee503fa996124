//! The handshake of a client with a key pair (RFC 8422, RFC 7251): a secret is agreed on P-256, and
//! both ends sign with ECDSA and SHA-256. They show their keys as such (RFC 7250), or in
//! certificates.
//!
//! ```text
//!  we                                     the server
//!  ClientHello + cookie   -------->
//!                         <--------       ServerHello, Certificate, ServerKeyExchange,
//!                                         CertificateRequest (most servers), ServerHelloDone
//!  Certificate,
//!  ClientKeyExchange,
//!  CertificateVerify,
//!  ChangeCipherSpec,
//!  Finished               -------->
//!                         <--------       ChangeCipherSpec, Finished
//! ```

use sha2::{Digest as _, Sha256};

use crate::bytes::{Reader, Writer};
use crate::client::error::{HandshakeError, Misbehaved};
use crate::client::handshake::Handshake;
use crate::client::message::{
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, SERVER_KEY_EXCHANGE,
    write_message,
};
use crate::client::offer::{Credentials, Kind};
use crate::curve::{self, MAX_SIGNATURE, POINT, PrivateKey};
use crate::keys::MasterSecret;
#[cfg(feature = "x509")]
use crate::x509::{self, Refused};

/// ECDSA with SHA-256, as hash and signature (RFC 5246 §7.4.1.4.1).
const ECDSA_SHA256: [u8; 2] = [4, 3];
/// A certificate type of a CertificateRequest (RFC 8422 §5.5).
const ECDSA_SIGN: u8 = 64;
/// A named curve, P-256 (RFC 8422 §5.4).
const SECP256R1: [u8; 3] = [3, 0, 23];

impl Handshake {
    /// The server's key.
    pub(super) fn certificate(
        &mut self,
        credentials: &Credentials<'_>,
    ) -> Result<(), HandshakeError> {
        self.exchange.server = match credentials {
            Credentials::Psk { .. } => return Err(HandshakeError::Credentials),
            Credentials::RawKeys { server, .. } => self.raw_key(server)?,
            #[cfg(feature = "x509")]
            Credentials::Certificates { server, .. } => x509::believe(self.assembly.body(), server)
                .map_err(|refused| match refused {
                    Refused::Decode => Misbehaved::Decode(CERTIFICATE),
                    Refused::Stranger => Misbehaved::Stranger,
                    Refused::Flaw(flaw) => Misbehaved::Certificate(flaw),
                })?,
        };
        Ok(())
    }

    fn raw_key(&self, server: &[u8]) -> Result<[u8; POINT], HandshakeError> {
        let body = self.assembly.body();
        let shown = read_raw_key(body).ok_or(Misbehaved::Decode(CERTIFICATE))?;
        if !curve::same(shown, server) {
            return Err(Misbehaved::Stranger.into());
        }
        let point = curve::point_of(server).ok_or(HandshakeError::Credentials)?;
        Ok(*point)
    }

    /// Its key of this handshake, and its signature of that.
    // Its frame is no part of the caller's.
    #[inline(never)]
    pub(super) fn server_keys(&mut self) -> Result<(), HandshakeError> {
        let decode = Misbehaved::Decode(SERVER_KEY_EXCHANGE);
        let server = self.server.get().ok_or(decode)?;
        let body = self.assembly.body();
        let keys = ServerKeys::read(body)?;
        let mut hash = Sha256::new();
        hash.update(self.random);
        hash.update(server.random);
        hash.update(keys.parameters);
        let hash = hash.finalize().into();
        if !curve::is_signed(&self.exchange.server, &hash, keys.signature) {
            return Err(Misbehaved::Signature.into());
        }
        self.exchange.agreed = *keys.point;
        Ok(())
    }

    /// It wants to see ours.
    pub(super) fn certificate_request(&mut self) -> Result<(), HandshakeError> {
        let decode = Misbehaved::Decode(CERTIFICATE_REQUEST);
        let takes = takes_ours(self.assembly.body()).ok_or(decode)?;
        if !takes {
            return Err(Misbehaved::Request.into());
        }
        let answered = self.server.get().map(|hello| hello.answered);
        if !answered.is_some_and(|a| a.client_type || a.offered != Kind::RawKeys) {
            return Err(Misbehaved::CertificateType.into());
        }
        self.exchange.requested = true;
        Ok(())
    }

    /// Makes the last flight, and the keys.
    // Its frame is no part of the caller's.
    #[inline(never)]
    pub(super) fn key_pair_exchange(
        &mut self,
        credentials: &Credentials<'_>,
    ) -> Result<(), HandshakeError> {
        let (shown, private) = match credentials {
            Credentials::Psk { .. } => return Err(HandshakeError::Credentials),
            Credentials::RawKeys {
                public, private, ..
            } => (public, private),
            #[cfg(feature = "x509")]
            Credentials::Certificates { own, private, .. } => (own, private),
        };
        let mut sequence = self.next_out();
        self.flight.start(|_| Some(0));
        if self.exchange.requested {
            self.add(CERTIFICATE, sequence, |w| {
                // Certificates are a list (RFC 5246 §7.4.2), of one here.
                if credentials.kind() != Kind::RawKeys {
                    w.u24(3 + shown.len());
                }
                w.u24(shown.len());
                w.put(shown);
            })?;
            sequence += 1;
        }
        let premaster = self.agree(sequence)?;
        sequence += 1;
        let mut hash = self.transcript.hash();
        let Some(server) = self.server.get() else {
            return Err(HandshakeError::Credentials);
        };
        let master = match server.extended_master_secret {
            true => MasterSecret::extended_of_agreement(&premaster, &hash),
            false => MasterSecret::of_agreement(&premaster, &self.random, &server.random),
        };
        if self.exchange.requested {
            self.sign(sequence, &hash, private)?;
            sequence += 1;
            hash = self.transcript.hash();
        }
        self.finish_flight(master, &hash, sequence);
        Ok(())
    }

    /// Our key of this handshake; the secret that it gives.
    #[inline(never)]
    fn agree(&mut self, sequence: u16) -> Result<zeroize::Zeroizing<[u8; 32]>, HandshakeError> {
        let own = PrivateKey::of_random(&self.exchange.secret);
        let own = own.ok_or(HandshakeError::Credentials)?;
        let premaster = own.agree(&self.exchange.agreed).ok_or(Misbehaved::Curve)?;
        let public = own.public();
        self.add(CLIENT_KEY_EXCHANGE, sequence, |w| {
            w.u8(POINT as u8);
            w.put(&public);
        })?;
        Ok(premaster)
    }

    /// Shows that the key is ours.
    #[inline(never)]
    fn sign(
        &mut self,
        sequence: u16,
        hash: &[u8; 32],
        private: &[u8],
    ) -> Result<(), HandshakeError> {
        let mut signature = [0; MAX_SIGNATURE];
        let key = PrivateKey::read(private).ok_or(HandshakeError::Credentials)?;
        let len = key.sign(hash, &mut signature);
        let signature = len.and_then(|len| signature.get(..len));
        let signature = signature.ok_or(HandshakeError::Credentials)?;
        self.add(CERTIFICATE_VERIFY, sequence, |w| {
            w.put(&ECDSA_SHA256);
            w.u16(signature.len() as u16);
            w.put(signature);
        })
    }

    /// A message of the last flight.
    fn add(
        &mut self,
        kind: u8,
        sequence: u16,
        body: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), HandshakeError> {
        let message = self
            .flight
            .add(|place| write_message(place, kind, sequence, body));
        let message = message.ok_or(HandshakeError::Credentials)?;
        self.transcript.add(message);
        Ok(())
    }
}

/// The key in the body of a Certificate (RFC 7250 §3).
fn read_raw_key(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader(body);
    let len = reader.u24()?;
    let key = reader.take(len)?;
    reader.end()?;
    Some(key)
}

/// What is in a ServerKeyExchange (RFC 8422 §5.4).
struct ServerKeys<'b> {
    /// What is signed beside the randoms.
    parameters: &'b [u8],
    point: &'b [u8; POINT],
    signature: &'b [u8],
}

impl<'b> ServerKeys<'b> {
    fn read(body: &'b [u8]) -> Result<Self, Misbehaved> {
        const PARAMETERS: usize = SECP256R1.len() + 1 + POINT;
        let decode = Misbehaved::Decode(SERVER_KEY_EXCHANGE);
        let mut reader = Reader(body);
        if reader.take(SECP256R1.len()).ok_or(decode)? != SECP256R1 {
            return Err(Misbehaved::Curve);
        }
        let point = reader.vector8().ok_or(decode)?;
        let point: &[u8; POINT] = point.try_into().map_err(|_| Misbehaved::Curve)?;
        if point[0] != 4 {
            return Err(Misbehaved::Curve);
        }
        if reader.take(ECDSA_SHA256.len()).ok_or(decode)? != ECDSA_SHA256 {
            return Err(Misbehaved::Signature);
        }
        let signature = reader.vector16().ok_or(decode)?;
        reader.end().ok_or(decode)?;
        Ok(Self {
            parameters: body.get(..PARAMETERS).ok_or(decode)?,
            point,
            signature,
        })
    }
}

/// Whether who sends this body of a CertificateRequest (RFC 5246 §7.4.4) takes our key; none if it
/// can't be read. What authorities it lists is of no use to us: we have one key.
fn takes_ours(body: &[u8]) -> Option<bool> {
    let mut reader = Reader(body);
    let types = reader.vector8()?;
    let algorithms = reader.vector16()?;
    let mut authorities = Reader(reader.vector16()?);
    reader.end()?;
    while !authorities.0.is_empty() {
        authorities.vector16()?;
    }
    let algorithms = algorithms.as_chunks();
    if !algorithms.1.is_empty() {
        return None;
    }
    Some(types.contains(&ECDSA_SIGN) && algorithms.0.contains(&ECDSA_SHA256))
}
