//! Flash as the client sees it: memory-mapped to read, an output with a completion to change.
//!
//! Offsets and lengths are bytes from the start of the flash that [`FlashRead`] shows. The client
//! has at most one [`FlashOp`] under way; the shell carries it out and answers with
//! [`Input::FlashDone`](crate::Input::FlashDone). The client never programs a write unit twice
//! between two erases of it, and every program is aligned to the write unit in offset and length.

/// What can be read of the flash without an operation.
pub trait FlashRead {
    /// The bytes at `offset..offset + len`, empty if that is outside of the flash.
    ///
    /// The address of offset 0 is aligned to 32, since modules are executed in place.
    fn read(&self, offset: u32, len: u32) -> &[u8];
}

/// One operation on the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashOp<'a> {
    /// Set one erase unit to 0xFF.
    Erase {
        /// Start of the unit.
        offset: u32,
        /// Size of the unit in bytes.
        len: u32,
    },
    /// Program erased bytes.
    Program {
        /// Where; a multiple of the write unit.
        offset: u32,
        /// What; its length is a multiple of the write unit.
        data: &'a [u8],
    },
    /// Return only when everything before is safe from a power cut.
    Sync,
}

/// A flash operation failed: the unit is worn out or locked, or the driver gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashError;

/// A part of the flash in which all erase units have the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte; a multiple of the erase unit.
    pub offset: u32,
    /// Bytes; a multiple of the erase unit.
    pub size: u32,
    /// Bytes erased at once.
    pub erase_unit: u32,
}

impl Region {
    /// Byte after the last.
    pub const fn end(&self) -> u32 {
        self.offset + self.size
    }

    const fn overlaps(&self, other: &Region) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }
}

/// Where the client may keep what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashLayout {
    /// Accounts, update state, progress: at least two erase units.
    pub journal: Region,
    /// One region for each instance of 27303.
    pub slots: [Region; SLOTS],
    /// Bytes that can be programmed at once and only once: 1..=32, a power of two.
    pub write_unit: u32,
}

/// Module slots: one runs, the other receives.
pub const SLOTS: usize = 2;

/// Largest write unit of the parts we know (STM32H7: 32 bytes).
pub const MAX_WRITE_UNIT: u32 = 32;

/// Why a [`FlashLayout`] can't be used: the board's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The write unit is no power of two in 1..=32.
    WriteUnit,
    /// A region is not made of whole erase units, or the erase unit not of whole write units.
    Unaligned,
    /// The journal needs two halves of whole erase units, each at least [`MIN_JOURNAL_HALF`].
    JournalTooSmall,
    /// Two regions share bytes.
    Overlap,
    /// A slot does not start at a multiple of 32.
    SlotAlignment,
}

/// Fewest bytes of a half of the journal: room for one management account and two small modules'
/// names. 4,096 hold every record at its largest; what does not fit is answered with 5.00.
pub const MIN_JOURNAL_HALF: u32 = 1024;

impl FlashLayout {
    /// Checks the layout once, at start.
    pub fn check(&self) -> Result<(), LayoutError> {
        let w = self.write_unit;
        if w == 0 || w > MAX_WRITE_UNIT || !w.is_power_of_two() {
            return Err(LayoutError::WriteUnit);
        }
        let all = [self.journal, self.slots[0], self.slots[1]];
        for r in &all {
            let whole = r.erase_unit > 0
                && r.offset % r.erase_unit == 0
                && r.size % r.erase_unit == 0
                && r.erase_unit % w == 0
                && r.offset.checked_add(r.size).is_some();
            if !whole {
                return Err(LayoutError::Unaligned);
            }
        }
        let half = self.journal.size / 2;
        if half < MIN_JOURNAL_HALF || !half.is_multiple_of(self.journal.erase_unit) {
            return Err(LayoutError::JournalTooSmall);
        }
        if self.slots.iter().any(|s| s.offset % 32 != 0 || s.size == 0) {
            return Err(LayoutError::SlotAlignment);
        }
        for (i, a) in all.iter().enumerate() {
            if all[i + 1..].iter().any(|b| a.overlaps(b)) {
                return Err(LayoutError::Overlap);
            }
        }
        Ok(())
    }

    /// `len` rounded up to whole write units.
    pub const fn pad(&self, len: u32) -> u32 {
        len.div_ceil(self.write_unit) * self.write_unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> FlashLayout {
        FlashLayout {
            journal: Region {
                offset: 0,
                size: 8192,
                erase_unit: 4096,
            },
            slots: [
                Region {
                    offset: 8192,
                    size: 65536,
                    erase_unit: 4096,
                },
                Region {
                    offset: 73728,
                    size: 65536,
                    erase_unit: 4096,
                },
            ],
            write_unit: 4,
        }
    }

    #[test]
    fn a_good_layout_passes_and_bad_ones_are_named() {
        assert_eq!(layout().check(), Ok(()));
        let mut l = layout();
        l.write_unit = 3;
        assert_eq!(l.check(), Err(LayoutError::WriteUnit));
        let mut l = layout();
        l.slots[1].offset = 8192;
        assert_eq!(l.check(), Err(LayoutError::Overlap));
        let mut l = layout();
        l.journal.size = 4096;
        l.journal.erase_unit = 4096;
        assert_eq!(l.check(), Err(LayoutError::JournalTooSmall));
        let mut l = layout();
        l.slots[0].size = 5000;
        assert_eq!(l.check(), Err(LayoutError::Unaligned));
    }
}
