//! Client role of Block2: takes a response body chunk by chunk.

use core::fmt;

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

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "peer answered {code}"),
            Self::Changed => f.write_str("body changed while it was being read"),
            Self::TooLarge => f.write_str("body is larger than the limit"),
            Self::WrongBlock => f.write_str("peer sent another block than the one asked for"),
            Self::WrongLength => f.write_str("payload's length doesn't fit its block"),
            Self::ReservedSzx => f.write_str("block size exponent 7 is reserved"),
        }
    }
}

impl core::error::Error for DownloadError {}

/// Takes a body with one Block2 request after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    max_body: u32,
    offset: u32,
    szx: Szx,
    etag: Option<Tag>,
    /// The ETag (or its absence) is the body's.
    begun: bool,
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
            begun: false,
        }
    }

    /// From `received` bytes of the body that had `etag`, rounded down to a block boundary:
    /// [`Chunk::offset`] says where the first chunk belongs.
    #[must_use]
    pub fn resume(max_body: u32, szx: Szx, etag: Option<Tag>, received: u32) -> Self {
        let offset = super::boundary(received, szx);
        Self {
            max_body,
            offset,
            szx,
            etag,
            begun: offset > 0,
        }
    }

    /// Block2 of the next request (may be left out of the first one, if any size is welcome).
    #[must_use]
    pub const fn next_block(&self) -> Block {
        Block {
            num: self.offset >> (self.szx.exponent() + 4),
            more: false,
            szx: self.szx,
        }
    }

    /// Takes the response to that request.
    ///
    /// # Errors
    /// [`DownloadError`]; nothing has changed.
    pub fn on_response(&mut self, response: &Message<'_>) -> Result<Chunk, DownloadError> {
        if !response.code().is_success() {
            return Err(DownloadError::Refused(response.code()));
        }
        let etag = response.etag().and_then(Tag::new);
        if self.begun && etag != self.etag {
            return Err(DownloadError::Changed);
        }
        let len = u32::try_from(response.payload().len()).unwrap_or(u32::MAX);
        let block = response.block2().map_err(|_| DownloadError::ReservedSzx)?;
        let (last, szx) = match block {
            Some(block) => {
                if block.offset() != self.offset || block.szx > self.szx && self.offset > 0 {
                    return Err(DownloadError::WrongBlock);
                }
                let size = block.szx.size() as u32;
                if len > size || block.more && len != size {
                    return Err(DownloadError::WrongLength);
                }
                (!block.more, block.szx.min(self.szx))
            }
            None if self.offset == 0 => (true, self.szx),
            None => return Err(DownloadError::WrongBlock),
        };
        let (offset, total) = (self.offset, response.size2());
        let end = offset.checked_add(len).ok_or(DownloadError::TooLarge)?;
        if end > self.max_body || !last && (total > Some(self.max_body) || end == self.max_body) {
            return Err(DownloadError::TooLarge);
        }
        if !last && end >> (szx.exponent() + 4) > Block::MAX_NUM {
            return Err(DownloadError::TooLarge);
        }
        *self = Self {
            offset: end,
            szx,
            etag,
            begun: true,
            ..*self
        };
        Ok(Chunk {
            offset,
            last,
            total,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, MessageType, OptionNumber, Token};

    fn szx(exponent: u8) -> Szx {
        Szx::new(exponent).unwrap()
    }

    fn respond(
        download: &mut Download,
        etag: Option<&[u8]>,
        block: Option<(u32, bool, u8)>,
        size2: Option<u32>,
        len: usize,
    ) -> Result<(u32, bool), DownloadError> {
        let mut buf = [0; 1200];
        let kind = MessageType::Acknowledgement;
        let mut builder = Builder::new(&mut buf, kind, Code::CONTENT, 1, Token::EMPTY).unwrap();
        if let Some(etag) = etag {
            builder.option(OptionNumber::ETAG, etag).unwrap();
        }
        if let Some((num, more, exponent)) = block {
            let block = Block::new(num, more, szx(exponent)).unwrap();
            builder.block(OptionNumber::BLOCK2, block).unwrap();
        }
        if let Some(size2) = size2 {
            builder.uint(OptionNumber::SIZE2, size2).unwrap();
        }
        builder.payload(&vec![1; len]).unwrap();
        let message = Message::parse(builder.as_bytes()).unwrap();
        download
            .on_response(&message)
            .map(|chunk| (chunk.offset, chunk.last))
    }

    #[test]
    fn late_negotiation_of_rfc7959_figure_4() {
        // GET -> 2:0/1/128; GET 2:2/0/64 -> 2:2/1/64; ...; 2:5/0/64
        let mut download = Download::new(1000, Szx::MAX);
        assert_eq!(
            respond(&mut download, None, Some((0, true, 3)), None, 128),
            Ok((0, false))
        );
        assert_eq!(download.next_block(), Block::new(1, false, szx(3)).unwrap());
        assert_eq!(
            respond(&mut download, None, Some((2, true, 2)), None, 64),
            Ok((128, false))
        );
        assert_eq!(download.next_block(), Block::new(3, false, szx(2)).unwrap());
        assert_eq!(
            respond(&mut download, None, Some((3, false, 2)), None, 9),
            Ok((192, true))
        );
        assert_eq!(download.received(), 201);
    }

    #[test]
    fn body_without_block_is_one_chunk() {
        let mut download = Download::new(10, Szx::MAX);
        assert_eq!(
            respond(&mut download, Some(b"e"), None, None, 10),
            Ok((0, true))
        );
        let mut download = Download::new(9, Szx::MAX);
        assert_eq!(
            respond(&mut download, None, None, None, 10),
            Err(DownloadError::TooLarge)
        );
    }

    #[test]
    fn another_etag_means_changed() {
        let mut download = Download::new(100, Szx::MIN);
        assert!(respond(&mut download, Some(b"a"), Some((0, true, 0)), None, 16).is_ok());
        let block = Some((1, false, 0));
        for etag in [None, Some(&b"b"[..])] {
            let result = respond(&mut download, etag, block, None, 3);
            assert_eq!(result, Err(DownloadError::Changed));
        }
        assert_eq!(
            respond(&mut download, Some(b"a"), block, None, 3),
            Ok((16, true))
        );
    }

    #[test]
    fn limits_hold_early() {
        let mut download = Download::new(32, Szx::MIN);
        let too_large = Err(DownloadError::TooLarge);
        assert_eq!(
            respond(&mut download, None, Some((0, true, 0)), Some(33), 16),
            too_large
        );
        assert!(respond(&mut download, None, Some((0, true, 0)), None, 16).is_ok());
        assert_eq!(
            respond(&mut download, None, Some((1, true, 0)), None, 16),
            too_large
        );
        assert_eq!(
            respond(&mut download, None, Some((1, false, 0)), None, 16),
            Ok((16, true))
        );
    }

    #[test]
    fn wrong_blocks_and_lengths_are_refused() {
        let mut download = Download::new(1000, Szx::MIN);
        let wrong_block = Err(DownloadError::WrongBlock);
        let wrong_length = Err(DownloadError::WrongLength);
        assert_eq!(
            respond(&mut download, None, Some((1, true, 0)), None, 16),
            wrong_block
        );
        assert_eq!(
            respond(&mut download, None, Some((0, true, 0)), None, 15),
            wrong_length
        );
        assert_eq!(
            respond(&mut download, None, Some((0, false, 0)), None, 17),
            wrong_length
        );
        assert!(respond(&mut download, None, Some((0, true, 0)), None, 16).is_ok());
        assert_eq!(
            respond(&mut download, None, Some((0, true, 0)), None, 16),
            wrong_block
        );
        assert_eq!(respond(&mut download, None, None, None, 16), wrong_block);
    }

    #[test]
    fn resumes_at_a_block_boundary_of_the_same_body() {
        let mut download = Download::resume(9000, Szx::MAX, Tag::new(b"x"), 2050);
        assert_eq!(
            download.next_block(),
            Block::new(2, false, Szx::MAX).unwrap()
        );
        let block = Some((2, true, 6));
        let result = respond(&mut download, Some(b"y"), block, None, 1024);
        assert_eq!(result, Err(DownloadError::Changed));
        let result = respond(&mut download, Some(b"x"), block, None, 1024);
        assert_eq!(result, Ok((2048, false)));
    }
}
