//! Interrupt numbers and the device part of the vector table.

use cortex_m::interrupt::InterruptNumber;

/// The interrupts this firmware uses.
#[derive(Clone, Copy)]
#[repr(u16)]
pub(crate) enum Irq {
    Timer0 = 8,
    Timer1 = 9,
    Ethernet = 13,
}

// SAFETY: the numbers are those of the AN386's interrupt table and do not change.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self as u16
    }
}

unsafe extern "C" {
    fn DefaultHandler();
    fn TIMER0();
    fn TIMER1();
    fn ETHERNET();
}

const COUNT: usize = 32;

#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); COUNT] = {
    let mut vectors = [DefaultHandler as unsafe extern "C" fn(); COUNT];
    vectors[Irq::Timer0 as usize] = TIMER0;
    vectors[Irq::Timer1 as usize] = TIMER1;
    vectors[Irq::Ethernet as usize] = ETHERNET;
    vectors
};

/// Lets an interrupt happen.
pub(crate) fn enable(irq: Irq) {
    cortex_m::peripheral::NVIC::unpend(irq);
    // SAFETY: every handler takes its own critical section; none relies on being masked.
    unsafe { cortex_m::peripheral::NVIC::unmask(irq) };
}
