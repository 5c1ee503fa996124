//! What a Push sends.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Bytes in two parts: a head of one device, and a file that a thousand devices can be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    head: Arc<[u8]>,
    file: Arc<[u8]>,
}

impl Body {
    /// The head, then the file.
    pub fn new(head: Arc<[u8]>, file: Arc<[u8]>) -> Self {
        Body { head, file }
    }

    /// Bytes in both.
    pub fn len(&self) -> usize {
        self.head.len() + self.file.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` bytes from `start` on, less at the end; copied only where they lie in both parts.
    pub fn piece(&self, start: usize, len: usize) -> Cow<'_, [u8]> {
        let end = start.saturating_add(len).min(self.len());
        let border = self.head.len();
        let start = start.min(end);
        if start >= border {
            return Cow::Borrowed(&self.file[start - border..end - border]);
        }
        if end <= border {
            return Cow::Borrowed(&self.head[start..end]);
        }
        let mut piece = self.head[start..].to_vec();
        piece.extend_from_slice(&self.file[..end - border]);
        Cow::Owned(piece)
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for Body {
    fn from(file: T) -> Self {
        Body::new(Arc::from([]), file.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_those_of_the_whole() {
        let whole: Vec<u8> = (0..20).collect();
        for border in [0, 1, 7, 20] {
            let (head, file) = whole.split_at(border);
            let body = Body::new(head.into(), file.into());
            assert_eq!(body.len(), 20);
            for start in 0..=21 {
                for len in [0, 1, 5, 30] {
                    let end = (start + len).min(20);
                    let expected = &whole[start.min(end)..end];
                    assert_eq!(&*body.piece(start, len), expected, "{border} {start} {len}");
                }
            }
        }
        let body = Body::new(vec![1, 2].into(), vec![3, 4].into());
        assert!(matches!(body.piece(0, 2), Cow::Borrowed(_)));
        assert!(matches!(body.piece(1, 2), Cow::Owned(_)));
        assert!(matches!(body.piece(2, 2), Cow::Borrowed(_)));
        assert!(Body::from(Vec::new()).is_empty());
    }
}
