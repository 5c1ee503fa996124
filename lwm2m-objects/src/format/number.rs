//! Numbers as text.

use super::{FormatError, float};
use crate::{Sink, Value};

/// A number as SenML and CBOR have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// -2^63 to 2^64 - 1 when it is used; wider on the way.
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn value(self) -> Result<Value<'static>, FormatError> {
        match self {
            Self::Float(value) => Ok(Value::Float(value)),
            Self::Integer(value) => i64::try_from(value)
                .map(Value::Integer)
                .or_else(|_| u64::try_from(value).map(Value::UnsignedInteger))
                .map_err(|_| FormatError::BadNumber),
        }
    }

    pub(super) fn float(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Integer(value) => value as f64,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Self::Integer(a.saturating_add(b)),
            _ => Self::Float(self.float() + other.float()),
        }
    }
}

/// Sign, digits before the point, and what follows them, of a number in JSON's grammar.
fn split(text: &str) -> Result<(bool, &[u8], &[u8]), FormatError> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (whole, rest) = split_digits(digits);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return Err(FormatError::BadNumber);
    }
    Ok((negative, whole, rest))
}

/// An integer of up to 20 digits in JSON's grammar; none if more follows, which may be a float.
pub(super) fn parse_integer(text: &str) -> Result<Option<i128>, FormatError> {
    let (negative, whole, rest) = split(text)?;
    if !rest.is_empty() || whole.len() > 20 {
        return Ok(None);
    }
    let add = |number, digit: &u8| number * 10 + i128::from(digit - b'0');
    let number = whole.iter().fold(0, add);
    Ok(Some(if negative { -number } else { number }))
}

/// A finite decimal number in JSON's grammar.
pub(super) fn parse_json(text: &str) -> Result<Number, FormatError> {
    let bad = FormatError::BadNumber;
    if let Some(integer) = parse_integer(text)? {
        return Ok(Number::Integer(integer));
    }
    let (negative, whole, rest) = split(text)?;
    let point = rest.first() == Some(&b'.');
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => split_digits(rest),
        _ => (&[][..], rest),
    };
    if fraction.is_empty() && point {
        return Err(bad);
    }
    let mut power = exponent(rest).ok_or(bad)?;
    let mut mantissa: u64 = 0;
    for (at, digit) in whole.iter().chain(fraction).enumerate() {
        // 19 digits always fit; what comes behind them can't be told from the middle.
        if mantissa < 1_000_000_000_000_000_000 {
            mantissa = mantissa * 10 + u64::from(digit - b'0');
            power = power.saturating_sub(i32::from(at >= whole.len()));
        } else {
            power = power.saturating_add(i32::from(at < whole.len()));
        }
    }
    let value = float::from_decimal(mantissa, power).ok_or(bad)?;
    Ok(Number::Float(if negative { -value } else { value }))
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// What stands behind the digits: nothing, or `e` and an integer.
fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'e' | b'E', b'-', digits @ ..] => (true, digits),
        [b'e' | b'E', b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => (false, digits),
        _ => return None,
    };
    let (digits, rest) = split_digits(digits);
    if digits.is_empty() || !rest.is_empty() {
        return None;
    }
    let add = |number: i32, digit: &u8| {
        number
            .saturating_mul(10)
            .saturating_add(i32::from(digit - b'0'))
    };
    let number = digits.iter().fold(0, add);
    Some(if negative { -number } else { number })
}

/// The shortest text that reads as the same number, in JSON's grammar.
pub(super) fn write_f64(value: f64, sink: &mut dyn Sink) -> Result<(), FormatError> {
    if !value.is_finite() {
        return Err(FormatError::BadNumber);
    }
    float::write(value, sink);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn json_numbers() {
        let cases = [
            ("0", Number::Integer(0)),
            ("-0", Number::Integer(0)),
            (
                "-9223372036854775808",
                Number::Integer(i128::from(i64::MIN)),
            ),
            (
                "18446744073709551615",
                Number::Integer(i128::from(u64::MAX)),
            ),
            ("1.5", Number::Float(1.5)),
            ("-1e3", Number::Float(-1000.0)),
            ("1E-2", Number::Float(0.01)),
            ("1e+2", Number::Float(100.0)),
            ("100000000000000000000000", Number::Float(1e23)),
        ];
        for (text, number) in cases {
            assert_eq!(parse_json(text), Ok(number), "{text}");
        }
        for bad in [
            "", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1.e3", "nan", "inf", "1e400",
            "0x1", "1 ", "--1",
        ] {
            assert_eq!(parse_json(bad), Err(FormatError::BadNumber), "{bad}");
        }
        assert_eq!(
            Number::Integer(1 << 70).value(),
            Err(FormatError::BadNumber)
        );
    }

    proptest! {
        #[test]
        fn floats_round_trip(value in any::<f64>()) {
            let mut out = Vec::new();
            match write_f64(value, &mut out) {
                Ok(()) => {
                    let text = String::from_utf8(out).unwrap();
                    prop_assert!(text.len() < 30, "{}", text);
                    prop_assert_eq!(parse_json(&text).unwrap().float(), value);
                }
                Err(_) => prop_assert!(!value.is_finite()),
            }
        }
    }
}
