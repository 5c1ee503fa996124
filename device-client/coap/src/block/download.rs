//! Client role of Block2: takes a response body chunk by chunk.

use super::Tag;
use crate::{Block, Code, Message, Szx};

/// Part of a body: the response's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Position in the body.
    pub offset: u32,
    /// The body is complete; otherwise ask for [`Download::next_block`].
    pub last: bool,
    /// Size2, if the peer told it.
    pub total: Option<u32>,
}

/// Why the download can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownloadError {
    /// The peer answered with an error code.
    Refused(Code),
    /// The body changed (another ETag): begin again.
    Changed,
    /// The body is larger than the limit.
    TooLarge,
    /// The peer sent another block than the one asked for.
    WrongBlock,
    /// The payload's length doesn't fit the block.
    WrongLength,
    /// Size exponent 7.
    ReservedSzx,
}

/// Takes a body with one Block2 request after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    max_body: u32,
    offset: u32,
    szx: Szx,
    etag: Option<Tag>,
}

impl Download {
    /// Of at most `max_body` bytes, in blocks of at most `szx`.
    #[must_use]
    pub const fn new(max_body: u32, szx: Szx) -> Self {
        Self {
            max_body,
            offset: 0,
            szx,
            etag: None,
        }
    }

    /// From `received` bytes of the body that had `etag`, rounded down to a block boundary.
    #[must_use]
    pub fn resume(max_body: u32, szx: Szx, etag: Option<Tag>, received: u32) -> Self {
        let _ = received;
        Self {
            max_body,
            offset: 0,
            szx,
            etag,
        }
    }

    /// Block2 of the next request (may be left out of the first one, if any size is welcome).
    #[must_use]
    pub fn next_block(&self) -> Block {
        todo!()
    }

    /// Takes the response to that request.
    ///
    /// # Errors
    /// [`DownloadError`]; nothing has changed.
    pub fn on_response(&mut self, response: &Message<'_>) -> Result<Chunk, DownloadError> {
        let _ = (self.max_body, self.offset, self.szx, self.etag);
        todo!("{response:?}")
    }

    /// Bytes taken.
    #[must_use]
    pub const fn received(&self) -> u32 {
        self.offset
    }

    /// ETag of the body, once known.
    #[must_use]
    pub const fn etag(&self) -> Option<Tag> {
        self.etag
    }
}
