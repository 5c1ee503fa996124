//! Tables on the way of each datagram: a faster hash than the standard library's, seeded like that
//! one, as their keys come from outside.

use std::collections;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A hash map for keys that others choose.
pub type HashMap<K, V> = collections::HashMap<K, V, Seeded>;
/// The same without values.
pub type HashSet<K> = collections::HashSet<K, Seeded>;

static SEED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(unpredictable()));

/// What the standard library's tables are seeded with.
fn unpredictable() -> u64 {
    RandomState::new().hash_one(())
}

/// Makes the hashers of one table, which is seeded by the system.
#[derive(Clone, Debug)]
pub struct Seeded(SeedableRandomState);

impl Default for Seeded {
    fn default() -> Self {
        Seeded(SeedableRandomState::with_seed(unpredictable(), &SEED))
    }
}

impl BuildHasher for Seeded {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hash_differently() {
        let (one, other) = (Seeded::default(), Seeded::default());
        let differ = (0..64u64).filter(|n| one.hash_one(n) != other.hash_one(n));
        assert!(differ.count() > 60);
        assert_eq!(one.hash_one("dev"), one.hash_one("dev"));
    }
}
