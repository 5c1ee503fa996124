//! Trust anchors: the public keys whose packages a device takes, as COSE_Key (RFC 9052 §7) in
//! deterministic CBOR.
//!
//! ```text
//! Ed25519  {1: 1, 3: -8, -1: 6, -2: h'32 bytes'}
//! P-256    {1: 2, 3: -7, -1: 1, -2: h'32 bytes', -3: h'32 bytes'}
//! ```

use lwm2m_objects::cbor::{CborError, Reader};
use sha2::{Digest as _, Sha256};

use crate::authentication::Algorithm;
use crate::verify::{Scheme, is_key};

/// Names a key: the first 8 bytes of its COSE Key Thumbprint (RFC 9679 §3).
pub type KeyId = [u8; 8];

/// Trust anchors of a device.
pub const MAX_ANCHORS: usize = 4;

/// Longest encoded trust anchor, in bytes.
pub const MAX_ANCHOR: usize = 77;

/// A public key whose packages a device takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrustAnchor {
    algorithm: Algorithm,
    /// Ed25519: 32 bytes and zeros; P-256: x and y.
    point: [u8; 64],
    id: KeyId,
}

impl core::fmt::Debug for TrustAnchor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} {:02x?}", self.algorithm, self.id)
    }
}

impl TrustAnchor {
    const NONE: Self = Self {
        algorithm: Algorithm::EdDsa,
        point: [0; 64],
        id: [0; 8],
    };

    /// The anchor of a public key: 32 bytes of Ed25519, or x and y of P-256.
    #[must_use]
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        let mut point = [0; 64];
        if key.len() != key_len(algorithm) {
            return None;
        }
        point.get_mut(..key.len())?.copy_from_slice(key);
        let mut new = Self {
            algorithm,
            point,
            id: [0; 8],
        };
        new.id = new.thumbprint();
        Some(new)
    }

    /// Reads an encoded anchor; none if it is something else, or no key of one of the algorithms.
    #[must_use]
    pub fn parse(bytes: &[u8], schemes: &[Scheme]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let anchor = Self::read(&mut reader, schemes).ok()??;
        reader.is_empty().then_some(anchor)
    }

    fn read(r: &mut Reader<'_>, schemes: &[Scheme]) -> Result<Option<Self>, CborError> {
        let members = r.map()?;
        if r.integer()? != 1 {
            return Ok(None);
        }
        let kind = r.integer()?;
        if r.integer()? != 3 {
            return Ok(None);
        }
        let algorithm = Algorithm::from_number(r.integer()?);
        if r.integer()? != -1 {
            return Ok(None);
        }
        let curve = r.integer()?;
        let Some(algorithm) = algorithm else {
            return Ok(None);
        };
        if (members, kind, curve) != shape(algorithm) {
            return Ok(None);
        }
        let mut point = [0; 64];
        let halves = point.chunks_exact_mut(32).take(key_len(algorithm) / 32);
        for (half, label) in halves.zip([-2, -3]) {
            if r.integer()? != label {
                return Ok(None);
            }
            let bytes = r.bytes()?;
            if bytes.len() != half.len() {
                return Ok(None);
            }
            half.copy_from_slice(bytes);
        }
        let good = is_key(schemes, algorithm, &point);
        let key = point.get(..key_len(algorithm)).filter(|_| good);
        Ok(key.and_then(|key| Self::new(algorithm, key)))
    }

    /// Its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// The key: 32 bytes of Ed25519, or x and y of P-256.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.point
            .get(..key_len(self.algorithm))
            .unwrap_or_default()
    }

    pub(crate) const fn point(&self) -> &[u8; 64] {
        &self.point
    }

    /// The anchor, encoded: a place and how much of it is used.
    #[must_use]
    pub fn encode(&self) -> ([u8; MAX_ANCHOR], usize) {
        let mut out = [0; MAX_ANCHOR];
        let mut at = 0;
        self.write(true, &mut |bytes| {
            if let Some(place) = out.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            at += bytes.len();
        });
        (out, at)
    }

    /// COSE Key Thumbprint with SHA-256, cut: over what the key can't do without.
    fn thumbprint(&self) -> KeyId {
        let mut hash = Sha256::new();
        self.write(false, &mut |bytes| hash.update(bytes));
        let mut id = [0; 8];
        id.copy_from_slice(&hash.finalize()[..8]);
        id
    }

    fn write(&self, with_algorithm: bool, put: &mut dyn FnMut(&[u8])) {
        let (members, kind, curve) = shape(self.algorithm);
        let members = members as u8 - u8::from(!with_algorithm);
        put(&[0xa0 | members, 1, kind as u8]);
        if with_algorithm {
            // Of -8 and -7.
            put(&[3, 0x20 | !self.algorithm.number() as u8]);
        }
        put(&[0x20, curve as u8]);
        for (half, label) in self.key().chunks(32).zip([0x21, 0x22]) {
            put(&[label, 0x58, 32]);
            put(half);
        }
    }
}

/// Members, key type and curve of an encoded key.
const fn shape(algorithm: Algorithm) -> (u64, i64, i64) {
    match algorithm {
        Algorithm::EdDsa => (4, 1, 6),
        Algorithm::Es256 => (5, 2, 1),
    }
}

const fn key_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::EdDsa => 32,
        Algorithm::Es256 => 64,
    }
}

/// The trust anchors of a device; all zeros without any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Anchors {
    all: [TrustAnchor; MAX_ANCHORS],
    count: u8,
}

impl core::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Anchors {
    /// None: everything is taken.
    pub const EMPTY: Self = Self {
        all: [TrustAnchor::NONE; MAX_ANCHORS],
        count: 0,
    };

    /// Adds one; true if it is there now.
    pub fn add(&mut self, anchor: TrustAnchor) -> bool {
        if self.find(anchor.id()).is_some() {
            return true;
        }
        let Some(place) = self.all.get_mut(usize::from(self.count)) else {
            return false;
        };
        *place = anchor;
        self.count += 1;
        true
    }

    /// The anchors.
    pub fn iter(&self) -> core::slice::Iter<'_, TrustAnchor> {
        self.all
            .get(..usize::from(self.count))
            .unwrap_or_default()
            .iter()
    }

    /// There are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// The one with a name.
    #[must_use]
    pub fn find(&self, id: &KeyId) -> Option<&TrustAnchor> {
        self.iter().find(|anchor| anchor.id() == id)
    }

    /// Reads a COSE_KeySet (RFC 9052 §7), the payload of a package that replaces the anchors. None if
    /// it is something else, has none or too many, or one twice.
    #[must_use]
    pub fn parse(bytes: &[u8], schemes: &[Scheme]) -> Option<Self> {
        let mut anchors = Self::EMPTY;
        let mut reader = Reader::new(bytes);
        let count = reader.array().ok()?;
        if count == 0 || count > MAX_ANCHORS as u64 {
            return None;
        }
        for _ in 0..count {
            anchors.add(TrustAnchor::read(&mut reader, schemes).ok()??);
        }
        (reader.is_empty() && u64::from(anchors.count) == count).then_some(anchors)
    }
}

impl<'a> IntoIterator for &'a Anchors {
    type Item = &'a TrustAnchor;
    type IntoIter = core::slice::Iter<'a, TrustAnchor>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
