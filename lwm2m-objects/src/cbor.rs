//! Deterministic CBOR (RFC 8949 §4.2.1): shortest heads, definite lengths. The [`Reader`]
//! takes nothing else, and neither floats nor simple values.

use crate::Sink;

/// Why an item could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CborError {
    /// The input ends inside the item; more input may make it readable.
    Truncated,
    /// No input makes this item readable.
    Malformed,
}

type Result<T> = core::result::Result<T, CborError>;

/// The kind of an item (RFC 8949 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Major {
    /// An integer from 0 on.
    Unsigned = 0,
    /// An integer below 0: -1 - argument.
    Negative = 1,
    /// A byte string of a length.
    Bytes = 2,
    /// A text of a length in bytes.
    Text = 3,
    /// A number of items.
    Array = 4,
    /// A number of pairs of items.
    Map = 5,
    /// What the next item means.
    Tag = 6,
}

/// Writes the head of an item in its shortest form.
pub fn head(sink: &mut dyn Sink, major: Major, argument: u64) {
    let major = (major as u8) << 5;
    let bytes = argument.to_be_bytes();
    let (info, used) = match argument {
        0..24 => (argument as u8, 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    sink.write(&[major | info]);
    sink.write(&bytes[bytes.len() - used..]);
}

/// Writes an integer.
pub fn integer(sink: &mut dyn Sink, value: i64) {
    match u64::try_from(value) {
        Ok(value) => head(sink, Major::Unsigned, value),
        Err(_) => head(sink, Major::Negative, !value as u64),
    }
}

/// Writes a text; the bytes are UTF-8.
pub fn text(sink: &mut dyn Sink, text: &[u8]) {
    head(sink, Major::Text, text.len() as u64);
    sink.write(text);
}

/// The start of an item (RFC 8949 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) major: u8,
    pub(crate) info: u8,
    pub(crate) argument: u64,
    /// Bytes of the head.
    pub(crate) len: usize,
}

impl Head {
    /// The head that `input` begins with.
    pub(crate) fn parse(input: &[u8]) -> Result<Self> {
        let (&first, rest) = input.split_first().ok_or(CborError::Truncated)?;
        let (major, info) = (first >> 5, first & 0x1f);
        let len = match info {
            24..28 => 1 << (info - 24),
            28..31 => return Err(CborError::Malformed),
            _ => 0,
        };
        let argument = match rest.get(..len).ok_or(CborError::Truncated)? {
            [] => info.into(),
            bytes => bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)),
        };
        Ok(Self {
            major,
            info,
            argument,
            len: 1 + len,
        })
    }

    /// Instead of a length, a break says where the item ends.
    pub(crate) const fn is_open(self) -> bool {
        self.info == 31
    }

    /// The least argument that needs a head of this length.
    const fn least(self) -> u64 {
        match self.len {
            1 => 0,
            2 => 24,
            len => 1 << (4 * (len - 1)),
        }
    }
}

/// A cursor over deterministic CBOR.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `input`.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// The input does not go on with one; likewise below.
    pub fn unsigned(&mut self) -> Result<u64> {
        self.head_of(Major::Unsigned)
    }

    /// An integer of 64 bits.
    pub fn integer(&mut self) -> Result<i64> {
        let (major, value) = self.head()?;
        let value = i64::try_from(value).map_err(|_| CborError::Malformed)?;
        if major == Major::Unsigned as u8 {
            Ok(value)
        } else if major == Major::Negative as u8 {
            Ok(-1 - value)
        } else {
            Err(CborError::Malformed)
        }
    }

    /// The number of items of an array.
    pub fn array(&mut self) -> Result<u64> {
        self.head_of(Major::Array)
    }

    /// The number of pairs of a map.
    pub fn map(&mut self) -> Result<u64> {
        self.head_of(Major::Map)
    }

    /// A tag.
    pub fn tag(&mut self) -> Result<u64> {
        self.head_of(Major::Tag)
    }

    /// The length of a byte string, leaving the cursor at its first byte.
    pub fn bytes_header(&mut self) -> Result<u64> {
        self.head_of(Major::Bytes)
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.head_of(Major::Bytes)?;
        self.take(len)
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'a str> {
        let len = self.head_of(Major::Text)?;
        core::str::from_utf8(self.take(len)?).map_err(|_| CborError::Malformed)
    }

    /// Bytes read so far.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What was read since the cursor stood at `start`.
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.position).unwrap_or(&[])
    }

    /// Is there nothing left?
    pub const fn is_empty(&self) -> bool {
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

    fn head_of(&mut self, expected: Major) -> Result<u64> {
        match self.head()? {
            (major, value) if major == expected as u8 => Ok(value),
            _ => Err(CborError::Malformed),
        }
    }

    /// Major type and argument; the cursor moves only if the whole head is there.
    fn head(&mut self) -> Result<(u8, u64)> {
        let head = Head::parse(self.input.get(self.position..).unwrap_or_default())?;
        if head.is_open() || head.argument < head.least() {
            return Err(CborError::Malformed);
        }
        self.position += head.len;
        Ok((head.major, head.argument))
    }
}

/// Writes items one by one; the caller keeps map keys in order and counts.
#[derive(Debug, Default)]
pub struct Writer<S> {
    sink: S,
}

impl<S: Sink> Writer<S> {
    /// A writer to a sink.
    pub const fn new(sink: S) -> Self {
        Self { sink }
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(Major::Unsigned, value)
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) -> &mut Self {
        integer(&mut self.sink, value);
        self
    }

    /// The head of an array of `len` items, which follow.
    pub fn array(&mut self, len: u64) -> &mut Self {
        self.head(Major::Array, len)
    }

    /// The head of a map of `len` pairs, which follow.
    pub fn map(&mut self, len: u64) -> &mut Self {
        self.head(Major::Map, len)
    }

    /// A tag of the item that follows.
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(Major::Tag, tag)
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes_header(bytes.len() as u64).encoded(bytes)
    }

    /// The head of a byte string of `len` bytes, which follow.
    pub fn bytes_header(&mut self, len: u64) -> &mut Self {
        self.head(Major::Bytes, len)
    }

    /// The value null.
    pub fn null(&mut self) -> &mut Self {
        self.sink.write(&[0xf6]);
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self::text(&mut self.sink, text.as_bytes());
        self
    }

    /// A float in single precision.
    pub fn single(&mut self, value: f32) -> &mut Self {
        self.encoded(&[0xfa]).encoded(&value.to_be_bytes())
    }

    /// Items that are encoded already.
    pub fn encoded(&mut self, items: &[u8]) -> &mut Self {
        self.sink.write(items);
        self
    }

    fn head(&mut self, major: Major, value: u64) -> &mut Self {
        head(&mut self.sink, major, value);
        self
    }
}

impl<S: Default> Writer<S> {
    /// What was written, leaving the writer empty.
    pub fn take(&mut self) -> S {
        core::mem::take(&mut self.sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

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
            let bytes = Writer::new(Vec::new()).unsigned(value).take();
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.unsigned(), Ok(value));
            assert!(reader.is_empty());
        }
        for value in [-1, -24, -25, -256, -257, -65_537, i64::MIN, i64::MAX, 0] {
            let bytes = Writer::new(Vec::new()).integer(value).take();
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
