//! Sender sequence numbers, none of which is used twice.

use crate::option::NUMBERS;

/// Which numbers may be used. Those that are may be reserved in steps: the mark is made durable
/// before numbers below it are used, and a restart goes on there (RFC 8613 §B.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    next: u64,
    /// Numbers below this one may be used.
    usable: u64,
    /// Numbers below this one may be used when the mark is durable.
    reserved: u64,
}

impl Numbers {
    /// None below this one is used again; none is reserved.
    pub(crate) fn from(mark: u64) -> Self {
        let mark = mark.min(NUMBERS);
        Self {
            next: mark,
            usable: mark,
            reserved: mark,
        }
    }

    /// All may be used: for keys that do not outlive the program.
    pub(crate) const ALL: Self = Self {
        next: 0,
        usable: NUMBERS,
        reserved: NUMBERS,
    };

    pub(crate) const fn mark(&self) -> u64 {
        self.reserved
    }

    pub(crate) const fn left(&self) -> u64 {
        self.usable.saturating_sub(self.next)
    }

    pub(crate) const fn are_exhausted(&self) -> bool {
        self.next >= NUMBERS
    }

    pub(crate) fn reserve(&mut self, count: u64) -> u64 {
        let mark = self.next.saturating_add(count).min(NUMBERS);
        self.reserved = self.reserved.max(mark);
        self.reserved
    }

    pub(crate) fn confirm(&mut self, mark: u64) {
        self.usable = self.usable.max(mark.min(self.reserved));
    }

    /// Takes one.
    pub(crate) const fn take(&mut self) -> Option<u64> {
        if self.next >= self.usable {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_durable_is_used() {
        let mut numbers = Numbers::from(10);
        assert_eq!(numbers.take(), None);
        let mark = numbers.reserve(2);
        assert_eq!((mark, numbers.take()), (12, None));
        numbers.confirm(1_000);
        assert_eq!(numbers.take(), Some(10));
        assert_eq!(numbers.take(), Some(11));
        assert_eq!(numbers.take(), None);
        assert_eq!(numbers.mark(), 12);
        let mut last = Numbers::from(NUMBERS - 1);
        last.reserve(10);
        last.confirm(u64::MAX);
        assert_eq!(last.take(), Some(NUMBERS - 1));
        assert_eq!(last.take(), None);
        assert!(last.are_exhausted());
    }
}
