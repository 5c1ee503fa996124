//! A flash emulated in PSRAM, which keeps its contents over a reset.
//!
//! It is as unforgiving as real parts are, so that code that is wrong there fails here: bits are
//! only cleared, a write unit is programmed once between two erases (parts with ECC allow no more),
//! whole erase units only, and nothing outside of what is mapped.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use tinsmith_client::{FlashError, FlashOp, FlashRead};

use crate::layout::{FLASH_BYTES, JOURNAL_ERASE_UNIT, JOURNAL_OFFSET, SLOT_ERASE_UNIT, WRITE_UNIT};
use crate::retained::Retained;

const ERASED: u8 = 0xff;

/// Modules are executed in place from offset 0 on.
#[repr(C, align(32))]
struct Cells(UnsafeCell<MaybeUninit<[u8; FLASH_BYTES]>>);

// SAFETY: only the one `Flash` that can exist touches it.
unsafe impl Sync for Cells {}

#[unsafe(link_section = ".flash")]
static CELLS: Cells = Cells(UnsafeCell::new(MaybeUninit::uninit()));

/// The flash.
pub struct Flash {
    cells: &'static mut [u8; FLASH_BYTES],
    retained: &'static mut Retained,
    /// The cut to make, 0 for none.
    cut: u32,
    /// Erase units erased since the start.
    pub erases: u32,
    /// Write units programmed since the start.
    pub programs: u32,
}

impl Flash {
    /// The flash as the last start left it; erased if `known` is false.
    ///
    /// `retained` can be had only once, so there is only one flash.
    #[must_use]
    pub fn mount(retained: &'static mut Retained, known: bool) -> Self {
        // SAFETY: the only reference, since `retained` is given once. Every bit pattern is valid,
        // and QEMU has filled the memory with zeros.
        let cells = unsafe { (*CELLS.0.get()).assume_init_mut() };
        if !known {
            cells.fill(ERASED);
        }
        Self {
            cells,
            retained,
            cut: 0,
            erases: 0,
            programs: 0,
        }
    }

    /// Cuts the power when `units` erase or write units were changed since the start, leaving the
    /// last one half done; once for each number.
    pub fn cut_after(&mut self, units: u32) {
        if self.retained.cut != units {
            self.cut = units;
        }
    }

    fn power_fails(&self) -> bool {
        self.cut != 0 && self.erases + self.programs + 1 >= self.cut
    }

    fn lose_power(&mut self) -> ! {
        self.retained.cut = self.cut;
        println!(
            "power cut after {} erases, {} programs",
            self.erases, self.programs
        );
        crate::reset()
    }

    /// Carries out an operation, at once.
    ///
    /// # Errors
    /// What a real part would not do either; the console says what it was.
    pub fn execute(&mut self, op: FlashOp<'_>) -> Result<(), FlashError> {
        let (what, offset, len, done) = match op {
            FlashOp::Erase { offset, len } => (
                "erase",
                offset,
                len,
                self.erase(offset as usize, len as usize),
            ),
            FlashOp::Program { offset, data } => (
                "program",
                offset,
                data.len() as u32,
                self.program(offset as usize, data),
            ),
            FlashOp::Sync => return Ok(()),
        };
        done.map_err(|why| {
            println!("flash: {what} of {len} bytes at {offset:#x}: {why}");
            FlashError
        })
    }

    fn erase(&mut self, offset: usize, len: usize) -> Result<(), &'static str> {
        let unit = if offset < JOURNAL_OFFSET {
            SLOT_ERASE_UNIT
        } else {
            JOURNAL_ERASE_UNIT
        };
        if len != unit || !offset.is_multiple_of(unit) {
            return Err("not one erase unit");
        }
        check_range(offset, len)?;
        if self.power_fails() {
            self.cells[offset..offset + len / 2].fill(ERASED);
            self.lose_power();
        }
        self.cells[offset..offset + len].fill(ERASED);
        for unit in offset / WRITE_UNIT..(offset + len) / WRITE_UNIT {
            self.retained.programmed[unit / 32] &= !(1 << (unit % 32));
        }
        self.erases += 1;
        Ok(())
    }

    fn program(&mut self, offset: usize, data: &[u8]) -> Result<(), &'static str> {
        if !offset.is_multiple_of(WRITE_UNIT) || !data.len().is_multiple_of(WRITE_UNIT) {
            return Err("not whole write units");
        }
        check_range(offset, data.len())?;
        for (unit, data) in (offset / WRITE_UNIT..).zip(data.chunks_exact(WRITE_UNIT)) {
            let (word, bit) = (&mut self.retained.programmed[unit / 32], 1 << (unit % 32));
            if *word & bit != 0 {
                return Err("programmed twice");
            }
            *word |= bit;
            if self.power_fails() {
                self.clear_bits(unit, &data[..WRITE_UNIT / 2]);
                self.lose_power();
            }
            self.clear_bits(unit, data);
            self.programs += 1;
        }
        Ok(())
    }

    fn clear_bits(&mut self, unit: usize, data: &[u8]) {
        for (cell, byte) in self.cells[unit * WRITE_UNIT..].iter_mut().zip(data) {
            *cell &= byte;
        }
    }
}

fn check_range(offset: usize, len: usize) -> Result<(), &'static str> {
    let end = offset.checked_add(len).filter(|&end| end <= FLASH_BYTES);
    end.map(|_| ()).ok_or("outside of the flash")
}

impl FlashRead for Flash {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        let offset = offset as usize;
        let end = offset.checked_add(len as usize);
        end.and_then(|end| self.cells.get(offset..end))
            .unwrap_or(&[])
    }
}
