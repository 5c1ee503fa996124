//! Time: CMSDK timer 0 counts down at 25 MHz without end, timer 1 is the alarm.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::irq::{self, Irq};
use crate::mmio::Register;

/// Ticks of timer 0 in a microsecond.
const TICKS_PER_MICRO: u64 = 25;
/// Longest alarm in ticks; a longer one rings early and is set again.
const LONGEST: u64 = 0x7fff_ffff;

struct Timer {
    ctrl: Register,
    value: Register,
    reload: Register,
    interrupt: Register,
}

impl Timer {
    const fn at(base: usize) -> Self {
        // SAFETY: only called with the bases of the two timers.
        unsafe {
            Self {
                ctrl: Register::at(base),
                value: Register::at(base + 4),
                reload: Register::at(base + 8),
                interrupt: Register::at(base + 12),
            }
        }
    }

    fn pending(&self) -> bool {
        self.interrupt.read() & 1 != 0
    }

    fn clear(&self) {
        self.interrupt.write(1);
    }
}

const COUNTER: Timer = Timer::at(0x4000_0000);
const ALARM: Timer = Timer::at(0x4000_1000);
/// Counting, with interrupt.
const RUN: u32 = 0b1001;

struct Clock {
    /// How often the counter has gone round.
    rounds: Mutex<Cell<u32>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    rounds: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

pub(crate) fn init() {
    COUNTER.reload.write(u32::MAX);
    COUNTER.value.write(u32::MAX);
    COUNTER.clear();
    COUNTER.ctrl.write(RUN);
    ALARM.ctrl.write(0);
    ALARM.clear();
    irq::enable(Irq::Timer0);
    irq::enable(Irq::Timer1);
}

/// Ticks of 40 ns since the start.
#[must_use]
pub fn ticks() -> u64 {
    critical_section::with(|cs| {
        let mut rounds = CLOCK.rounds.borrow(cs).get();
        let mut low = u32::MAX - COUNTER.value.read();
        if COUNTER.pending() {
            low = u32::MAX - COUNTER.value.read();
            rounds = rounds.wrapping_add(1);
        }
        u64::from(rounds) << 32 | u64::from(low)
    })
}

/// Microseconds since the start.
#[must_use]
pub fn micros() -> u64 {
    ticks() / TICKS_PER_MICRO
}

/// Milliseconds since the start.
#[must_use]
pub fn millis() -> u64 {
    micros() / 1000
}

impl Clock {
    /// Sets the alarm; false if the time has passed already.
    fn set_alarm(&self, at: u64) -> bool {
        ALARM.ctrl.write(0);
        ALARM.clear();
        if at == u64::MAX {
            return true;
        }
        let now = self.now();
        if at <= now {
            return false;
        }
        let ticks = (at - now).saturating_mul(TICKS_PER_MICRO).min(LONGEST) as u32;
        // Writing the reload value also loads the counter.
        ALARM.reload.write(ticks);
        ALARM.ctrl.write(RUN);
        true
    }

    fn serve(&self, cs: CriticalSection<'_>) {
        let mut queue = self.queue.borrow(cs).borrow_mut();
        loop {
            let next = queue.next_expiration(self.now());
            if self.set_alarm(next) {
                break;
            }
        }
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        micros()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let changed = self.queue.borrow(cs).borrow_mut().schedule_wake(at, waker);
            if changed {
                self.serve(cs);
            }
        });
    }
}

#[unsafe(no_mangle)]
extern "C" fn TIMER0() {
    COUNTER.clear();
    critical_section::with(|cs| {
        let rounds = CLOCK.rounds.borrow(cs);
        rounds.set(rounds.get().wrapping_add(1));
    });
}

#[unsafe(no_mangle)]
extern "C" fn TIMER1() {
    ALARM.clear();
    critical_section::with(|cs| CLOCK.serve(cs));
}
