//! Integers as decimal text, without `core::fmt`, whose need is 3 KB of a device's flash.

use crate::Sink;

/// The text of an integer from 0 on.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    text: [u8; 20],
    start: usize,
}

impl Decimal {
    /// Of a number.
    #[must_use]
    pub const fn of(mut number: u64) -> Self {
        let mut text = [0; 20];
        let mut start = text.len();
        loop {
            start -= 1;
            text[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Self { text, start };
            }
        }
    }

    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }
}

/// Writes an integer from 0 on.
pub fn write_u64(number: u64, sink: &mut dyn Sink) {
    sink.write(Decimal::of(number).as_bytes());
}

/// Writes an integer.
pub fn write_i64(number: i64, sink: &mut dyn Sink) {
    if number < 0 {
        sink.write(b"-");
    }
    write_u64(number.unsigned_abs(), sink);
}

/// The number below 65,536 that a text is: digits without leading zeros.
#[must_use]
pub fn parse_u16(text: &[u8]) -> Option<u16> {
    if matches!(text, [] | [b'0', _, ..]) {
        return None;
    }
    text.iter().try_fold(0u16, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let tens = number.checked_mul(10).filter(|_| digit < 10)?;
        tens.checked_add(u16::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    proptest! {
        #[test]
        fn as_the_standard_library_writes_it(number in any::<i64>(), shift in 0u32..64) {
            let (signed, unsigned) = (number >> shift, number as u64 >> shift);
            let mut out = Vec::new();
            write_i64(signed, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), signed.to_string());
            let mut out = Vec::new();
            write_u64(unsigned, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), unsigned.to_string());
        }

        #[test]
        fn only_what_is_written_so_is_read(text in "[0-9]{0,6}|[ -~]{0,3}") {
            let number = text.parse::<u16>().ok();
            let number = number.filter(|number| number.to_string() == text);
            prop_assert_eq!(parse_u16(text.as_bytes()), number);
        }
    }

    #[test]
    fn ends() {
        assert_eq!(Decimal::of(0).as_bytes(), b"0");
        assert_eq!(Decimal::of(u64::MAX).as_bytes(), b"18446744073709551615");
        let mut out = Vec::new();
        write_i64(i64::MIN, &mut out);
        assert_eq!(out, b"-9223372036854775808");
        assert_eq!(parse_u16(b"65535"), Some(u16::MAX));
        assert_eq!(parse_u16(b"65536"), None);
    }
}
