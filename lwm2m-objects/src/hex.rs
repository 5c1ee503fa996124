//! Bytes as hexadecimal text; with `std` as a module for serde's `with`.

use alloc::string::String;
use alloc::vec::Vec;

/// Two lower-case digits for each byte.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

/// The bytes of a text of digits, an even number of them, in either case.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some((nibble(*high)? * 16 + nibble(*low)?) as u8))
        .collect()
}

/// Writes bytes as text.
///
/// # Errors
/// What the serializer says.
#[cfg(feature = "std")]
pub fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(bytes))
}

/// Reads bytes from text.
///
/// # Errors
/// The text has an odd number of digits, or something else than digits.
#[cfg(feature = "std")]
pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    use serde::{Deserialize as _, de::Error as _};
    let text = String::deserialize(deserializer)?;
    decode(&text).ok_or_else(|| D::Error::custom("not an even number of hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_either_case_and_in_pairs() {
        assert_eq!(encode(&[0, 0x1f, 0xa0]), "001fa0");
        assert_eq!(decode("001FA0"), Some(std::vec![0, 0x1f, 0xa0]));
        assert_eq!(decode(""), Some(Vec::new()));
        for bad in ["0", "0g", " 0", "+1", "\u{e9}"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
