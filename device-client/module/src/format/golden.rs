//! The section GOLDEN: inputs with the results that they must give.
//!
//! `u16` entries, `u16` zero; each entry: `u8` kind (0 raw, 1 seed), `u8` zero, `u16` steps of the
//! sequence, `u32` seed or bytes of raw input, 8 bytes of SHA-256 over the outputs of all steps,
//! `u16` records, `u16` zero, a CRC-32 per record over its result in the last step, then the raw
//! input padded to 4 bytes.

use super::header::{u16_at, u32_at};

pub(crate) const ENTRY_BYTES: usize = 20;
pub(crate) const DIGEST_BYTES: usize = 8;
/// Longest sequence of a golden entry, so that a self test ends.
pub(crate) const MAX_STEPS: u16 = 512;

/// What a golden entry feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'m> {
    /// Bytes of all inputs of all steps in order.
    Raw(&'m [u8]),
    /// Seed of [`Xorshift32`], which fills all inputs of all steps in order.
    Seed(u32),
}

/// A golden input with its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Golden<'m> {
    /// What is fed.
    pub source: Source<'m>,
    /// Consecutive runs.
    pub steps: u16,
    /// First bytes of the SHA-256 of all outputs of all steps in order.
    pub digest: [u8; DIGEST_BYTES],
    crcs: &'m [[u8; 4]],
}

impl<'m> Golden<'m> {
    /// CRC-32 of each record's result in the last step.
    pub fn crc(&self, layer: usize) -> Option<u32> {
        self.crcs.get(layer).map(|&b| u32::from_le_bytes(b))
    }

    /// Reads the entry that `bytes` begins with; returns what follows it.
    fn split(bytes: &'m [u8]) -> Option<(Golden<'m>, &'m [u8])> {
        let steps = u16_at(bytes, 2)?;
        let number = u32_at(bytes, 4)?;
        let digest = *bytes.get(8..)?.first_chunk()?;
        let layers = usize::from(u16_at(bytes, 16)?);
        if bytes.get(1) != Some(&0) || u16_at(bytes, 18)? != 0 || !(1..=MAX_STEPS).contains(&steps)
        {
            return None;
        }
        let (crcs, rest) = bytes.get(ENTRY_BYTES..)?.split_at_checked(layers * 4)?;
        let crcs = crcs.as_chunks().0;
        let (source, rest) = match bytes.first()? {
            0 => {
                let length = number as usize;
                let padded = length.checked_next_multiple_of(4)?;
                let (raw, rest) = rest.split_at_checked(padded)?;
                (Source::Raw(raw.get(..length)?), rest)
            }
            1 if number != 0 => (Source::Seed(number), rest),
            _ => return None,
        };
        Some((
            Golden {
                source,
                steps,
                digest,
                crcs,
            },
            rest,
        ))
    }
}

/// The parsed section.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Goldens<'m> {
    bytes: &'m [u8],
    count: u16,
}

impl<'m> Goldens<'m> {
    /// Checks every entry against the number of records and the bytes of all inputs.
    pub(crate) fn parse(bytes: &'m [u8], layers: usize, input_bytes: usize) -> Option<Self> {
        let count = u16_at(bytes, 0)?;
        if u16_at(bytes, 2)? != 0 {
            return None;
        }
        let entries = bytes.get(4..)?;
        let mut rest = entries;
        for _ in 0..count {
            let (golden, next) = Golden::split(rest)?;
            let fits = match golden.source {
                Source::Raw(raw) => {
                    input_bytes.checked_mul(usize::from(golden.steps)) == Some(raw.len())
                }
                Source::Seed(_) => true,
            };
            if !fits || golden.crcs.len() != layers {
                return None;
            }
            rest = next;
        }
        rest.is_empty().then_some(Goldens {
            bytes: entries,
            count,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Golden<'m>> + 'm {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let (golden, next) = Golden::split(rest)?;
            rest = next;
            Some(golden)
        })
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.count)
    }
}

/// The generator of golden inputs: xorshift32 with the shifts 13, 17, 5; the low byte of the state
/// after each step is the next byte.
#[derive(Debug, Clone)]
pub struct Xorshift32(u32);

impl Xorshift32 {
    /// A generator; the seed is not zero.
    pub fn new(seed: u32) -> Xorshift32 {
        Xorshift32(seed)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as u8
    }
}

/// CRC-32 (IEEE 802.3, reflected), four bits at a time.
#[derive(Debug, Clone, Copy)]
pub struct Crc32(u32);

impl Crc32 {
    const TABLE: [u32; 16] = {
        let mut table = [0u32; 16];
        let mut i = 0;
        while i < 16 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 4 {
                crc = if crc & 1 == 1 {
                    crc >> 1 ^ 0xedb8_8320
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };

    /// The CRC of nothing.
    pub const fn new() -> Crc32 {
        Crc32(!0)
    }

    /// Goes on with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 ^= u32::from(byte);
            self.0 = self.0 >> 4 ^ Self::TABLE[(self.0 & 15) as usize];
            self.0 = self.0 >> 4 ^ Self::TABLE[(self.0 & 15) as usize];
        }
    }

    /// The checksum.
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Crc32::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_check_string() {
        let mut crc = Crc32::new();
        crc.update(b"12345");
        crc.update(b"6789");
        assert_eq!(crc.finish(), 0xcbf4_3926);
    }

    #[test]
    fn xorshift_begins_as_published() {
        let mut generator = Xorshift32::new(2_463_534_242);
        assert_eq!(generator.byte(), (723_471_715u32 & 255) as u8);
        assert_eq!(generator.byte(), (2_497_366_906u32 & 255) as u8);
    }
}
