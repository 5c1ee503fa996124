//! What records there are, as one small value that every change moves.

use sha2::{Digest as _, Sha256};

/// What a record adds to the sum.
pub(crate) type Hash = [u64; 4];

/// Number of all records and the sum of their hashes: the same for the same records, in whatever
/// order they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// How many there are.
    pub records: u64,
    sum: [u64; 4],
}

impl Content {
    /// With one more record.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.add_hash(hash(key, value));
    }

    /// Without a record that was added.
    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.remove_hash(hash(key, value));
    }

    /// With one more record, by its [`hash`].
    pub(crate) fn add_hash(&mut self, hash: Hash) {
        self.records = self.records.wrapping_add(1);
        for (lane, part) in self.sum.iter_mut().zip(hash) {
            *lane = lane.wrapping_add(part);
        }
    }

    /// Without a record that was added, by its [`hash`].
    pub(crate) fn remove_hash(&mut self, hash: Hash) {
        self.records = self.records.wrapping_sub(1);
        for (lane, part) in self.sum.iter_mut().zip(hash) {
            *lane = lane.wrapping_sub(part);
        }
    }

    /// With all records of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.records = self.records.wrapping_add(other.records);
        for (lane, part) in self.sum.iter_mut().zip(other.sum) {
            *lane = lane.wrapping_add(part);
        }
    }
}

/// SHA-256 of the length of the key, the key, and the value.
pub(crate) fn hash(key: &[u8], value: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    let bytes: [u8; 32] = hash.finalize().into();
    words(&bytes)
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, part) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*part);
    }
    words
}

/// How far a store is: its last commit and what it then had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Number of the last commit.
    pub sequence: u64,
    /// The records after it.
    pub content: Content,
}

impl Mark {
    pub(crate) const BYTES: usize = 48;

    /// Sequence, number of records, sum; all big endian.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers = [self.sequence, self.content.records];
        let numbers = numbers.into_iter().chain(self.content.sum);
        for (place, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_be_bytes();
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (records, sum) = rest.split_first_chunk::<8>()?;
        Some(Self {
            sequence: u64::from_be_bytes(*sequence),
            content: Content {
                records: u64::from_be_bytes(*records),
                sum: words(sum.try_into().ok()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_and_removal_undoes() {
        let (mut a, mut b) = (Content::default(), Content::default());
        a.add(b"k1", b"one");
        let first = a;
        a.add(b"k2", b"two");
        b.add(b"k2", b"two");
        b.add(b"k1", b"one");
        assert_eq!(a, b);
        let (mut both, mut second) = (first, Content::default());
        second.add(b"k2", b"two");
        both.merge(&second);
        assert_eq!(both, a);
        let mut other = first;
        other.add(b"k2t", b"wo");
        assert_ne!(a, other);
        a.remove(b"k2", b"two");
        assert_eq!(a, first);
    }

    #[test]
    fn bytes_and_back() {
        let mut content = Content::default();
        content.add(b"k", b"v");
        let sequence = 7;
        let mark = Mark { sequence, content };
        assert_eq!(Mark::from_bytes(&mark.to_bytes()), Some(mark));
        for end in 0..Mark::BYTES {
            assert_eq!(Mark::from_bytes(&mark.to_bytes()[..end]), None);
        }
    }
}
