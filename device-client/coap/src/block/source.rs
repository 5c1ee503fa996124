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
    /// The window for a request with this Block2 option.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn window(&self, requested: Option<Block>) -> Result<Window, SourceError> {
        let _ = requested;
        todo!()
    }
}

impl Window {
    /// Block2 of the response if the body goes on after the window (`more`) or not; `None` if the
    /// response is the whole body and needs none.
    #[must_use]
    pub fn block2(&self, more: bool) -> Option<Block> {
        let _ = (self.block, self.asked, more);
        todo!()
    }

    /// Size2 of the response: the total, if known, with the first of several blocks.
    #[must_use]
    pub fn size2(&self) -> Option<u32> {
        self.total
    }

    /// Adds Block2 and Size2 to a response, `more` being known.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn options(&self, more: bool, builder: &mut Builder<'_>) -> Result<(), BuildError> {
        if let Some(block) = self.block2(more) {
            builder.block(OptionNumber::BLOCK2, block)?;
        }
        Ok(())
    }
}
