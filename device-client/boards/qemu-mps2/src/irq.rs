//! Interrupt numbers and the device part of the vector table.

#[cfg(feature = "drivers")]
pub(crate) use numbers::{Irq, enable};

#[cfg(feature = "drivers")]
mod numbers {
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
        pub(super) fn TIMER0();
        pub(super) fn TIMER1();
        pub(super) fn ETHERNET();
    }

    /// Lets an interrupt happen.
    pub(crate) fn enable(irq: Irq) {
        cortex_m::peripheral::NVIC::unpend(irq);
        // SAFETY: every handler takes its own critical section; none relies on being masked.
        unsafe { cortex_m::peripheral::NVIC::unmask(irq) };
    }
}

unsafe extern "C" {
    fn DefaultHandler();
}

const COUNT: usize = 32;

#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); COUNT] = {
    #[cfg_attr(not(feature = "drivers"), expect(unused_mut))]
    let mut vectors = [DefaultHandler as unsafe extern "C" fn(); COUNT];
    #[cfg(feature = "drivers")]
    {
        vectors[Irq::Timer0 as usize] = numbers::TIMER0;
        vectors[Irq::Timer1 as usize] = numbers::TIMER1;
        vectors[Irq::Ethernet as usize] = numbers::ETHERNET;
    }
    vectors
};
