//! CBOR as any sender writes it (RFC 8949): heads of any length, items of indefinite length, floats.

use super::fault::Fault;
use crate::cbor::{CborError, Head, Major};

pub(super) const UNSIGNED: u8 = Major::Unsigned as u8;
pub(super) const NEGATIVE: u8 = Major::Negative as u8;
pub(super) const BYTES: u8 = Major::Bytes as u8;
pub(super) const TEXT: u8 = Major::Text as u8;
pub(super) const ARRAY: u8 = Major::Array as u8;
pub(super) const MAP: u8 = Major::Map as u8;
pub(super) const TAG: u8 = Major::Tag as u8;
/// Floats, simple values and the end of what is open.
pub(super) const SIMPLE: u8 = 7;

/// Deepest nesting of what is skipped.
const MAX_DEPTH: u8 = 16;

impl Head {
    /// Items, pairs or bytes that follow; none if a break ends them.
    pub(super) fn count(self) -> Option<u64> {
        (!self.is_open()).then_some(self.argument)
    }

    pub(super) fn integer(self) -> Result<i128, Fault> {
        match self.major {
            UNSIGNED => Ok(self.argument.into()),
            NEGATIVE => Ok(-1 - i128::from(self.argument)),
            _ => Err(Fault::Syntax),
        }
    }
}

/// Where a text or a byte string lies: in the payload, or put together at the start of scratch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Span {
    Payload { start: usize, end: usize },
    Scratch { len: usize },
}

impl Span {
    pub(super) fn of<'a>(self, payload: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Payload { start, end } => payload.get(start..end),
            Self::Scratch { len } => scratch.get(..len),
        }
        .unwrap_or_default()
    }
}

pub(super) fn str(bytes: &[u8]) -> Result<&str, Fault> {
    core::str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)
}

/// A cursor.
pub(super) struct Items<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Items<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    pub(super) const fn input(&self) -> &'a [u8] {
        self.input
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.position == self.input.len()
    }

    /// Major type of the next item.
    pub(super) fn major(&self) -> Result<u8, Fault> {
        Ok(self.first()? >> 5)
    }

    fn first(&self) -> Result<u8, Fault> {
        let first = self.input.get(self.position);
        first.copied().ok_or(Fault::Truncated)
    }

    /// Is the next item true or false?
    pub(super) fn at_bool(&self) -> bool {
        matches!(self.first(), Ok(0xf4 | 0xf5))
    }

    /// Takes the head of the next item, and of a number or a tag all of it.
    pub(super) fn head(&mut self) -> Result<Head, Fault> {
        let rest = self.input.get(self.position..).unwrap_or_default();
        let head = Head::parse(rest).map_err(|e| match e {
            CborError::Truncated => Fault::Truncated,
            CborError::Malformed => Fault::Syntax,
        })?;
        if head.is_open() && matches!(head.major, UNSIGNED | NEGATIVE | TAG) {
            return Err(Fault::Syntax);
        }
        self.position += head.len;
        Ok(head)
    }

    /// Takes the head of an item that must have this major type.
    pub(super) fn head_of(&mut self, major: u8) -> Result<Head, Fault> {
        match self.head()? {
            head if head.major == major => Ok(head),
            _ => Err(Fault::Syntax),
        }
    }

    /// Is there another item in a container that says its length, or is open?
    pub(super) fn more(&mut self, left: &mut Option<u64>) -> Result<bool, Fault> {
        match left {
            None => Ok(!self.at_break()?),
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
        }
    }

    /// Takes the end of an item of indefinite length, if it is next.
    fn at_break(&mut self) -> Result<bool, Fault> {
        let at_break = self.first()? == 0xff;
        self.position += usize::from(at_break);
        Ok(at_break)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Fault> {
        match self.head()? {
            Head {
                major: SIMPLE,
                info: info @ 20..=21,
                ..
            } => Ok(info == 21),
            _ => Err(Fault::Syntax),
        }
    }

    /// A text or a byte string; chunks of indefinite length are put together in scratch.
    pub(super) fn string(&mut self, major: u8, scratch: &mut [u8]) -> Result<Span, Fault> {
        let head = self.head_of(major)?;
        if let Some(len) = head.count() {
            let start = self.position;
            let end = self.pass(len)?;
            return Ok(Span::Payload { start, end });
        }
        let mut len = 0;
        while let Some(chunk) = self.chunk(major)? {
            let place = scratch.get_mut(len..len + chunk.len());
            place.ok_or(Fault::ScratchTooSmall)?.copy_from_slice(chunk);
            if major == TEXT {
                str(chunk)?;
            }
            len += chunk.len();
        }
        Ok(Span::Scratch { len })
    }

    /// The next part of a string of indefinite length.
    fn chunk(&mut self, major: u8) -> Result<Option<&'a [u8]>, Fault> {
        if self.at_break()? {
            return Ok(None);
        }
        let len = self.head_of(major)?.count().ok_or(Fault::Syntax)?;
        let start = self.position;
        let end = self.pass(len)?;
        Ok(self.input.get(start..end))
    }

    /// Passes over bytes; where they end.
    fn pass(&mut self, len: u64) -> Result<usize, Fault> {
        let rest = self.input.len() - self.position;
        let len = usize::try_from(len).ok().filter(|len| *len <= rest);
        self.position += len.ok_or(Fault::Truncated)?;
        Ok(self.position)
    }

    /// Passes over one item of any kind.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        self.skip_within(MAX_DEPTH)
    }

    fn skip_within(&mut self, depth: u8) -> Result<(), Fault> {
        let inner = depth.checked_sub(1).ok_or(Fault::TooDeep)?;
        let head = self.head()?;
        let (mut left, width) = match (head.major, head.count()) {
            (BYTES | TEXT, Some(len)) => return self.pass(len).map(drop),
            (BYTES | TEXT, None) => {
                while self.chunk(head.major)?.is_some() {}
                return Ok(());
            }
            (ARRAY, count) => (count, 1),
            (MAP, count) => (count, 2),
            (TAG, _) => (Some(1), 1),
            (_, Some(_)) => return Ok(()),
            (_, None) => return Err(Fault::Syntax),
        };
        while self.more(&mut left)? {
            for _ in 0..width {
                self.skip_within(inner)?;
            }
        }
        Ok(())
    }
}
