//! The value of the OSCORE option: a COSE object's head, compressed (RFC 8613 §6.1).

use crate::bytes::Bytes;
use crate::derive::{MAX_ID, MAX_ID_CONTEXT};

/// Numbers end here: a Partial IV has 5 bytes.
pub const NUMBERS: u64 = 1 << 40;

/// Longest 'kid context', in bytes: an ID Context as a CBOR byte string.
const MAX_KID_CONTEXT: usize = MAX_ID_CONTEXT + 2;
/// Longest value that we write, in bytes.
pub(crate) const MAX_VALUE: usize = 1 + 5 + 1 + MAX_KID_CONTEXT + MAX_ID;

const HAS_KID: u8 = 1 << 3;
const HAS_KID_CONTEXT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// What an OSCORE option says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OscoreOption<'o> {
    /// The Partial IV, below 2^40.
    pub partial_iv: Option<u64>,
    /// 'kid context'.
    pub kid_context: Option<&'o [u8]>,
    /// 'kid'.
    pub kid: Option<&'o [u8]>,
}

impl<'o> OscoreOption<'o> {
    /// Reads a value; none if it is malformed: reserved bits or lengths, bytes that are missing or
    /// too many, a Partial IV that is not as short as it can be.
    #[must_use]
    pub fn decode(value: &'o [u8]) -> Option<Self> {
        let Some((flags, rest)) = value.split_first() else {
            return Some(Self::default());
        };
        let len = usize::from(flags & 7);
        if *flags == 0 || flags & RESERVED != 0 || len > 5 {
            return None;
        }
        let (partial_iv, mut rest) = rest.split_at_checked(len)?;
        let partial_iv = match partial_iv {
            [] => None,
            [0, _, ..] => return None,
            bytes => Some(
                bytes
                    .iter()
                    .fold(0, |all, byte| all << 8 | u64::from(*byte)),
            ),
        };
        let mut kid_context = None;
        if flags & HAS_KID_CONTEXT != 0 {
            let (len, after) = rest.split_first()?;
            let (bytes, after) = after.split_at_checked(usize::from(*len))?;
            (kid_context, rest) = (Some(bytes), after);
        }
        let kid = (flags & HAS_KID != 0).then_some(rest);
        if kid.is_none() && !rest.is_empty() {
            return None;
        }
        Some(Self {
            partial_iv,
            kid_context,
            kid,
        })
    }

    /// The value; none if something is too long.
    pub(crate) fn encode(&self) -> Option<Bytes<MAX_VALUE>> {
        let mut value = Bytes::EMPTY;
        if *self == Self::default() {
            return Some(value);
        }
        let mut number = Bytes::EMPTY;
        if let Some(partial_iv) = self.partial_iv {
            number = number_bytes(partial_iv)?;
        }
        let mut flags = number.as_slice().len() as u8;
        if self.kid_context.is_some() {
            flags |= HAS_KID_CONTEXT;
        }
        if self.kid.is_some() {
            flags |= HAS_KID;
        }
        value.push(&[flags])?;
        value.push(number.as_slice())?;
        if let Some(context) = self.kid_context {
            value.push(&[u8::try_from(context.len()).ok()?])?;
            value.push(context)?;
        }
        value.push(self.kid.unwrap_or_default())?;
        Some(value)
    }
}

/// A Partial IV in as few bytes as possible, at least one; none above 2^40.
pub(crate) fn number_bytes(number: u64) -> Option<Bytes<5>> {
    if number >= NUMBERS {
        return None;
    }
    let bytes = number.to_be_bytes();
    let skip = (number.leading_zeros() as usize / 8).min(7);
    Bytes::new(bytes.get(skip..)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    /// RFC 8613 §6.3.
    #[test]
    fn the_standards_examples() {
        let cases = [
            (Some(5), None, Some(&[0x25][..]), "090525"),
            (Some(0), None, Some(&[]), "0900"),
            (Some(5), Some(&b"Dalek"[..]), Some(&[]), "19050544616c656b"),
            (None, None, None, ""),
            (Some(7), None, None, "0107"),
        ];
        for (partial_iv, kid_context, kid, value) in cases {
            let option = OscoreOption {
                partial_iv,
                kid_context,
                kid,
            };
            let value = hex(value);
            assert_eq!(option.encode().expect("room").as_slice(), value);
            assert_eq!(OscoreOption::decode(&value), Some(option));
        }
    }

    #[test]
    fn malformed_values() {
        for value in [
            "00",             // No bit is set, but it is not empty.
            "20",             // A reserved bit,
            "890500",         // another.
            "06010203040506", // Reserved lengths of the Partial IV,
            "0701020304050607",
            "020100ff", // bytes after everything,
            "0201",     // cut off in the Partial IV,
            "1905",     // before the length of the context,
            "19050544", // in the context.
            "020001",   // A Partial IV that could be shorter.
        ] {
            assert_eq!(OscoreOption::decode(&hex(value)), None, "{value}");
        }
        assert_eq!(number_bytes(NUMBERS), None);
    }

    proptest! {
        #[test]
        fn there_and_back(
            partial_iv in prop::option::of(0..NUMBERS),
            kid_context in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
            kid in prop::option::of(prop::collection::vec(any::<u8>(), 0..=7)),
        ) {
            let option = OscoreOption {
                partial_iv,
                kid_context: kid_context.as_deref(),
                kid: kid.as_deref(),
            };
            let value = option.encode().expect("room");
            prop_assert_eq!(OscoreOption::decode(value.as_slice()), Some(option));
        }

        #[test]
        fn what_is_taken_has_one_form(value in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(option) = OscoreOption::decode(&value)
                && let Some(again) = option.encode()
            {
                prop_assert_eq!(again.as_slice(), value);
            }
        }
    }
}
