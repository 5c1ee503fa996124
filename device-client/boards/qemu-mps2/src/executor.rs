//! The executor: polls tasks and sleeps with WFI.
//!
//! QEMU takes WFE, which embassy's own executor uses, for a yield and burns a whole host core; WFI
//! sleeps, and wakes also while interrupts are masked, so that no wake-up is lost in between.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

static PENDED: AtomicBool = AtomicBool::new(false);

#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {
    PENDED.store(true, Ordering::Release);
}

/// Runs tasks for ever, beginning with what `start` spawns.
///
/// # Panics
/// If called twice.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    let executor: &'static raw::Executor = EXECUTOR.init(raw::Executor::new(core::ptr::null_mut()));
    start(executor.spawner());
    loop {
        // SAFETY: the only call, so never entered twice.
        unsafe { executor.poll() };
        cortex_m::interrupt::disable();
        if !PENDED.swap(false, Ordering::AcqRel) {
            cortex_m::asm::dsb();
            cortex_m::asm::wfi();
        }
        // SAFETY: not inside a critical section.
        unsafe { cortex_m::interrupt::enable() };
    }
}
