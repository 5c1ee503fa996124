//! Trust anchors: the public keys whose packages a device takes, as COSE_Key (RFC 9052 §7) in
//! deterministic CBOR.
//!
//! ```text
//! Ed25519  {1: 1, 3: -8, -1: 6, -2: h'32 bytes'}
//! P-256    {1: 2, 3: -7, -1: 1, -2: h'32 bytes', -3: h'32 bytes'}
//! ```

use crate::algorithm::Algorithm;
use crate::identity::sha256;
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
        Some(Self::named(algorithm, point))
    }

    /// Reads an encoded anchor; none if it is something else, or no key of its algorithm, if that is
    /// listed. A key of another algorithm is one that nothing is signed with.
    #[must_use]
    pub fn parse(bytes: &[u8], schemes: &[Scheme]) -> Option<Self> {
        let (anchor, rest) = Self::read(bytes, schemes)?;
        rest.is_empty().then_some(anchor)
    }

    /// The anchor that `bytes` begins with, and what follows.
    fn read<'b>(bytes: &'b [u8], schemes: &[Scheme]) -> Option<(Self, &'b [u8])> {
        let algorithm = [Algorithm::EdDsa, Algorithm::Es256]
            .into_iter()
            .find(|algorithm| bytes.starts_with(shape(*algorithm)))?;
        let (_, mut rest) = bytes.split_at_checked(shape(algorithm).len())?;
        let mut point = [0; 64];
        let halves = point.chunks_exact_mut(32).take(key_len(algorithm) / 32);
        for (half, start) in halves.zip(HALVES) {
            let (coordinate, more) = rest.strip_prefix(&start[..])?.split_first_chunk::<32>()?;
            half.copy_from_slice(coordinate);
            rest = more;
        }
        if !is_key(schemes, algorithm, &point) {
            return None;
        }
        Some((Self::named(algorithm, point), rest))
    }

    fn named(algorithm: Algorithm, point: [u8; 64]) -> Self {
        let mut new = Self {
            algorithm,
            point,
            id: [0; 8],
        };
        new.id = new.thumbprint();
        new
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
        let start = shape(self.algorithm);
        out[..start.len()].copy_from_slice(start);
        let mut len = start.len();
        for (half, start) in self.key().chunks(32).zip(HALVES) {
            if let Some(place) = out.get_mut(len..len + 35) {
                place[..3].copy_from_slice(start);
                place[3..].copy_from_slice(half);
            }
            len += 35;
        }
        (out, len)
    }

    /// COSE Key Thumbprint with SHA-256, cut: over what the key can't do without.
    fn thumbprint(&self) -> KeyId {
        let [members, label, kind, ..] = *shape(self.algorithm);
        let (mut key, len) = self.encode();
        // In the place of the algorithm, which is not among it.
        key[2..5].copy_from_slice(&[members - 1, label, kind]);
        let digest = sha256(key.get(2..len).unwrap_or_default());
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        id
    }
}

/// What an encoded key begins with: members, key type, algorithm and curve.
const fn shape(algorithm: Algorithm) -> &'static [u8; 7] {
    match algorithm {
        Algorithm::EdDsa => b"\xa4\x01\x01\x03\x27\x20\x06",
        Algorithm::Es256 => b"\xa5\x01\x02\x03\x26\x20\x01",
    }
}

/// What the coordinates begin with.
const HALVES: [&[u8; 3]; 2] = [b"\x21\x58\x20", b"\x22\x58\x20"];

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
        let (head, mut rest) = bytes.split_first()?;
        let count = head.checked_sub(0x80)?;
        while !rest.is_empty() {
            let (anchor, more) = TrustAnchor::read(rest, schemes)?;
            anchors.add(anchor).then_some(())?;
            rest = more;
        }
        (count > 0 && anchors.count == count).then_some(anchors)
    }
}

impl<'a> IntoIterator for &'a Anchors {
    type Item = &'a TrustAnchor;
    type IntoIter = core::slice::Iter<'a, TrustAnchor>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
