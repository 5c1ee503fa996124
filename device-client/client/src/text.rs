//! Text and bytes of bounded length, in place.

/// How long a text or bytes are.
#[cfg(not(feature = "x509"))]
type Len = u8;
#[cfg(feature = "x509")]
type Len = u16;

/// Puts `bytes` at `start` of a place; its new end, none and nothing done if they don't fit.
fn put(place: &mut [u8], start: Len, bytes: &[u8]) -> Option<Len> {
    let start = usize::from(start);
    let end = start + bytes.len();
    let new = Len::try_from(end).ok()?;
    place.get_mut(start..end)?.copy_from_slice(bytes);
    Some(new)
}

/// UTF-8 text of at most `N` bytes (`N` <= 255).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: Len,
}

impl<const N: usize> Text<N> {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// None if the text is too long.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut new = Self::EMPTY;
        new.set(text).map(|()| new)
    }

    /// Becomes this text; none, and what it was, if it is too long.
    pub(crate) fn set(&mut self, text: &str) -> Option<()> {
        self.len = put(&mut self.bytes, 0, text.as_bytes())?;
        Some(())
    }

    /// Appends; none, and what it was, if that does not fit.
    pub(crate) fn push(&mut self, text: &str) -> Option<()> {
        self.len = put(&mut self.bytes, self.len, text.as_bytes())?;
        Some(())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

impl<const N: usize> core::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// At most `N` bytes (`N` <= 255 without certificates); never printed, since it may be a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes<const N: usize> {
    bytes: [u8; N],
    len: Len,
}

impl<const N: usize> Bytes<N> {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// None if there are too many.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut new = Self::EMPTY;
        new.set(bytes).map(|()| new)
    }

    /// Becomes these; none, and what it was, if there are too many.
    pub(crate) fn set(&mut self, bytes: &[u8]) -> Option<()> {
        self.len = put(&mut self.bytes, 0, bytes)?;
        Some(())
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
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
