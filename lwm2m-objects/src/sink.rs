//! Where encoders write to.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Takes bytes in order.
///
/// Writing can't fail: a sink that is full drops the rest and says so when it is asked.
pub trait Sink {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]);
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn write(&mut self, bytes: &[u8]) {
        (**self).write(bytes);
    }
}

#[cfg(feature = "alloc")]
impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts bytes and keeps none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    total: usize,
}

impl Counter {
    /// A counter at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { total: 0 }
    }

    /// Number of bytes written so far.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }
}

impl Sink for Counter {
    fn write(&mut self, bytes: &[u8]) {
        self.total += bytes.len();
    }
}

/// Keeps what fits a slice.
#[derive(Debug)]
pub struct SliceSink<'a> {
    window: Window<'a>,
}

impl<'a> SliceSink<'a> {
    /// A sink that fills `buffer` from its start.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            window: Window::new(buffer, 0),
        }
    }

    /// What was written.
    ///
    /// # Errors
    /// More was written than the buffer holds: the number of bytes it would need.
    pub fn finish(self) -> Result<&'a mut [u8], usize> {
        let total = self.window.total();
        if total > self.window.buffer.len() {
            return Err(total);
        }
        Ok(&mut self.window.buffer[..total])
    }

    /// Number of bytes written, whether they fit or not.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.window.total()
    }
}

impl Sink for SliceSink<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.window.write(bytes);
    }
}

/// Keeps the bytes `offset..offset + buffer.len()` of all that is written and counts the total.
///
/// A block of a long representation (RFC 7959 Block2) is made by running the read again into a
/// window, so that nobody holds the whole.
#[derive(Debug)]
pub struct Window<'a> {
    buffer: &'a mut [u8],
    offset: usize,
    total: usize,
}

impl<'a> Window<'a> {
    /// A window on the bytes from `offset` on, as many as `buffer` holds.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8], offset: usize) -> Self {
        Self {
            buffer,
            offset,
            total: 0,
        }
    }

    /// Number of bytes of the whole.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Number of bytes in the window.
    #[must_use]
    pub const fn len(&self) -> usize {
        let behind = self.total.saturating_sub(self.offset);
        if behind < self.buffer.len() {
            behind
        } else {
            self.buffer.len()
        }
    }

    /// Did nothing fall into the window?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is there more behind the window (the M bit of Block2)?
    #[must_use]
    pub const fn more(&self) -> bool {
        self.total > self.offset.saturating_add(self.buffer.len())
    }

    /// The bytes in the window.
    #[must_use]
    pub fn finish(self) -> &'a [u8] {
        let len = self.len();
        &self.buffer[..len]
    }
}

impl Sink for Window<'_> {
    fn write(&mut self, bytes: &[u8]) {
        let start = self.total;
        self.total = start.saturating_add(bytes.len());
        let skip = self.offset.saturating_sub(start);
        if skip >= bytes.len() {
            return;
        }
        let at = start.saturating_sub(self.offset);
        if at >= self.buffer.len() {
            return;
        }
        let kept = (bytes.len() - skip).min(self.buffer.len() - at);
        self.buffer[at..at + kept].copy_from_slice(&bytes[skip..skip + kept]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn window_is_a_slice_of_the_whole(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
            offset in 0usize..40,
            len in 0usize..40,
        ) {
            let whole = parts.concat();
            let mut buffer = [0; 40];
            let mut window = Window::new(&mut buffer[..len], offset);
            for part in &parts {
                window.write(part);
            }
            prop_assert_eq!(window.total(), whole.len());
            prop_assert_eq!(window.more(), offset + len < whole.len());
            let start = offset.min(whole.len());
            let end = (offset + len).min(whole.len());
            prop_assert_eq!(window.finish(), &whole[start..end]);
        }
    }

    #[test]
    fn slice_sink_tells_what_it_lacks() {
        let mut buffer = [0; 4];
        let mut sink = SliceSink::new(&mut buffer);
        sink.write(b"abc");
        assert_eq!(sink.finish(), Ok(&mut b"abc".to_owned()[..]));
        let mut sink = SliceSink::new(&mut buffer);
        sink.write(b"abcde");
        assert_eq!(sink.finish(), Err(5));
    }
}
