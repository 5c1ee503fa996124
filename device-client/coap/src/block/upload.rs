//! Client role of Block1: sends a body of known length.

use super::Tag;
use crate::{Block, Code, Message, Szx};

/// The next request of an [`Upload`]: payload is `body[offset..offset + len]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadBlock {
    /// Block1 to put in; `None` if the whole body fits one block.
    pub block1: Option<Block>,
    /// First byte of the payload in the body.
    pub offset: u32,
    /// Bytes of payload.
    pub len: usize,
    /// Size1 to put in (with the first block sent).
    pub size1: Option<u32>,
    /// Request-Tag to put in (with every block), if the upload has one.
    pub tag: Option<Tag>,
}

/// What a response means for the [`Upload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStep {
    /// Send [`Upload::next_block`].
    Continue,
    /// The body is delivered; the message's code and payload are the final response.
    Done(Code),
}

/// Why the upload can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadError {
    /// The peer answered with an error code.
    Refused(Code),
    /// 4.08: the peer misses blocks; [`Upload::restart`] sends the body from its beginning.
    Incomplete,
    /// 4.13: the body is too large for the peer, which takes at most this many bytes if it said so.
    TooLarge(Option<u32>),
    /// The peer acknowledged another block than the one sent, or grew the block size.
    WrongBlock,
    /// The peer acknowledged a block without Block1: it doesn't do block-wise transfer here.
    MissingBlock1,
    /// The code is no answer to a block.
    UnexpectedCode(Code),
    /// The body needs more than 2^20 blocks of the size the peer can take.
    TooManyBlocks,
}

/// Sends a body of known length with one Block1 request after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    total: u32,
    offset: u32,
    szx: Szx,
    tag: Option<Tag>,
    first: bool,
}

impl Upload {
    /// From the first byte, with blocks of at most `szx`.
    #[must_use]
    pub const fn new(total: u32, szx: Szx, tag: Option<Tag>) -> Self {
        Self {
            total,
            offset: 0,
            szx,
            tag,
            first: true,
        }
    }

    /// From `received`, the count of bytes that the peer has: rounded down to a block boundary, at
    /// the largest size up to `szx` that loses nothing, else 16.
    #[must_use]
    pub fn resume(total: u32, szx: Szx, tag: Option<Tag>, received: u32) -> Self {
        let _ = received;
        Self {
            total,
            offset: 0,
            szx,
            tag,
            first: true,
        }
    }

    /// The request to send now; the same until a response is handled.
    #[must_use]
    pub fn next_block(&self) -> UploadBlock {
        todo!()
    }

    /// Takes the response to [`Upload::next_block`].
    ///
    /// # Errors
    /// [`UploadError`]; nothing has changed.
    pub fn on_response(&mut self, response: &Message<'_>) -> Result<UploadStep, UploadError> {
        todo!("{response:?}")
    }

    /// Begins again at the first byte.
    pub fn restart(&mut self) {
        self.offset = 0;
        self.first = true;
    }

    /// Bytes acknowledged and bytes in all.
    #[must_use]
    pub const fn progress(&self) -> (u32, u32) {
        (self.offset, self.total)
    }
}
