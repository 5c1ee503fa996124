//! A context as it is written down. The master secret is not in it.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | numbers below this one may have been used |
//! | 1 | the ID Context: 0 none, 1 as agreed on, 2 from a re-derivation |
//! | 1, n | the ID Context |

use core::fmt;

use super::{Context, Peer};
use crate::derive::{IdContext, MAX_ID_CONTEXT, Master};
use crate::numbers::Numbers;
use crate::option::NUMBERS;

const VERSION: u8 = 1;
const FIXED: usize = 1 + 8 + 1 + 1;
/// Most bytes that an encoded context has.
pub const MAX_ENCODED: usize = FIXED + MAX_ID_CONTEXT;

/// Why a context can't be written down, or read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredError {
    /// The buffer is too small.
    Space,
    /// It was written by a version that is not known.
    Version(u8),
    /// It ends too early or too late, or says what no context says.
    Malformed,
    /// It has another ID Context than was agreed on.
    Other,
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Space => f.write_str("no room for a context"),
            Self::Version(version) => write!(f, "a context of version {version}"),
            Self::Malformed => f.write_str("no context"),
            Self::Other => f.write_str("a context for something else"),
        }
    }
}

impl core::error::Error for StoredError {}

impl<const ASKED: usize, const HEARD: usize> Peer<ASKED, HEARD> {
    /// Writes down what [`Start::Stored`](super::Start::Stored) needs; its length, at most
    /// [`MAX_ENCODED`]. Numbers that are reserved count as used.
    ///
    /// # Errors
    /// [`StoredError::Space`].
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, StoredError> {
        let id = self.context.id();
        let len = FIXED + id.len();
        let place = out.get_mut(..len).ok_or(StoredError::Space)?;
        let kind = match (&self.context.id, self.context.wrapped) {
            (None, _) => 0,
            (Some(_), false) => 1,
            (Some(_), true) => 2,
        };
        let mark = self.context.numbers.mark().to_be_bytes();
        let head = [VERSION].into_iter().chain(mark);
        let bytes = head.chain([kind, id.len() as u8]).chain(id.iter().copied());
        for (place, byte) in place.iter_mut().zip(bytes) {
            *place = byte;
        }
        Ok(len)
    }
}

pub(super) fn decode(master: &Master, bytes: &[u8]) -> Result<Context, StoredError> {
    let (version, rest) = bytes.split_first().ok_or(StoredError::Malformed)?;
    if *version != VERSION {
        return Err(StoredError::Version(*version));
    }
    let malformed = StoredError::Malformed;
    let (mark, rest) = rest.split_first_chunk().ok_or(malformed)?;
    let mark = u64::from_be_bytes(*mark);
    let ([kind, len], id) = rest.split_first_chunk().ok_or(malformed)?;
    if id.len() != usize::from(*len) || mark > NUMBERS {
        return Err(malformed);
    }
    let id = match kind {
        0 if id.is_empty() => None,
        1 | 2 => Some(IdContext::new(id).ok_or(malformed)?),
        _ => return Err(malformed),
    };
    if *kind != 2 && id.as_ref() != master.context() {
        return Err(StoredError::Other);
    }
    Ok(Context {
        keys: master.keys(id.as_ref().map(IdContext::as_slice)),
        id,
        wrapped: *kind == 2,
        numbers: Numbers::from(mark),
        window: None,
    })
}
