//! A board of a real part: its flash as embedded-storage has it, mapped into memory.

use embassy_time::Instant;
use embedded_storage::nor_flash::NorFlash;
#[cfg(feature = "board-aes")]
use tinsmith_client::Aes;
use tinsmith_client::{Event, FlashError, FlashOp, FlashRead, Platform};

use crate::node::Board;

/// A board whose flash is a [`NorFlash`] that is also mapped into memory.
pub struct Part<F, R> {
    flash: F,
    /// Where the client's part of it begins, as the driver counts.
    offset: u32,
    /// The same in memory, and its length.
    mapped: (usize, usize),
    random: R,
    #[cfg(feature = "board-aes")]
    aes: &'static mut dyn Aes,
    reset: fn() -> !,
}

impl<F: NorFlash, R: FnMut() -> u32> Part<F, R> {
    /// `offset` is where the client's flash begins for the driver, `mapped` its address and length
    /// in bytes. With the feature `board-aes` `aes` is the board's.
    ///
    /// # Safety
    /// All of `mapped` can be read at any time, and nothing changes it but this driver.
    #[allow(unsafe_code)]
    pub const unsafe fn new(
        flash: F,
        offset: u32,
        mapped: (usize, usize),
        random: R,
        #[cfg(feature = "board-aes")] aes: &'static mut dyn Aes,
        reset: fn() -> !,
    ) -> Self {
        Self {
            flash,
            offset,
            mapped,
            random,
            #[cfg(feature = "board-aes")]
            aes,
            reset,
        }
    }
}

impl<F, R> FlashRead for Part<F, R> {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        let (start, size) = self.mapped;
        let (offset, len) = (offset as usize, len as usize);
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return &[];
        }
        // SAFETY: inside of what was promised to `new`; an operation of the driver needs `self`.
        #[allow(unsafe_code)]
        unsafe {
            core::slice::from_raw_parts((start + offset) as *const u8, len)
        }
    }
}

impl<F: NorFlash, R: FnMut() -> u32> Platform for Part<F, R> {
    fn micros(&self) -> u64 {
        Instant::now().as_micros()
    }

    fn random(&mut self) -> u32 {
        (self.random)()
    }

    #[cfg(feature = "board-aes")]
    fn aes(&mut self) -> &mut dyn Aes {
        &mut *self.aes
    }
}

impl<F: NorFlash, R: FnMut() -> u32> Board for Part<F, R> {
    async fn flash(&mut self, op: FlashOp<'_>) -> Result<(), FlashError> {
        let done = match op {
            FlashOp::Erase { offset, len } => {
                let from = self.offset + offset;
                self.flash.erase(from, from + len)
            }
            FlashOp::Program { offset, data } => self.flash.write(self.offset + offset, data),
            FlashOp::Sync => Ok(()),
        };
        done.map_err(|_| FlashError)
    }

    fn reset(&mut self) -> ! {
        (self.reset)()
    }

    fn event(&mut self, _: &Event) {}
}
