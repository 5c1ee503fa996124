//! AES by the part's ECB peripheral (nRF52840 product specification, "ECB - AES electronic codebook
//! mode encryption"): it reads a key and a block from RAM and writes the encrypted block behind them.
//!
//! It shares its core with CCM and AAR, which go before it: then it gives up with ERRORECB. It was
//! also seen to say nothing at all. What it does not do is done in software.

use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{Ordering, fence};

use tinsmith_client::{Aes, BLOCK, SoftAes};

/// How often a block is begun, if others take the core.
const TRIES: usize = 3;
/// How often it is asked whether it is done. Each time takes 12 cycles or more, all of them 190 us at
/// 64 MHz; a block takes less than 20.
const POLLS: usize = 1000;

/// What the peripheral reads and writes, in this order.
#[repr(C, align(4))]
pub struct Data {
    key: [u8; BLOCK],
    clear: [u8; BLOCK],
    encrypted: [u8; BLOCK],
}

/// The registers of the peripheral.
pub trait Registers {
    /// ECBDATAPTR: where it finds and puts things; has to be in RAM.
    fn point(&self, data: *mut Data);

    /// Forgets both events and begins (STARTECB).
    fn start(&self);

    /// Ends what is under way (STOPECB).
    fn stop(&self);

    /// The encrypted block is in RAM (ENDECB).
    fn has_ended(&self) -> bool;

    /// It was given up (ERRORECB).
    fn has_failed(&self) -> bool;
}

/// The peripheral with a key. It has to lie in RAM, and stays where it is while it is used.
pub struct Ecb<R> {
    registers: R,
    data: UnsafeCell<Data>,
    /// It did not answer once, and may still write to `data`.
    is_silent: Cell<bool>,
}

impl<R: Registers> Ecb<R> {
    /// Without a key.
    pub const fn new(registers: R) -> Self {
        Self {
            registers,
            data: UnsafeCell::new(Data {
                key: [0; BLOCK],
                clear: [0; BLOCK],
                encrypted: [0; BLOCK],
            }),
            is_silent: Cell::new(false),
        }
    }

    /// Encrypts the block in `data`; whether it did.
    fn run(&self) -> bool {
        self.registers.point(self.data.get());
        for _ in 0..TRIES {
            // The block is written before the peripheral reads it.
            fence(Ordering::SeqCst);
            self.registers.start();
            let mut polls = 0;
            while !self.registers.has_failed() {
                if self.registers.has_ended() {
                    fence(Ordering::SeqCst);
                    return true;
                }
                polls += 1;
                if polls == POLLS {
                    self.registers.stop();
                    self.is_silent.set(true);
                    return false;
                }
            }
        }
        false
    }
}

impl<R: Registers> Aes for Ecb<R> {
    fn set_key(&mut self, key: &[u8; BLOCK]) {
        // SAFETY: nobody else has a reference to it, and the peripheral does not write the key.
        unsafe { (&raw mut (*self.data.get()).key).write_volatile(*key) }
    }

    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        let data = self.data.get();
        // SAFETY: there are no references to `data`, only this driver and the peripheral have it, and
        // that is at rest until it is started.
        unsafe { (&raw mut (*data).clear).write_volatile(*block) };
        if !self.is_silent.get() && self.run() {
            // SAFETY: as above, and the peripheral is done.
            *block = unsafe { (&raw const (*data).encrypted).read_volatile() };
            return;
        }
        let mut aes = SoftAes::new();
        // SAFETY: as above; the peripheral does not write the key.
        aes.set_key(&unsafe { (&raw const (*data).key).read_volatile() });
        aes.encrypt(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the peripheral does when it is started.
    #[derive(Clone, Copy)]
    enum Turn {
        /// It ends after so many questions.
        Ends(usize),
        /// Somebody takes the core from it then.
        Fails(usize),
        Silence,
    }

    struct Model {
        turns: &'static [Turn],
        data: Cell<*mut Data>,
        starts: Cell<usize>,
        polls: Cell<usize>,
        stops: Cell<usize>,
    }

    impl Model {
        fn new(turns: &'static [Turn]) -> Self {
            Self {
                turns,
                data: Cell::new(core::ptr::null_mut()),
                starts: Cell::new(0),
                polls: Cell::new(0),
                stops: Cell::new(0),
            }
        }

        fn turn(&self) -> Turn {
            let began = self.starts.get() - 1;
            *self.turns.get(began).unwrap_or(&Turn::Silence)
        }
    }

    impl Registers for &Model {
        fn point(&self, data: *mut Data) {
            self.data.set(data);
        }

        fn start(&self) {
            self.starts.set(self.starts.get() + 1);
            self.polls.set(0);
        }

        fn stop(&self) {
            self.stops.set(self.stops.get() + 1);
        }

        fn has_ended(&self) -> bool {
            self.polls.set(self.polls.get() + 1);
            let ended = matches!(self.turn(), Turn::Ends(after) if self.polls.get() > after);
            if ended {
                // SAFETY: the driver waits, and `data` is its own.
                let data = unsafe { &mut *self.data.get() };
                data.encrypted = in_software(&data.key, data.clear);
            }
            ended
        }

        fn has_failed(&self) -> bool {
            matches!(self.turn(), Turn::Fails(after) if self.polls.get() >= after)
        }
    }

    fn in_software(key: &[u8; BLOCK], mut block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut aes = SoftAes::new();
        aes.set_key(key);
        aes.encrypt(&mut block);
        block
    }

    /// FIPS 197, appendix C.1, so many times; where it began and was stopped.
    fn encrypt(turns: &'static [Turn], blocks: usize) -> (usize, usize) {
        let model = Model::new(turns);
        let mut ecb = Ecb::new(&model);
        ecb.set_key(&core::array::from_fn(|i| i as u8));
        for _ in 0..blocks {
            let mut block = core::array::from_fn(|i| (i * 0x11) as u8);
            ecb.encrypt(&mut block);
            let expected = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a_u128.to_be_bytes();
            assert_eq!(block, expected);
        }
        (model.starts.get(), model.stops.get())
    }

    #[test]
    fn by_the_peripheral() {
        assert_eq!(encrypt(&[Turn::Ends(0)], 1), (1, 0));
        assert_eq!(encrypt(&[Turn::Ends(70), Turn::Ends(POLLS - 1)], 2), (2, 0));
    }

    #[test]
    fn begun_again_when_another_takes_the_core() {
        let turns = &[Turn::Fails(0), Turn::Fails(40), Turn::Ends(30)];
        assert_eq!(encrypt(turns, 1), (3, 0));
        // Each time: this block in software, the next by the peripheral.
        const OFTEN: &[Turn] = &[Turn::Fails(9); TRIES];
        assert_eq!(encrypt(OFTEN, 1), (TRIES, 0));
        let turns = &[
            Turn::Fails(0),
            Turn::Fails(0),
            Turn::Fails(0),
            Turn::Ends(1),
        ];
        assert_eq!(encrypt(turns, 2), (4, 0));
    }

    #[test]
    fn one_that_says_nothing_is_stopped_and_not_asked_again() {
        assert_eq!(encrypt(&[Turn::Silence, Turn::Ends(0)], 3), (1, 1));
        assert_eq!(encrypt(&[Turn::Fails(1), Turn::Silence], 2), (2, 1));
    }

    #[test]
    fn a_key_that_is_cleared_is_nowhere() {
        let model = Model::new(&[Turn::Ends(0)]);
        let mut ecb = Ecb::new(&model);
        ecb.set_key(&[7; BLOCK]);
        ecb.encrypt(&mut [1; BLOCK]);
        ecb.clear_key();
        assert_eq!(ecb.data.into_inner().key, [0; BLOCK]);
    }
}
