//! What happens when nothing can go on: say why, and leave.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};

use crate::semihosting;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    println!("{info}");
    semihosting::exit(false)
}

// SAFETY: touches nothing but the console and the fault status register.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    // SAFETY: the configurable fault status register; reading has no effect.
    let status = unsafe { crate::mmio::Register::at(0xe000_ed28) }.read();
    println!(
        "hard fault at {:#010x}, lr {:#010x}, status {status:#010x}",
        frame.pc(),
        frame.lr()
    );
    semihosting::exit(false)
}

// SAFETY: touches nothing but the console.
#[exception]
unsafe fn DefaultHandler(irq: i16) -> ! {
    println!("interrupt {irq} has no handler");
    semihosting::exit(false)
}
