//! Which records were received, so that none is taken twice.

/// The last 64 numbers and which of them were there (RFC 6347 §4.1.2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The highest number received, plus one.
    next: u64,
    /// Bit n: the number `next - 1 - n` was received.
    seen: u64,
}

/// Why a record number is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was there before.
    Replayed,
    /// It lies before the window; it may have been there.
    TooOld,
}

impl Window {
    /// Nothing was received.
    pub const NEW: Self = Self { next: 0, seen: 0 };

    /// As [`parts`](Self::parts) gave it; none if it can't be one.
    #[must_use]
    pub fn from_parts(next: u64, seen: u64) -> Option<Self> {
        let possible = match next {
            0 => seen == 0,
            1..64 => seen & 1 == 1 && seen >> next == 0,
            _ => seen & 1 == 1 && next <= 1 << 48,
        };
        possible.then_some(Self { next, seen })
    }

    /// The number after the highest received, and a bit for each of the 64 before it, the highest
    /// number's lowest.
    #[must_use]
    pub const fn parts(&self) -> (u64, u64) {
        (self.next, self.seen)
    }

    /// Whether a number may be taken.
    ///
    /// # Errors
    /// It was there, or lies before the window.
    pub const fn check(&self, number: u64) -> Result<(), Refused> {
        if number >= self.next {
            return Ok(());
        }
        match self.next - 1 - number {
            back @ 0..64 if self.seen >> back & 1 == 0 => Ok(()),
            0..64 => Err(Refused::Replayed),
            _ => Err(Refused::TooOld),
        }
    }

    /// Takes a number; whether it is the highest yet. Only for authentic records.
    pub const fn mark(&mut self, number: u64) -> bool {
        if number >= self.next {
            let ahead = number - self.next + 1;
            self.seen = if ahead < 64 { self.seen << ahead } else { 0 } | 1;
            self.next = number + 1;
            return true;
        }
        let back = self.next - 1 - number;
        if back < 64 {
            self.seen |= 1 << back;
        }
        false
    }

    /// Takes no number any more that is lower than the highest received.
    pub const fn refuse_older(&mut self) {
        self.seen = match self.next {
            next @ 0..64 => (1 << next) - 1,
            _ => u64::MAX,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_numbers() {
        let mut window = Window::NEW;
        assert_eq!(window.check(0), Ok(()));
        assert!(window.mark(0));
        assert_eq!(window.check(0), Err(Refused::Replayed));
        assert!(window.mark(2));
        assert_eq!(window.check(1), Ok(()));
        assert!(!window.mark(1));
        assert_eq!(window.parts(), (3, 0b111));
    }

    #[test]
    fn older_numbers_can_be_refused() {
        for highest in [0, 5, 62, 63, 64, 1000] {
            let mut window = Window::NEW;
            window.mark(highest);
            window.refuse_older();
            assert!((0..=highest).all(|number| window.check(number).is_err()));
            assert_eq!(window.check(highest + 1), Ok(()));
            let (next, seen) = window.parts();
            assert_eq!(Window::from_parts(next, seen), Some(window));
        }
        let mut window = Window::NEW;
        window.refuse_older();
        assert_eq!(window, Window::NEW);
    }

    #[test]
    fn the_edges_of_the_window() {
        let mut window = Window::NEW;
        window.mark(100);
        assert_eq!(window.check(100 - 63), Ok(()));
        assert_eq!(window.check(100 - 64), Err(Refused::TooOld));
        window.mark(100 + 63);
        assert_eq!(window.check(100), Err(Refused::Replayed));
        window.mark(100 + 64);
        assert_eq!(window.check(100), Err(Refused::TooOld));
        window.mark(1000);
        assert_eq!(window.parts(), (1001, 1));
        window.mark((1 << 48) - 1);
        let (next, seen) = window.parts();
        assert_eq!(Window::from_parts(next, seen), Some(window));
    }

    #[test]
    fn parts_that_no_window_has() {
        for (next, seen) in [
            (0, 1),
            (5, 0),
            (5, 0b10),
            (5, 0b100_001),
            ((1 << 48) + 1, 1),
        ] {
            assert_eq!(Window::from_parts(next, seen), None, "{next} {seen:b}");
        }
    }

    proptest! {
        /// Against a set of everything that was there.
        #[test]
        fn never_twice(numbers in prop::collection::vec(prop_oneof![0u64..300, 0u64..10_000], 0..400)) {
            let mut window = Window::NEW;
            let mut taken = BTreeSet::new();
            for number in numbers {
                let highest = taken.last().copied();
                let old = highest.is_some_and(|h| number + 64 <= h);
                let expected = match taken.contains(&number) {
                    _ if old => Err(Refused::TooOld),
                    true => Err(Refused::Replayed),
                    false => Ok(()),
                };
                prop_assert_eq!(window.check(number), expected);
                if expected.is_ok() {
                    prop_assert_eq!(window.mark(number), highest.is_none_or(|h| number > h));
                    taken.insert(number);
                }
                let (next, seen) = window.parts();
                prop_assert_eq!(Window::from_parts(next, seen), Some(window));
            }
        }
    }
}
