//! Device registers.

/// A 32-bit register of a device.
#[derive(Clone, Copy)]
pub(crate) struct Register(*mut u32);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    /// Reads and writes of this address must have no effect on memory that Rust knows of.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(address as *mut u32)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: promised to `at`.
        unsafe { self.0.read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: promised to `at`.
        unsafe { self.0.write_volatile(value) }
    }
}
