//! A board for tests.

use crate::flash::{FlashRead};
use crate::mem_flash::MemFlash;
use crate::platform::Platform;

pub(crate) struct Board {
    pub(crate) flash: MemFlash,
    seed: u32,
}

impl Board {
    pub(crate) fn small() -> Self {
        Self { flash: MemFlash::new(8192, 4), seed: 1 }
    }
}

impl FlashRead for Board {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        self.flash.read(offset, len)
    }
}

impl Platform for Board {
    fn micros(&self) -> u64 {
        0
    }

    fn random(&mut self) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed
    }
}
