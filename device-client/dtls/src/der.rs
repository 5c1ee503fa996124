//! DER (X.690), as much as keys, signatures and certificates need.

use crate::bytes::Reader;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Elements one after the other; every method gives nothing where there is another one or none.
#[derive(Clone, Copy)]
pub(crate) struct Der<'b>(Reader<'b>);

impl<'b> Der<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self(Reader(bytes))
    }

    /// The tag of the next element.
    pub(crate) fn tag(&self) -> Option<u8> {
        self.0.0.first().copied()
    }

    /// The content of the next element, with its tag. Tags of more than one byte and lengths of
    /// more than two don't occur, and a length is as short as it can be.
    pub(crate) fn any(&mut self) -> Option<(u8, &'b [u8])> {
        let tag = self.0.u8().filter(|tag| tag & 0x1f != 0x1f)?;
        let len = match self.0.u8()? {
            short @ 0..=0x7f => usize::from(short),
            0x81 => usize::from(self.0.u8().filter(|len| *len > 0x7f)?),
            0x82 => usize::from(self.0.u16().filter(|len| *len > 0xff)?),
            _ => return None,
        };
        Some((tag, self.0.take(len)?))
    }

    /// The content of the next element, which has this tag.
    pub(crate) fn of(&mut self, tag: u8) -> Option<&'b [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|of| of.1)
    }

    /// The next element, which has this tag, and its content.
    #[cfg(feature = "x509")]
    pub(crate) fn whole(&mut self, tag: u8) -> Option<(&'b [u8], &'b [u8])> {
        let before = self.0.0;
        let content = self.of(tag)?;
        let len = before.len() - self.0.0.len();
        Some((before.get(..len)?, content))
    }

    /// The elements in the next one, which has this tag.
    pub(crate) fn within(&mut self, tag: u8) -> Option<Self> {
        self.of(tag).map(Self::new)
    }

    /// The content of the next element if it has this tag; it may be missing.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<&'b [u8]>> {
        if self.tag() == Some(tag) {
            self.of(tag).map(Some)
        } else {
            Some(None)
        }
    }

    /// A number that is not negative, without the zero before a first bit.
    pub(crate) fn unsigned(&mut self) -> Option<&'b [u8]> {
        match self.of(INTEGER)? {
            [0, rest @ ..] if rest.first().is_some_and(|first| *first > 0x7f) => Some(rest),
            whole @ ([0] | [1..=0x7f, ..]) => Some(whole),
            _ => None,
        }
    }

    /// The end, where it must be.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        let read = |bytes: &[u8]| Der::new(bytes).any().map(|(tag, of)| (tag, of.len()));
        assert_eq!(read(&[4, 1, 9]), Some((4, 1)));
        let long = [&[4, 0x81, 0x80][..], &[0; 0x80]].concat();
        assert_eq!(read(&long), Some((4, 0x80)));
        let longer = [&[4, 0x82, 1, 0][..], &[0; 0x100]].concat();
        assert_eq!(read(&longer), Some((4, 0x100)));
        for bad in [
            &[4, 0x81, 1, 0][..],
            &[4, 0x82, 0, 1, 0],
            &[4, 0x80, 0, 0],
            &[4, 0x83, 0, 0, 1, 0],
            &[4, 2, 0],
            &[4],
            &[0x1f, 1, 0],
            &[],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_have_one_form() {
        let read = |bytes| Der::new(bytes).unsigned();
        assert_eq!(read(&[2, 1, 0]), Some(&[0][..]));
        assert_eq!(read(&[2, 1, 0x7f]), Some(&[0x7f][..]));
        assert_eq!(read(&[2, 2, 0, 0x80]), Some(&[0x80][..]));
        for bad in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 0x7f], &[2, 2, 0, 0]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
