//! The server's part of a handshake with key pairs, by the crate p256.
#![allow(dead_code, unreachable_pub)]

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::{PublicKey, Sec1Point, SecretKey};

/// Before the point of a SubjectPublicKeyInfo of P-256.
const INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What a server with a key pair is like.
#[derive(Clone)]
pub struct Pairs {
    /// Its secret scalar, in every byte.
    pub secret: u8,
    /// The body of its Certificate.
    pub shown: Vec<u8>,
    /// The body of the Certificate that the client must show; none if it is not asked for any.
    pub client: Option<Vec<u8>>,
    /// The point of the client's key.
    pub client_point: Vec<u8>,
    /// What it answers of certificate types, as extensions.
    pub extensions: Vec<u8>,
}

pub fn key(secret: u8) -> SecretKey {
    SecretKey::from_slice(&[secret; 32]).expect("a key")
}

pub fn point(key: &SecretKey) -> Vec<u8> {
    Sec1Point::from(key.public_key()).as_bytes().to_vec()
}

/// The SubjectPublicKeyInfo of a key.
pub fn info(secret: u8) -> Vec<u8> {
    [INFO, &point(&key(secret))].concat()
}

/// An ECPrivateKey without what may be missing.
pub fn private(secret: u8) -> Vec<u8> {
    [&[0x30, 37, 2, 1, 1, 4, 32][..], &[secret; 32]].concat()
}

/// With three bytes of length.
pub fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat()
}

impl Pairs {
    /// Raw public keys of both.
    pub fn raw(server: u8, client: u8) -> Self {
        Self {
            secret: server,
            shown: with_length(&info(server)),
            client: Some(with_length(&info(client))),
            client_point: point(&key(client)),
            extensions: vec![0, 19, 0, 1, 2, 0, 20, 0, 1, 2],
        }
    }

    /// Certificates of both: what the server shows, and what the client is to show.
    pub fn certificates(server: u8, shown: &[&[u8]], client: u8, its: &[u8]) -> Self {
        Self {
            shown: super::authority::list(shown),
            client: Some(super::authority::list(&[its])),
            // The server's name, which it took note of.
            extensions: vec![0, 0, 0, 0, 0, 11, 0, 2, 1, 0],
            ..Self::raw(server, client)
        }
    }

    /// Bodies between ServerHello and ServerHelloDone, by type.
    pub fn bodies(&self, client: &[u8; 32], server: &[u8; 32]) -> Vec<(u8, Vec<u8>)> {
        let point = point(&exchange_key(server));
        let mut keys = [&[3, 0, 23, 65][..], &point].concat();
        let signer = SigningKey::from(key(self.secret));
        let signature: Signature = signer.sign(&[&client[..], server, &keys].concat());
        let signature = signature.to_der();
        keys.extend_from_slice(&[4, 3, 0, signature.as_bytes().len() as u8]);
        keys.extend_from_slice(signature.as_bytes());
        let mut bodies = vec![(11, self.shown.clone()), (12, keys)];
        if self.client.is_some() {
            // RSA and ECDSA; SHA-256 with both; one authority.
            let request = [2, 1, 64, 0, 4, 4, 1, 4, 3, 0, 6, 0, 4, 0x30, 2, 0x31, 0];
            bodies.push((13, request.to_vec()));
        }
        bodies
    }

    pub fn has_signed(&self, hash: &[u8; 32], body: &[u8]) -> bool {
        let [4, 3, 0, len, signature @ ..] = body else {
            return false;
        };
        let key = VerifyingKey::from_sec1_bytes(&self.client_point).expect("a key");
        let signature = Signature::from_der(signature).ok();
        let signed = signature.is_some_and(|s| key.verify_prehash(hash, &s).is_ok());
        signed && usize::from(*len) + 4 == body.len()
    }
}

/// The server's key of a handshake, which is no secret here.
fn exchange_key(random: &[u8; 32]) -> SecretKey {
    SecretKey::from_slice(random).expect("a key")
}

/// The secret that a ClientKeyExchange gives.
pub fn premaster(random: &[u8; 32], body: &[u8]) -> Option<[u8; 32]> {
    let client = PublicKey::from_sec1_bytes(body.strip_prefix(&[65][..])?).ok()?;
    let secret = exchange_key(random).to_nonzero_scalar();
    let shared = (client.to_projective() * secret.as_ref()).to_affine();
    Some(shared.x().into())
}
