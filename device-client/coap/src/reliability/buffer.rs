//! Where an endpoint keeps copies of datagrams.

/// Keeps a copy of one datagram.
pub trait Buffer: Default {
    /// An empty one.
    const EMPTY: Self;

    /// Replaces the content; `false` (and empty) if it doesn't fit.
    #[must_use]
    fn store(&mut self, bytes: &[u8]) -> bool;

    /// The content.
    fn as_slice(&self) -> &[u8];

    /// Empties it and gives back what memory it can.
    fn clear(&mut self);
}

/// Keeps nothing.
impl Buffer for () {
    const EMPTY: Self = ();

    fn store(&mut self, bytes: &[u8]) -> bool {
        bytes.is_empty()
    }

    fn as_slice(&self) -> &[u8] {
        &[]
    }

    fn clear(&mut self) {}
}

/// A buffer of `N` bytes in place.
#[derive(Clone, Debug)]
pub struct FixedBuffer<const N: usize> {
    len: usize,
    bytes: [u8; N],
}

impl<const N: usize> Default for FixedBuffer<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> Buffer for FixedBuffer<N> {
    const EMPTY: Self = Self {
        len: 0,
        bytes: [0; N],
    };

    fn store(&mut self, bytes: &[u8]) -> bool {
        self.len = 0;
        let Some(place) = self.bytes.get_mut(..bytes.len()) else {
            return false;
        };
        place.copy_from_slice(bytes);
        self.len = bytes.len();
        true
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn clear(&mut self) {
        self.len = 0;
    }
}

/// A buffer on the heap that takes any datagram and no memory while empty.
#[cfg(any(test, feature = "std"))]
impl Buffer for Vec<u8> {
    const EMPTY: Self = Self::new();

    fn store(&mut self, bytes: &[u8]) -> bool {
        *self = bytes.to_vec();
        true
    }

    fn as_slice(&self) -> &[u8] {
        self
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}
