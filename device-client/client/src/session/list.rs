//! The list of objects of a Register or Update, if it goes out in blocks (RFC 7959 Block1).

use lwm2m_objects::{Counter, Window};
use tinsmith_coap::block::{Upload, UploadBlock, UploadError, UploadStep};
use tinsmith_coap::{BuildError, Builder, Message, Szx};

use super::MAX_CONFIRMABLE;
use crate::objects::Tree;
use crate::platform::Now;
use crate::zero::Live;

/// Bytes of a list of objects that go in one message; with the longest names it still fits the
/// retransmission buffer.
const WHOLE: usize = 576;
/// Bytes of a block of a longer one.
const BLOCK: usize = 512;
const _: () = assert!(WHOLE + 128 <= MAX_CONFIRMABLE);

/// The payload of a Register or Update that goes out in blocks.
pub(super) struct List {
    _live: Live,
    pub(super) blocks: Upload,
    pub(super) said: Said,
    /// The next block may go (monotonic, ms).
    pub(super) due: Option<u64>,
    /// The server has lost it once (4.08).
    restarted: bool,
}

/// What a Register or Update says in its parameters: all its blocks say the same.
#[derive(Clone, Copy)]
pub(super) struct Said {
    /// Seconds.
    pub(super) lifetime: u32,
    /// The binding is told.
    pub(super) binding: bool,
}

impl List {
    /// None if it fits a message.
    pub(super) fn of(tree: &Tree<'_>, said: Said) -> Option<Self> {
        let mut all = Counter::new();
        tree.write_links(&mut all);
        (all.total() > WHOLE).then(|| Self {
            _live: Live::Live,
            blocks: Upload::new(all.total() as u32, Szx::at_most(BLOCK), None),
            said,
            due: None,
            restarted: false,
        })
    }

    pub(super) fn is_due(&self, now: Now) -> bool {
        self.due.is_some_and(|at| at <= now.mono)
    }

    /// Takes the answer to a block; false if there is no other to send.
    pub(super) fn next(&mut self, now: Now, message: Option<&Message<'_>>) -> bool {
        let goes_on = match message.map(|message| self.blocks.on_response(message)) {
            Some(Ok(UploadStep::Continue)) => true,
            Some(Err(UploadError::Incomplete)) if !self.restarted => {
                self.restarted = true;
                self.blocks.restart();
                true
            }
            _ => false,
        };
        self.due = goes_on.then_some(now.mono);
        goes_on
    }
}

/// Adds a block of the list of objects.
pub(super) fn add_block(
    b: &mut Builder<'_>,
    tree: &Tree<'_>,
    block: &UploadBlock,
) -> Result<(), BuildError> {
    block.options(b)?;
    if b.payload_space() < block.len {
        return Err(BuildError::Full);
    }
    b.payload_with(block.len, |place| {
        let mut window = Window::new(place, block.offset as usize);
        tree.write_links(&mut window);
        Ok::<_, BuildError>(window.len())
    })?;
    Ok(())
}
