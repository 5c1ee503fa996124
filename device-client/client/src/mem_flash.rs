//! Flash in memory that behaves like flash, for tests and as the image behind a host's file.
//!
//! It refuses what real parts refuse (programming a unit twice, unaligned programs, erasing half a
//! unit) and can lose power after the n-th unit, leaving that unit half done.

use crate::flash::{FlashError, FlashOp, FlashRead};

/// A memory image with the rules of NOR flash.
pub struct MemFlash {
    bytes: Vec<u8>,
    /// Start of the image in `bytes`, so that it is aligned to 32.
    base: usize,
    len: usize,
    written: Vec<bool>,
    write_unit: usize,
    /// Units (erased or programmed) until the power fails.
    fuse: Option<u64>,
    steps: u64,
    misuse: Option<&'static str>,
}

impl MemFlash {
    /// An erased flash of `len` bytes with the given write unit in bytes.
    pub fn new(len: usize, write_unit: usize) -> Self {
        Self::from_image(&vec![0xFF; len], write_unit)
    }

    /// A flash holding `image`; units that are not all 0xFF count as programmed.
    pub fn from_image(image: &[u8], write_unit: usize) -> Self {
        let mut bytes = vec![0xFF; image.len() + 32];
        let base = bytes.as_ptr().align_offset(32);
        bytes[base..base + image.len()].copy_from_slice(image);
        let written = image
            .chunks(write_unit)
            .map(|u| u.iter().any(|b| *b != 0xFF))
            .collect();
        Self {
            bytes,
            base,
            len: image.len(),
            written,
            write_unit,
            fuse: None,
            steps: 0,
            misuse: None,
        }
    }

    /// The content.
    pub fn image(&self) -> &[u8] {
        &self.bytes[self.base..self.base + self.len]
    }

    /// Lets the power fail at the n-th unit from now (0: the next one).
    pub fn cut_after(&mut self, n: u64) {
        self.fuse = Some(n);
    }

    /// Power is back.
    pub fn restore(&mut self) {
        self.fuse = None;
    }

    /// True once the power has failed.
    pub fn is_dead(&self) -> bool {
        self.fuse == Some(0)
    }

    /// Units erased or programmed since the start.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The first rule that was broken, if any: a bug of the client.
    pub fn misuse(&self) -> Option<&'static str> {
        self.misuse
    }

    fn broken(&mut self, rule: &'static str) -> FlashError {
        self.misuse.get_or_insert(rule);
        FlashError
    }

    /// Counts a unit; false if the power fails within it.
    fn step(&mut self) -> bool {
        self.steps += 1;
        match &mut self.fuse {
            Some(0) => false,
            Some(n) => {
                *n -= 1;
                *n > 0
            }
            None => true,
        }
    }

    /// Carries out one operation. After a power cut every operation fails.
    pub fn apply(&mut self, op: FlashOp<'_>) -> Result<(), FlashError> {
        if self.is_dead() {
            return Err(FlashError);
        }
        match op {
            FlashOp::Sync => Ok(()),
            FlashOp::Erase { offset, len } => {
                let (at, len) = (offset as usize, len as usize);
                if at + len > self.len || len % self.write_unit != 0 {
                    return Err(self.broken("erase outside of the flash or of broken units"));
                }
                let whole = self.step();
                let end = if whole { at + len } else { at + len / 2 };
                self.bytes[self.base + at..self.base + end].fill(0xFF);
                for unit in at / self.write_unit..end / self.write_unit {
                    self.written[unit] = false;
                }
                if whole { Ok(()) } else { Err(FlashError) }
            }
            FlashOp::Program { offset, data } => {
                let at = offset as usize;
                let w = self.write_unit;
                if !at.is_multiple_of(w)
                    || !data.len().is_multiple_of(w)
                    || at + data.len() > self.len
                {
                    return Err(self.broken("program not aligned to the write unit"));
                }
                for (i, unit) in data.chunks(w).enumerate() {
                    let place = at + i * w;
                    if self.written[place / w] {
                        return Err(self.broken("write unit programmed twice"));
                    }
                    let whole = self.step();
                    let n = if whole { w } else { w / 2 };
                    self.written[place / w] = true;
                    let target = &mut self.bytes[self.base + place..self.base + place + n];
                    target.copy_from_slice(&unit[..n]);
                    if !whole {
                        return Err(FlashError);
                    }
                }
                Ok(())
            }
        }
    }
}

impl FlashRead for MemFlash {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        let end = (offset as usize).saturating_add(len as usize);
        self.image().get(offset as usize..end).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_rules_of_flash() {
        let mut f = MemFlash::new(64, 4);
        assert!(
            f.apply(FlashOp::Program {
                offset: 4,
                data: &[1, 2, 3, 4]
            })
            .is_ok()
        );
        assert!(
            f.apply(FlashOp::Program {
                offset: 4,
                data: &[1, 2, 3, 4]
            })
            .is_err()
        );
        assert_eq!(f.misuse(), Some("write unit programmed twice"));
        assert!(f.apply(FlashOp::Erase { offset: 0, len: 16 }).is_ok());
        assert!(
            f.apply(FlashOp::Program {
                offset: 4,
                data: &[5, 6, 7, 8]
            })
            .is_ok()
        );
        assert_eq!(f.read(4, 4), [5, 6, 7, 8]);
    }

    #[test]
    fn a_cut_leaves_half_a_unit() {
        let mut f = MemFlash::new(64, 4);
        f.cut_after(2);
        assert!(
            f.apply(FlashOp::Program {
                offset: 0,
                data: &[1; 12]
            })
            .is_err()
        );
        assert!(f.is_dead());
        assert_eq!(
            f.read(0, 12),
            [1, 1, 1, 1, 1, 1, 255, 255, 255, 255, 255, 255]
        );
        assert!(f.apply(FlashOp::Sync).is_err());
    }
}
