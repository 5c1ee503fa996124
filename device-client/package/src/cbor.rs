//! Deterministic CBOR (RFC 8949 section 4.2.1) and nothing else: shortest heads, definite lengths,
//! no floats, no simple values.

/// Why an item could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CborError {
    /// The input ends inside the item; more input may make it readable.
    Truncated,
    /// No input makes this item readable.
    Malformed,
}

type Result<T> = core::result::Result<T, CborError>;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// A cursor over deterministic CBOR.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        self.head_of(UNSIGNED)
    }

    pub(crate) fn integer(&mut self) -> Result<i64> {
        let (major, value) = self.head()?;
        let value = i64::try_from(value).map_err(|_| CborError::Malformed)?;
        match major {
            UNSIGNED => Ok(value),
            NEGATIVE => Ok(-1 - value),
            _ => Err(CborError::Malformed),
        }
    }

    pub(crate) fn array(&mut self) -> Result<u64> {
        self.head_of(ARRAY)
    }

    pub(crate) fn map(&mut self) -> Result<u64> {
        self.head_of(MAP)
    }

    pub(crate) fn tag(&mut self) -> Result<u64> {
        self.head_of(TAG)
    }

    /// The length of a byte string, leaving the cursor at its first byte.
    pub(crate) fn bytes_header(&mut self) -> Result<u64> {
        self.head_of(BYTES)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.head_of(BYTES)?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let len = self.head_of(TEXT)?;
        core::str::from_utf8(self.take(len)?).map_err(|_| CborError::Malformed)
    }

    pub(crate) const fn position(&self) -> usize {
        self.position
    }

    /// What was read since the cursor stood at `start`.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.position).unwrap_or(&[])
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.position == self.input.len()
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| CborError::Malformed)?;
        let end = self.position.checked_add(len).ok_or(CborError::Malformed)?;
        let taken = self
            .input
            .get(self.position..end)
            .ok_or(CborError::Truncated)?;
        self.position = end;
        Ok(taken)
    }

    fn head_of(&mut self, expected: u8) -> Result<u64> {
        match self.head()? {
            (major, value) if major == expected => Ok(value),
            _ => Err(CborError::Malformed),
        }
    }

    /// Major type and argument; the cursor moves only if the whole head is there.
    fn head(&mut self) -> Result<(u8, u64)> {
        let rest = &self.input[self.position..];
        let (&first, rest) = rest.split_first().ok_or(CborError::Truncated)?;
        let (major, info) = (first >> 5, first & 0x1f);
        let len = match info {
            0..24 => 0,
            24..28 => 1 << (info - 24),
            _ => return Err(CborError::Malformed),
        };
        let argument = rest.get(..len).ok_or(CborError::Truncated)?;
        let value = argument
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte));
        let least = match len {
            0 => 0,
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if value < least {
            return Err(CborError::Malformed);
        }
        self.position += 1 + len;
        Ok((major, if len == 0 { u64::from(info) } else { value }))
    }
}

/// Appends deterministic CBOR to a vector; the caller keeps map keys in order.
#[cfg(feature = "alloc")]
#[derive(Debug, Default)]
pub(crate) struct Writer {
    output: alloc::vec::Vec<u8>,
}

#[cfg(feature = "alloc")]
impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(UNSIGNED, value)
    }

    pub(crate) fn integer(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(UNSIGNED, value),
            Err(_) => self.head(NEGATIVE, !value as u64),
        }
    }

    pub(crate) fn array(&mut self, len: u64) -> &mut Self {
        self.head(ARRAY, len)
    }

    pub(crate) fn map(&mut self, len: u64) -> &mut Self {
        self.head(MAP, len)
    }

    pub(crate) fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(TAG, tag)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes_header(bytes.len() as u64);
        self.output.extend_from_slice(bytes);
        self
    }

    pub(crate) fn bytes_header(&mut self, len: u64) -> &mut Self {
        self.head(BYTES, len)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.head(TEXT, text.len() as u64);
        self.output.extend_from_slice(text.as_bytes());
        self
    }

    /// Items that are encoded already.
    pub(crate) fn encoded(&mut self, items: &[u8]) -> &mut Self {
        self.output.extend_from_slice(items);
        self
    }

    /// What was written, leaving the writer empty.
    pub(crate) fn take(&mut self) -> alloc::vec::Vec<u8> {
        core::mem::take(&mut self.output)
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        let (info, argument) = match value {
            0..24 => (value as u8, &bytes[8..]),
            24..=0xff => (24, &bytes[7..]),
            0x100..=0xffff => (25, &bytes[6..]),
            0x1_0000..=0xffff_ffff => (26, &bytes[4..]),
            _ => (27, &bytes[..]),
        };
        self.output.push(major | info);
        self.output.extend_from_slice(argument);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_deterministic() {
        for bytes in [
            &[0x18, 0x17][..],
            &[0x19, 0x00, 0xff],
            &[0x1a, 0x00, 0x00, 0xff, 0xff],
            &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x1c],
            &[0x1f],
            &[0x5f, 0xff],
            &[0x20],
        ] {
            assert_eq!(
                Reader::new(bytes).unsigned(),
                Err(CborError::Malformed),
                "{bytes:02x?}"
            );
        }
        assert_eq!(Reader::new(&[0x5f]).bytes(), Err(CborError::Malformed));
        assert_eq!(
            Reader::new(&[0x62, 0xc3, 0x28]).text(),
            Err(CborError::Malformed)
        );
        assert_eq!(
            Reader::new(&[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).integer(),
            Err(CborError::Malformed)
        );
    }

    #[test]
    fn huge_lengths_are_only_truncated() {
        let claim = [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(Reader::new(&claim).bytes(), Err(CborError::Truncated));
        let claim = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(Reader::new(&claim).bytes(), Err(CborError::Malformed));
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn writes_what_it_reads() {
        for value in [
            0,
            1,
            23,
            24,
            255,
            256,
            65_535,
            65_536,
            u64::from(u32::MAX),
            1 << 32,
        ] {
            let bytes = Writer::new().unsigned(value).take();
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.unsigned(), Ok(value));
            assert!(reader.is_empty());
        }
        for value in [-1, -24, -25, -256, -257, -65_537, i64::MIN, i64::MAX, 0] {
            let bytes = Writer::new().integer(value).take();
            assert_eq!(Reader::new(&bytes).integer(), Ok(value));
            for cut in 0..bytes.len() {
                assert_eq!(
                    Reader::new(&bytes[..cut]).integer(),
                    Err(CborError::Truncated)
                );
            }
        }
    }
}
