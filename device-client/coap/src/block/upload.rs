//! Client role of Block1: sends a body of known length.

use core::fmt;

use super::Tag;
use crate::{Block, BuildError, Builder, Code, Message, OptionNumber, Szx};

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

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "peer answered {code}"),
            Self::Incomplete => f.write_str("peer misses blocks (4.08)"),
            Self::TooLarge(Some(limit)) => write!(f, "peer takes at most {limit} bytes (4.13)"),
            Self::TooLarge(None) => f.write_str("body is too large for the peer (4.13)"),
            Self::WrongBlock => f.write_str("peer acknowledged another block than the one sent"),
            Self::MissingBlock1 => f.write_str("peer acknowledged a block without Block1"),
            Self::UnexpectedCode(code) => write!(f, "{code} is no answer to a block"),
            Self::TooManyBlocks => f.write_str("body needs more than 2^20 blocks"),
        }
    }
}

impl core::error::Error for UploadError {}

/// Sends a body of known length with one Block1 request after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    total: u32,
    offset: u32,
    szx: Szx,
    tag: Option<Tag>,
    /// No block was acknowledged yet.
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

    /// From `received`, the count of bytes that the peer has, rounded down to a block boundary.
    /// Only a peer that knows the Request-Tag can go on ([`Assembler`](super::Assembler) does).
    #[must_use]
    pub const fn resume(total: u32, szx: Szx, tag: Option<Tag>, received: u32) -> Self {
        let last = total.saturating_sub(1);
        let received = if received < last { received } else { last };
        Self {
            total,
            offset: super::boundary(received, szx),
            szx,
            tag,
            first: true,
        }
    }

    /// The request to send now; the same until a response is handled.
    #[must_use]
    pub fn next_block(&self) -> UploadBlock {
        let size = self.szx.size() as u32;
        let len = size.min(self.total - self.offset);
        let more = len < self.total - self.offset;
        let block = Block {
            num: self.offset >> (self.szx.exponent() + 4),
            more,
            szx: self.szx,
        };
        let block1 = (self.offset > 0 || more).then_some(block);
        UploadBlock {
            block1,
            offset: self.offset,
            len: len as usize,
            size1: block1.is_some_and(|_| self.first).then_some(self.total),
            tag: block1.and(self.tag),
        }
    }

    /// Takes the response to [`Upload::next_block`].
    ///
    /// # Errors
    /// [`UploadError`]; nothing has changed.
    pub fn on_response(&mut self, response: &Message<'_>) -> Result<UploadStep, UploadError> {
        let code = response.code();
        let sent = self.next_block();
        let block1 = response.block1().map_err(|_| UploadError::WrongBlock)?;
        match code {
            Code::REQUEST_ENTITY_INCOMPLETE => return Err(UploadError::Incomplete),
            Code::REQUEST_ENTITY_TOO_LARGE => {
                // RFC 7959 §2.9.3: the block was not taken, a smaller one may be.
                let smaller = block1.filter(|block| block.szx < self.szx && sent.len > 16);
                let limit = response.size1();
                return match smaller {
                    Some(block) if limit.is_none_or(|limit| limit >= self.total) => {
                        self.shrink(block.szx)?;
                        Ok(UploadStep::Continue)
                    }
                    _ => Err(UploadError::TooLarge(limit)),
                };
            }
            _ if !code.is_success() => return Err(UploadError::Refused(code)),
            _ => {}
        }
        if let (Some(sent), Some(answered)) = (sent.block1, block1) {
            let same = answered.num == sent.num || answered.offset() == sent.offset();
            if !same || answered.szx > sent.szx {
                return Err(UploadError::WrongBlock);
            }
        }
        if !sent.block1.is_some_and(|block| block.more) {
            if code == Code::CONTINUE {
                return Err(UploadError::UnexpectedCode(code));
            }
            self.offset = self.total;
            return Ok(UploadStep::Done(code));
        }
        match block1 {
            Some(answered) => self.shrink(answered.szx)?,
            None if code == Code::CONTINUE => {}
            None => return Err(UploadError::MissingBlock1),
        }
        self.offset += sent.len as u32;
        self.first = false;
        Ok(UploadStep::Continue)
    }

    fn shrink(&mut self, szx: Szx) -> Result<(), UploadError> {
        if self.total.saturating_sub(1) >> (szx.exponent() + 4) > Block::MAX_NUM {
            return Err(UploadError::TooManyBlocks);
        }
        self.szx = szx;
        Ok(())
    }

    /// Begins again at the first byte.
    pub const fn restart(&mut self) {
        self.offset = 0;
        self.first = true;
    }

    /// Bytes acknowledged and bytes in all.
    #[must_use]
    pub const fn progress(&self) -> (u32, u32) {
        (self.offset, self.total)
    }
}

impl UploadBlock {
    /// Adds Block1 (27), Size1 (60) and Request-Tag (292) to a request whose options up to 26 are
    /// complete.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn options(&self, builder: &mut Builder<'_>) -> Result<(), BuildError> {
        if let Some(block) = self.block1 {
            builder.block(OptionNumber::BLOCK1, block)?;
        }
        if let Some(size1) = self.size1 {
            builder.uint(OptionNumber::SIZE1, size1)?;
        }
        if let Some(tag) = self.tag {
            builder.option(OptionNumber::REQUEST_TAG, tag.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageType, Token};

    fn szx(exponent: u8) -> Szx {
        Szx::new(exponent).unwrap()
    }

    fn respond(
        upload: &mut Upload,
        code: Code,
        block: Option<(u32, bool, u8)>,
        size1: Option<u32>,
    ) -> Result<UploadStep, UploadError> {
        let mut buf = [0; 64];
        let kind = MessageType::Acknowledgement;
        let mut builder = Builder::new(&mut buf, kind, code, 1, Token::EMPTY).unwrap();
        if let Some((num, more, exponent)) = block {
            let block = Block::new(num, more, szx(exponent)).unwrap();
            builder.block(OptionNumber::BLOCK1, block).unwrap();
        }
        if let Some(size1) = size1 {
            builder.uint(OptionNumber::SIZE1, size1).unwrap();
        }
        upload.on_response(&Message::parse(builder.as_bytes()).unwrap())
    }

    #[test]
    fn simple_put_of_rfc7959_figure_7() {
        let mut upload = Upload::new(300, szx(3), None);
        for num in 0..2 {
            assert_eq!(upload.next_block().block1, Block::new(num, true, szx(3)));
            let step = respond(&mut upload, Code::CONTINUE, Some((num, true, 3)), None);
            assert_eq!(step, Ok(UploadStep::Continue));
        }
        let last = upload.next_block();
        assert_eq!(last.block1, Block::new(2, false, szx(3)));
        assert_eq!((last.offset, last.len, last.size1), (256, 44, None));
        let step = respond(&mut upload, Code::CHANGED, Some((2, false, 3)), None);
        assert_eq!(step, Ok(UploadStep::Done(Code::CHANGED)));
        assert_eq!(upload.progress(), (300, 300));
    }

    #[test]
    fn size_negotiation_of_rfc7959_figure_8() {
        // 1:0/1/128 -> 1:0/1/32; 1:4/1/32 ...
        let mut upload = Upload::new(1000, szx(3), Tag::new(b"t"));
        assert_eq!(upload.next_block().size1, Some(1000));
        respond(&mut upload, Code::CONTINUE, Some((0, true, 1)), None).unwrap();
        let next = upload.next_block();
        assert_eq!(next.block1, Block::new(4, true, szx(1)));
        assert_eq!(
            (next.offset, next.len, next.size1, next.tag),
            (128, 32, None, Tag::new(b"t"))
        );
    }

    #[test]
    fn too_large_with_a_smaller_size_sends_the_block_again() {
        let mut upload = Upload::new(100, szx(6), None);
        assert_eq!(upload.next_block().block1, None);
        let code = Code::REQUEST_ENTITY_TOO_LARGE;
        assert_eq!(
            respond(&mut upload, code, Some((0, false, 2)), None),
            Ok(UploadStep::Continue)
        );
        assert_eq!(upload.next_block().block1, Block::new(0, true, szx(2)));
        let result = respond(&mut upload, code, Some((0, false, 2)), Some(64));
        assert_eq!(result, Err(UploadError::TooLarge(Some(64))));
        let result = respond(&mut upload, code, None, None);
        assert_eq!(result, Err(UploadError::TooLarge(None)));
    }

    #[test]
    fn incomplete_may_be_restarted() {
        let mut upload = Upload::new(64, szx(0), None);
        respond(&mut upload, Code::CONTINUE, Some((0, true, 0)), None).unwrap();
        let result = respond(&mut upload, Code::REQUEST_ENTITY_INCOMPLETE, None, None);
        assert_eq!(result, Err(UploadError::Incomplete));
        upload.restart();
        assert_eq!(upload, Upload::new(64, szx(0), None));
    }

    #[test]
    fn broken_answers_are_named() {
        let mut upload = Upload::new(64, szx(0), None);
        let wrong = Err(UploadError::WrongBlock);
        assert_eq!(
            respond(&mut upload, Code::CONTINUE, Some((1, true, 0)), None),
            wrong
        );
        assert_eq!(
            respond(&mut upload, Code::CONTINUE, Some((0, true, 1)), None),
            wrong
        );
        let result = respond(&mut upload, Code::CHANGED, None, None);
        assert_eq!(result, Err(UploadError::MissingBlock1));
        let result = respond(&mut upload, Code::NOT_FOUND, None, None);
        assert_eq!(result, Err(UploadError::Refused(Code::NOT_FOUND)));
        let mut whole = Upload::new(3, szx(0), None);
        let result = respond(&mut whole, Code::CONTINUE, None, None);
        assert_eq!(result, Err(UploadError::UnexpectedCode(Code::CONTINUE)));
        let mut huge = Upload::new(1 << 30, szx(6), None);
        let result = respond(&mut huge, Code::CONTINUE, Some((0, true, 5)), None);
        assert_eq!(result, Err(UploadError::TooManyBlocks));
    }

    #[test]
    fn resumes_at_a_block_boundary() {
        let upload = Upload::resume(20_000, Szx::MAX, None, 5_000);
        let next = upload.next_block();
        assert_eq!(next.block1, Block::new(4, true, Szx::MAX));
        assert_eq!(next.size1, Some(20_000));
        let all_there = Upload::resume(2_048, Szx::MAX, None, 9_999).next_block();
        assert_eq!((all_there.offset, all_there.len), (1_024, 1_024));
        assert_eq!(Upload::resume(0, Szx::MAX, None, 0).next_block().len, 0);
    }
}
