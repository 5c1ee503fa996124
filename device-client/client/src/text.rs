//! Text and bytes of bounded length, in place.

/// UTF-8 text of at most `N` bytes (`N` <= 255).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// None if the text is too long.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut new = Self::EMPTY;
        new.bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        new.len = u8::try_from(text.len()).ok()?;
        Some(new)
    }

    /// Becomes this text, empty if it is too long.
    pub(crate) fn set(&mut self, text: &str) {
        self.len = 0;
        let place = self.bytes.get_mut(..text.len());
        if let (Some(place), Ok(len)) = (place, u8::try_from(text.len())) {
            place.copy_from_slice(text.as_bytes());
            self.len = len;
        }
    }

    /// Appends; none, and the text as it was, if that does not fit.
    pub(crate) fn push(&mut self, text: &str) -> Option<()> {
        let start = usize::from(self.len);
        let end = start + text.len();
        self.bytes
            .get_mut(start..end)?
            .copy_from_slice(text.as_bytes());
        self.len = u8::try_from(end).ok()?;
        Some(())
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("")
    }
}

impl<const N: usize> core::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// At most `N` bytes (`N` <= 255); never printed, since it may be a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
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
        new.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        new.len = u8::try_from(bytes.len()).ok()?;
        Some(new)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl<const N: usize> core::fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_refused() {
        assert_eq!(Text::<3>::new("abc").unwrap().as_str(), "abc");
        assert_eq!(Text::<3>::new("abcd"), None);
        assert_eq!(format!("{:?}", Bytes::<4>::new(b"key").unwrap()), "3 bytes");
    }
}
