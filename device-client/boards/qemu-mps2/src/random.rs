//! Random numbers out of the launcher's seed: SHA-256 in counter mode.

use sha2::{Digest, Sha256};

/// Words of one digest.
const WORDS: usize = 8;

/// A generator.
pub struct Random {
    key: [u8; 32],
    counter: u64,
    /// Words of the last digest that were not given out yet.
    left: usize,
    words: [u32; WORDS],
}

impl Random {
    /// A generator that gives other numbers for each seed and each start.
    #[must_use]
    pub fn new(seed: &str, boots: u32) -> Self {
        let key = Sha256::new()
            .chain_update(seed)
            .chain_update(boots.to_le_bytes())
            .finalize();
        Self {
            key: key.into(),
            counter: 0,
            left: 0,
            words: [0; WORDS],
        }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.left == 0 {
            self.counter = self.counter.wrapping_add(1);
            let digest: [u8; 32] = Sha256::new()
                .chain_update(self.key)
                .chain_update(self.counter.to_le_bytes())
                .finalize()
                .into();
            for (word, bytes) in self.words.iter_mut().zip(digest.chunks_exact(4)) {
                *word = bytes
                    .iter()
                    .fold(0, |word, &byte| word << 8 | u32::from(byte));
            }
            self.left = WORDS;
        }
        self.left -= 1;
        self.words[self.left]
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())
    }
}
