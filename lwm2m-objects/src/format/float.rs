//! Floats to and from decimal text, small: the standard library's need 25 KB of a device's flash.
//!
//! A number is kept as a fraction of 128 bits and a power of two, and multiplied or divided by ten
//! step by step. What the steps lose is below 2^-115 of the value, so that the result is the
//! nearest float for every text of up to 19 significant digits but those closer than that to the
//! middle between two floats.

use crate::Sink;
use crate::decimal::{Decimal, write_i64};

/// `fraction * 2^exponent`; the top bit of the fraction is set.
#[derive(Clone, Copy)]
struct Wide {
    fraction: u128,
    exponent: i32,
}

impl Wide {
    fn new(number: u64) -> Self {
        Self {
            fraction: u128::from(number),
            exponent: 0,
        }
        .normal()
    }

    fn normal(self) -> Self {
        let shift = self.fraction.leading_zeros();
        Self {
            fraction: self.fraction << shift,
            exponent: self.exponent - shift as i32,
        }
    }

    fn times_ten(self) -> Self {
        let sticky = u128::from(self.fraction & 15 != 0);
        let fraction = ((self.fraction >> 4) * 10) | sticky;
        Self {
            fraction,
            exponent: self.exponent + 4,
        }
        .normal()
    }

    fn by_ten(self) -> Self {
        let mut quotient = 0;
        let mut rest = 0;
        for shift in [96, 64, 32, 0] {
            let part = (rest << 32) | u64::from((self.fraction >> shift) as u32);
            quotient = (quotient << 32) | u128::from(part / 10);
            rest = part % 10;
        }
        // The shift makes room first, so that nothing but the remainder is lost.
        let room = quotient.leading_zeros();
        let more = (rest << room) / 10;
        let sticky = u128::from((rest << room) % 10 != 0);
        let fraction = (quotient << room) | u128::from(more) | sticky;
        Self {
            fraction,
            exponent: self.exponent - room as i32,
        }
    }

    fn scaled(mut self, power: i32) -> Self {
        for _ in 0..power {
            self = self.times_ten();
        }
        for _ in power..0 {
            self = self.by_ten();
        }
        self
    }

    /// The integer nearest to the value; the value must be below 2^64.
    fn round(self) -> u64 {
        round_shift(self.fraction, self.exponent.unsigned_abs()) as u64
    }
}

/// `fraction / 2^shift`, to the nearest, to even in the middle; `shift` is at least 1.
fn round_shift(fraction: u128, shift: u32) -> u128 {
    if shift > 128 {
        return 0;
    }
    let quotient = fraction.checked_shr(shift).unwrap_or(0);
    let half = 1u128 << (shift - 1);
    let rest = fraction & (half | (half - 1));
    let up = rest > half || (rest == half && quotient & 1 == 1);
    quotient + u128::from(up)
}

/// The float nearest to `mantissa * 10^power`; nothing if it is too large for one.
pub(super) fn from_decimal(mantissa: u64, power: i32) -> Option<f64> {
    if mantissa == 0 || power < -400 {
        return Some(0.0);
    }
    if power > 400 {
        return None;
    }
    let wide = Wide::new(mantissa).scaled(power);
    let exponent = 127 + wide.exponent;
    let lost = (-1022 - exponent).max(0).unsigned_abs();
    let kept = round_shift(wide.fraction, 75 + lost) as u64;
    let bits = if lost > 0 {
        kept
    } else {
        let above = u64::try_from(exponent + 1022)
            .ok()
            .filter(|above| *above < 2047)?;
        (above << 52) + kept
    };
    Some(f64::from_bits(bits)).filter(|value| value.is_finite())
}

/// The fewest digits, without zeros at the end, and the power of ten that read as `value`, a
/// positive float.
fn to_decimal(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let (mantissa, exponent) = match bits >> 52 {
        0 => (bits, -1074),
        above => (bits & ((1 << 52) - 1) | 1 << 52, above as i32 - 1075),
    };
    let mut wide = Wide::new(mantissa);
    wide.exponent += exponent;
    // 17 digits before the point; log10(2) is 0.30103.
    let magnitude = (127 + wide.exponent) * 30103;
    let mut power = magnitude.div_euclid(100_000) - 16;
    let mut digits = wide.scaled(-power).round();
    if digits >= 100_000_000_000_000_000 {
        power += 1;
        digits = wide.scaled(-power).round();
    }
    let mut unit = 10_000_000_000_000_000;
    let reads_the_same = |digits: &u64| from_decimal(*digits, power) == Some(value);
    while unit > 1 {
        // Both ways: the digits are rounded themselves and may hide on which side they lie.
        let nearer = (digits + unit / 2) / unit * unit;
        let below = digits / unit * unit;
        let other = if nearer == below { below + unit } else { below };
        if let Some(shorter) = [nearer, other].into_iter().find(reads_the_same) {
            digits = shorter;
            break;
        }
        unit /= 10;
    }
    while digits.is_multiple_of(10) {
        digits /= 10;
        power += 1;
    }
    (digits, power)
}

/// Writes a finite float in JSON's grammar, with as few digits as read as the same float.
pub(super) fn write(value: f64, sink: &mut dyn Sink) {
    if value.is_sign_negative() {
        sink.write(b"-");
    }
    if value == 0.0 {
        sink.write(b"0");
        return;
    }
    let (digits, power) = to_decimal(value.abs());
    let digits = Decimal::of(digits);
    let text = digits.as_bytes();
    let before_point = text.len() as i32 + power;
    let zeros = |sink: &mut dyn Sink, count: i32| (0..count).for_each(|_| sink.write(b"0"));
    match usize::try_from(before_point) {
        Ok(point) if point > 0 && point <= 17 => {
            sink.write(&text[..point.min(text.len())]);
            zeros(sink, power);
            if point < text.len() {
                sink.write(b".");
                sink.write(&text[point..]);
            }
        }
        _ if (-4..=0).contains(&before_point) => {
            sink.write(b"0.");
            zeros(sink, -before_point);
            sink.write(text);
        }
        _ => {
            sink.write(&text[..1]);
            if text.len() > 1 {
                sink.write(b".");
                sink.write(&text[1..]);
            }
            sink.write(b"e");
            write_i64(i64::from(before_point - 1), sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_texts() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (0.1, "0.1"),
            (0.00012, "0.00012"),
            (0.000012, "0.000012"),
            (0.0000012, "1.2e-6"),
            (1e16, "10000000000000000"),
            (1e17, "1e17"),
            (123_456_789.25, "123456789.25"),
            (0.3, "0.3"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn edges_of_the_range() {
        assert_eq!(from_decimal(17_976_931_348_623_157, 292), Some(f64::MAX));
        assert_eq!(from_decimal(17_976_931_348_623_159, 292), None);
        assert_eq!(from_decimal(1, 309), None);
        assert_eq!(from_decimal(1, i32::MAX), None);
        assert_eq!(from_decimal(1, i32::MIN), Some(0.0));
        assert_eq!(from_decimal(0, i32::MAX), Some(0.0));
        assert_eq!(from_decimal(2, -324), Some(0.0));
        assert_eq!(from_decimal(3, -324), Some(5e-324));
        assert_eq!(from_decimal(u64::MAX, 0), Some(u64::MAX as f64));
        // Halfway between two floats: to even.
        assert_eq!(
            from_decimal(9_007_199_254_740_993, 0),
            Some(9_007_199_254_740_992.0)
        );
        assert_eq!(
            from_decimal(90_071_992_547_409_930, -1),
            Some(9_007_199_254_740_992.0)
        );
        assert_eq!(
            from_decimal(9_007_199_254_740_995, 0),
            Some(9_007_199_254_740_996.0)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn reads_as_the_standard_library(mantissa in any::<u64>(), power in -345i32..310) {
            let expected: f64 = std::format!("{mantissa}e{power}").parse().unwrap();
            let expected = Some(expected).filter(|value| value.is_finite());
            prop_assert_eq!(from_decimal(mantissa, power), expected);
        }

        #[test]
        fn reads_short_numbers(mantissa in 0u64..100_000, power in -30i32..30) {
            let expected: f64 = std::format!("{mantissa}e{power}").parse().unwrap();
            prop_assert_eq!(from_decimal(mantissa, power), Some(expected));
        }

        #[test]
        fn writes_what_reads_the_same(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = text(value);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            let shortest = std::format!("{value:e}");
            let count = |text: &str| {
                let digits = text.split('e').next().unwrap_or("");
                let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
                digits.trim_matches('0').len()
            };
            prop_assert!(count(&text) <= count(&shortest), "{} {}", text, shortest);
        }

        #[test]
        fn writes_singles(single in any::<f32>()) {
            prop_assume!(single.is_finite());
            let value = f64::from(single);
            prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
