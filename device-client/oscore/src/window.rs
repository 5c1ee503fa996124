//! Which requests were received, so that none is taken twice (RFC 8613 §7.4).

/// The last 32 numbers and which of them were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The number after the highest received.
    next: u64,
    /// Bit n: the number `next - 1 - n` was received.
    seen: u32,
}

/// What a number is to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not there.
    New,
    /// It was there before.
    Before,
    /// It lies before the window; it may have been there.
    TooOld,
}

impl Window {
    /// Nothing was received.
    pub const NEW: Self = Self { next: 0, seen: 0 };

    /// Nothing before this number is taken any more, and this was received.
    #[must_use]
    pub const fn from(number: u64) -> Self {
        Self {
            next: number + 1,
            seen: u32::MAX,
        }
    }

    /// Whether a number was there.
    #[must_use]
    pub const fn check(&self, number: u64) -> Seen {
        if number >= self.next {
            return Seen::New;
        }
        match self.next - 1 - number {
            back @ 0..32 if self.seen >> back & 1 == 0 => Seen::New,
            0..32 => Seen::Before,
            _ => Seen::TooOld,
        }
    }

    /// Takes a number. Only for authentic requests.
    pub const fn mark(&mut self, number: u64) {
        if number >= self.next {
            let ahead = number - self.next + 1;
            self.seen = if ahead < 32 { self.seen << ahead } else { 0 } | 1;
            self.next = number + 1;
            return;
        }
        let back = self.next - 1 - number;
        if back < 32 {
            self.seen |= 1 << back;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn learnt_again_from_a_fresh_request() {
        let mut window = Window::from(100);
        assert_eq!(window.check(100), Seen::Before);
        assert_eq!(window.check(99), Seen::Before);
        assert_eq!(window.check(1), Seen::TooOld);
        assert_eq!(window.check(101), Seen::New);
        window.mark(103);
        assert_eq!(window.check(102), Seen::New);
        assert_eq!(window.check(99), Seen::Before);
    }

    proptest! {
        /// Against a set of everything that was there.
        #[test]
        fn never_twice(numbers in prop::collection::vec(prop_oneof![0u64..200, 0u64..10_000], 0..400)) {
            let mut window = Window::NEW;
            let mut taken = BTreeSet::new();
            for number in numbers {
                let highest = taken.last().copied();
                let expected = match taken.contains(&number) {
                    _ if highest.is_some_and(|h| number + 32 <= h) => Seen::TooOld,
                    true => Seen::Before,
                    false => Seen::New,
                };
                prop_assert_eq!(window.check(number), expected);
                if expected == Seen::New {
                    window.mark(number);
                    taken.insert(number);
                }
            }
        }
    }
}
