//! The board QEMU calls `mps2-an386`: a Cortex-M4 with LAN9118 Ethernet, and an emulated flash in
//! PSRAM that survives a reset.
//!
//! `firmware` (main.rs) runs the LwM2M client, `selftest` checks the drivers against
//! `tests/host.py`. README.md says how to start both.
#![no_std]

#[macro_use]
mod uart;

pub mod clock;
pub mod executor;
mod fault;
pub mod flash;
mod irq;
pub mod lan9118;
pub mod launch;
pub mod layout;
mod mmio;
pub mod net;
pub mod random;
pub mod retained;
pub mod semihosting;
pub mod stack;

pub use uart::Uart;

/// Brings up console and clock; the first thing a program does.
pub fn init() {
    uart::init();
    clock::init();
}

/// Resets the core; PSRAM and RAM keep their contents.
pub fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
