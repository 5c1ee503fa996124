//! Numbers as text.

use core::fmt::{self, Write as _};

use super::FormatError;
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

/// A finite decimal number in JSON's grammar; `text` must be ASCII.
pub(super) fn parse_json(text: &str) -> Result<Number, FormatError> {
    let bad = FormatError::BadNumber;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.bytes().take_while(u8::is_ascii_digit).count();
    if whole == 0 || (whole > 1 && digits.starts_with('0')) {
        return Err(bad);
    }
    let rest = &digits[whole..];
    if rest.is_empty() && whole <= 20 {
        return text.parse().map(Number::Integer).map_err(|_| bad);
    }
    let mut rest = rest.as_bytes();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return Err(bad);
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            _ => exponent,
        };
        if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
            return Err(bad);
        }
    } else if !rest.is_empty() {
        return Err(bad);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Number::Float(value)),
        _ => Err(bad),
    }
}

/// Text into a sink.
pub(super) struct Text<'s>(pub(super) &'s mut dyn Sink);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

pub(super) fn write_i64(value: i64, sink: &mut dyn Sink) {
    let _ = write!(Text(sink), "{value}");
}

pub(super) fn write_u64(value: u64, sink: &mut dyn Sink) {
    let _ = write!(Text(sink), "{value}");
}

/// The shortest text that reads as the same number, in JSON's grammar.
pub(super) fn write_f64(value: f64, sink: &mut dyn Sink) -> Result<(), FormatError> {
    if !value.is_finite() {
        return Err(FormatError::BadNumber);
    }
    let magnitude = value.abs();
    let _ = if magnitude != 0.0 && !(1e-5..1e17).contains(&magnitude) {
        write!(Text(sink), "{value:e}")
    } else {
        write!(Text(sink), "{value}")
    };
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
