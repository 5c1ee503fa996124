//! Bytes of bounded length, in place.

use core::fmt;

use zeroize::Zeroize;

/// At most `N` bytes (`N` <= 255). Never printed, since they may be a secret, and overwritten at
/// the end.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bytes<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Bytes<N> {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// None if there are too many.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut new = Self::EMPTY;
        new.push(bytes)?;
        Some(new)
    }

    /// Appends; none, and what it was, if they don't fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let start = usize::from(self.len);
        let end = start + bytes.len();
        let len = u8::try_from(end).ok()?;
        self.bytes.get_mut(start..end)?.copy_from_slice(bytes);
        self.len = len;
        Some(())
    }

    /// Appends the head of a CBOR item: its major type and its number, below 256.
    pub(crate) fn push_head(&mut self, major: u8, number: u8) -> Option<()> {
        match number {
            0..24 => self.push(&[major << 5 | number]),
            _ => self.push(&[major << 5 | 24, number]),
        }
    }

    /// Appends a CBOR byte string.
    pub(crate) fn push_string(&mut self, bytes: &[u8]) -> Option<()> {
        self.push_head(2, u8::try_from(bytes.len()).ok()?)?;
        self.push(bytes)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<const N: usize> Drop for Bytes<N> {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// What a CBOR byte string of less than 256 bytes, which is all there is, has in it.
pub(crate) fn unwrap_string(cbor: &[u8]) -> Option<&[u8]> {
    let (len, bytes) = match cbor {
        [head @ 0x40..=0x57, bytes @ ..] => (head & 0x1f, bytes),
        [0x58, len @ 24..=255, bytes @ ..] => (*len, bytes),
        _ => return None,
    };
    (bytes.len() == usize::from(len)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_all_lengths() {
        for len in [0, 1, 23, 24, 40] {
            let bytes = [7; 40];
            let mut made = Bytes::<64>::EMPTY;
            made.push_string(&bytes[..len]).expect("room");
            assert_eq!(unwrap_string(made.as_slice()), Some(&bytes[..len]));
            assert_eq!(unwrap_string(&made.as_slice()[1..]), None);
        }
        assert_eq!(unwrap_string(&[0x58, 3, 1, 2, 3]), None, "not the shortest");
        assert_eq!(Bytes::<3>::new(b"abcd"), None);
    }
}
