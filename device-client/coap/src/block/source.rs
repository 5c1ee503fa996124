//! Server role of Block2: which part of a body to send.

use crate::{Block, BuildError, Builder, Code, OptionNumber, Szx};

/// How a resource answers with bodies: keeps nothing between requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Largest block we send.
    pub preferred: Szx,
    /// Length of the body in bytes, if known before it is encoded.
    pub total: Option<u32>,
}

/// Why a request for a block is refused: answer 4.00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceError {
    /// The block begins behind the end of the body.
    OutOfRange,
}

impl SourceError {
    /// The response code.
    #[must_use]
    pub const fn code(self) -> Code {
        Code::BAD_REQUEST
    }
}

/// The part of the body to send: `body[offset..]`, at most `len` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First byte in the body.
    pub offset: u32,
    /// Bytes at most.
    pub len: usize,
    block: Block,
    asked: bool,
    total: Option<u32>,
}

impl Source {
    /// The window for a request with this Block2 option. The peer's block size is used if it is
    /// not larger than ours; otherwise its block is answered with the first part of it that is
    /// ours (RFC 7959 §2.4).
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn window(&self, requested: Option<Block>) -> Result<Window, SourceError> {
        let asked = requested.is_some();
        let szx = requested.map_or(self.preferred, |block| block.szx.min(self.preferred));
        let offset = requested.map_or(0, Block::offset);
        let beyond = self.total.is_some_and(|total| offset >= total) && offset > 0;
        let block = Block::new(offset >> (szx.exponent() + 4), false, szx)
            .filter(|_| !beyond)
            .ok_or(SourceError::OutOfRange)?;
        let rest = self
            .total
            .map_or(u32::MAX, |total| total - offset.min(total));
        let len = szx.size().min(usize::try_from(rest).unwrap_or(usize::MAX));
        Ok(Window {
            offset,
            len,
            block,
            asked,
            total: self.total,
        })
    }
}

impl Window {
    /// Block2 of the response if the body goes on after the window (`more`) or not; `None` if the
    /// response is the whole body and needs none.
    #[must_use]
    pub fn block2(&self, more: bool) -> Option<Block> {
        (self.asked || more || self.offset > 0).then_some(Block { more, ..self.block })
    }

    /// Whether the body goes on after the window, if its length was known before.
    #[must_use]
    pub fn more(&self) -> Option<bool> {
        self.total
            .map(|total| u64::from(self.offset) + (self.len as u64) < u64::from(total))
    }

    /// Size2 of the response: the total, if known, with the first of several blocks.
    #[must_use]
    pub fn size2(&self, more: bool) -> Option<u32> {
        self.total.filter(|_| more && self.offset == 0)
    }

    /// Adds Block2 and Size2 to a response, `more` being known.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn options(&self, more: bool, builder: &mut Builder<'_>) -> Result<(), BuildError> {
        if let Some(block) = self.block2(more) {
            builder.block(OptionNumber::BLOCK2, block)?;
        }
        if let Some(total) = self.size2(more) {
            builder.uint(OptionNumber::SIZE2, total)?;
        }
        Ok(())
    }

    /// Adds Block2 and the payload to a response whose options are complete but for Block2: `write`
    /// gets the place for the payload (at most [`Window::len`] bytes) and says how many bytes it
    /// wrote there and whether the body goes on. Nothing is copied, and the body's length need not
    /// be known.
    ///
    /// # Errors
    /// [`BuildError::Full`] if the buffer can't take `len` bytes, and what `write` answers.
    pub fn write<E: From<BuildError>>(
        &self,
        builder: &mut Builder<'_>,
        write: impl FnOnce(&mut [u8]) -> Result<(usize, bool), E>,
    ) -> Result<(), E> {
        let mark = builder.block_open(OptionNumber::BLOCK2, self.block)?;
        if builder.payload_space() < self.len {
            return Err(BuildError::Full.into());
        }
        let mut more = false;
        builder.payload_with::<E>(self.len, |place| {
            let written;
            (written, more) = write(place)?;
            Ok(written)
        })?;
        builder.set_more(mark, more);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, MessageType, Token};

    fn block(num: u32, szx: u8) -> Option<Block> {
        Block::new(num, false, Szx::new(szx).unwrap())
    }

    #[test]
    fn small_body_needs_no_block() {
        let source = Source {
            preferred: Szx::MAX,
            total: Some(100),
        };
        let window = source.window(None).unwrap();
        assert_eq!((window.offset, window.len), (0, 100));
        assert_eq!(window.more(), Some(false));
        assert_eq!(window.block2(false), None);
        assert_eq!(window.size2(false), None);
    }

    #[test]
    fn early_negotiation_of_rfc7959_figure_3() {
        // GET 2:0/0/64 -> 2:0/1/64
        let source = Source {
            preferred: Szx::MAX,
            total: Some(300),
        };
        let window = source.window(block(0, 2)).unwrap();
        assert_eq!(window.len, 64);
        assert_eq!(
            window.block2(true),
            Block::new(0, true, Szx::new(2).unwrap())
        );
        assert_eq!(window.size2(true), Some(300));
    }

    #[test]
    fn larger_requested_block_is_cut_at_the_same_offset() {
        let source = Source {
            preferred: Szx::new(3).unwrap(),
            total: None,
        };
        let window = source.window(block(2, 6)).unwrap();
        assert_eq!((window.offset, window.len), (2048, 128));
        assert_eq!(
            window.block2(true),
            Block::new(16, true, Szx::new(3).unwrap())
        );
    }

    #[test]
    fn block_behind_the_end_is_out_of_range() {
        let source = Source {
            preferred: Szx::MAX,
            total: Some(2048),
        };
        assert_eq!(source.window(block(2, 6)), Err(SourceError::OutOfRange));
        assert!(source.window(block(1, 6)).is_ok());
        let empty = Source {
            total: Some(0),
            ..source
        };
        assert_eq!(empty.window(block(0, 6)).unwrap().len, 0);
        let unknown = Source {
            preferred: Szx::MIN,
            total: None,
        };
        assert_eq!(
            unknown.window(block(0xf_ffff, 6)),
            Err(SourceError::OutOfRange)
        );
    }

    #[test]
    fn payload_is_written_in_place_and_more_is_settled_after() {
        for more in [false, true] {
            let window = Source {
                preferred: Szx::MIN,
                total: None,
            }
            .window(None)
            .unwrap();
            let mut buf = [0; 64];
            let kind = MessageType::Acknowledgement;
            let mut builder = Builder::new(&mut buf, kind, Code::CONTENT, 1, Token::EMPTY).unwrap();
            window
                .write::<BuildError>(&mut builder, |place| {
                    place.fill(7);
                    Ok((place.len(), more))
                })
                .unwrap();
            let message = Message::parse(builder.as_bytes()).unwrap();
            assert_eq!(message.block2().unwrap(), Block::new(0, more, Szx::MIN));
            assert_eq!(message.payload(), [7; 16]);
        }
    }
}
