//! Little-endian fields of the records in the journal.

pub(crate) struct Writer<'a> {
    buf: &'a mut [u8],
    at: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buf: &'a mut [u8]) -> Self {
        Self {
            buf,
            at: 0,
            overflow: false,
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        match self.buf.get_mut(self.at..self.at + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.overflow = true,
        }
    }

    /// The lowest `len` bytes of a number.
    fn number(&mut self, n: u64, len: usize) {
        self.bytes(n.to_le_bytes().get(..len).unwrap_or_default());
    }

    pub(crate) fn u8(&mut self, n: u8) {
        self.number(n.into(), 1);
    }

    pub(crate) fn u16(&mut self, n: u16) {
        self.number(n.into(), 2);
    }

    pub(crate) fn u32(&mut self, n: u32) {
        self.number(n.into(), 4);
    }

    pub(crate) fn u64(&mut self, n: u64) {
        self.number(n, 8);
    }

    /// A length byte and the bytes.
    pub(crate) fn short(&mut self, bytes: &[u8]) {
        self.u8(bytes.len() as u8);
        self.bytes(bytes);
    }

    /// A length byte and so many bytes, which `encode` writes into the room it is given; false if
    /// it can't.
    #[cfg(feature = "dtls")]
    pub(crate) fn encoded(&mut self, len: usize, encode: impl FnOnce(&mut [u8]) -> bool) {
        self.u8(len as u8);
        let place = self.buf.get_mut(self.at..self.at + len);
        self.overflow |= !place.is_some_and(encode);
        self.at += len;
    }

    /// Bytes written, none if they did not fit.
    pub(crate) fn finish(self) -> Option<usize> {
        (!self.overflow).then_some(self.at)
    }
}

/// Every method gives none at the end of the data.
pub(crate) struct Reader<'a> {
    data: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.data.split_at_checked(len)?;
        self.data = rest;
        Some(head)
    }

    fn number(&mut self, len: usize) -> Option<u64> {
        let bytes = self.take(len)?.iter().rev();
        Some(bytes.fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        Some(self.number(1)? as u8)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(self.number(2)? as u16)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(self.number(4)? as u32)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.number(8)
    }

    /// As many bytes as there is place for.
    pub(crate) fn fill(&mut self, place: &mut [u8]) -> Option<()> {
        place.copy_from_slice(self.take(place.len())?);
        Some(())
    }

    /// A length byte and the bytes.
    pub(crate) fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(len.into())
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.short()?).ok()
    }
}
