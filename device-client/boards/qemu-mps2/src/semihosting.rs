//! Leaving QEMU with an exit code.

use cortex_m_semihosting::debug;

/// Ends QEMU with exit code 0, or 1 if something went wrong.
pub fn exit(ok: bool) -> ! {
    debug::exit(if ok {
        debug::EXIT_SUCCESS
    } else {
        debug::EXIT_FAILURE
    });
    // Without semihosting there is nobody to leave to.
    loop {
        cortex_m::asm::wfi();
    }
}
