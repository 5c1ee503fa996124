//! The board QEMU calls `mps2-an386`: a Cortex-M4 with LAN9118 Ethernet, and an emulated flash in
//! PSRAM that survives a reset.
//!
//! `firmware` (main.rs) runs the LwM2M client, `selftest` checks the drivers against
//! `tests/host.py`. README.md says how to start both.
#![no_std]

#[macro_use]
mod uart;

#[cfg(feature = "drivers")]
pub mod clock;
#[cfg(feature = "drivers")]
pub mod executor;
mod fault;
#[cfg(feature = "drivers")]
pub mod flash;
mod irq;
#[cfg(feature = "drivers")]
pub mod lan9118;
#[cfg(feature = "drivers")]
pub mod launch;
pub mod layout;
mod mmio;
#[cfg(feature = "drivers")]
pub mod net;
#[cfg(feature = "drivers")]
pub mod random;
#[cfg(feature = "drivers")]
pub mod retained;
pub mod semihosting;
#[cfg(feature = "drivers")]
pub mod stack;

pub use uart::Uart;

/// Brings up console and clock; the first thing a program does.
#[cfg(feature = "drivers")]
pub fn init() {
    uart::init();
    clock::init();
}

/// Resets the core; PSRAM and RAM keep their contents.
pub fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
