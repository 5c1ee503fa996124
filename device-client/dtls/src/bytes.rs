//! Reading and writing of bytes in order.

/// What is left to read; every method gives nothing where there is too little.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<usize> {
        let [a, b, c] = self.array()?;
        Some(u32::from_be_bytes([0, a, b, c]) as usize)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Bytes after their number, which has one byte.
    pub(crate) fn vector8(&mut self) -> Option<&'b [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// Bytes after their number, which has two.
    pub(crate) fn vector16(&mut self) -> Option<&'b [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// The end, where it must be.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Moves the first `len` bytes up by `by`, both of which fit. In blocks that overlap nothing, so that
/// a device needs no `memmove`, 1.6 KB of its flash.
pub(crate) fn move_up(bytes: &mut [u8], len: usize, by: usize) {
    const BLOCK: usize = 16;
    let mut left = len;
    while let Some(next) = left.checked_sub(BLOCK) {
        let mut block = [0; BLOCK];
        block.copy_from_slice(&bytes[next..left]);
        bytes[next + by..left + by].copy_from_slice(&block);
        left = next;
    }
    for at in (0..left).rev() {
        bytes[at + by] = bytes[at];
    }
}

/// Room that is filled from the front. Once something does not fit nothing more is written.
pub(crate) struct Writer<'b> {
    place: &'b mut [u8],
    len: usize,
    full: bool,
}

impl<'b> Writer<'b> {
    pub(crate) const fn new(place: &'b mut [u8]) -> Self {
        Self {
            place,
            len: 0,
            full: false,
        }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let rest = self.place.get_mut(self.len..).unwrap_or_default();
        match rest.get_mut(..bytes.len()) {
            Some(place) if !self.full => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.full = true,
        }
    }

    pub(crate) fn u8(&mut self, number: u8) {
        self.put(&[number]);
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.put(&number.to_be_bytes());
    }

    pub(crate) fn u24(&mut self, number: usize) {
        let [_, bytes @ ..] = (number as u32).to_be_bytes();
        self.put(&bytes);
    }

    /// How much was written; none if it did not fit.
    pub(crate) const fn finish(self) -> Option<usize> {
        if self.full { None } else { Some(self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_as_copy_within_does() {
        for len in 0..70 {
            for by in [0, 1, 13, 16, 21, 40] {
                let mut bytes: Vec<u8> = (0..120).collect();
                let mut expected = bytes.clone();
                expected.copy_within(..len, by);
                move_up(&mut bytes, len, by);
                assert_eq!(bytes, expected, "{len} bytes by {by}");
            }
        }
    }
}
