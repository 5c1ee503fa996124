//! Block-wise transfer (RFC 7959) as state machines that see one block at a time and never hold a
//! body.
//!
//! | | client | server |
//! |---|---|---|
//! | request body (Block1) | [`Upload`] | [`Assembler`] |
//! | response body (Block2) | [`Download`] | [`Source`] |

mod assembler;
mod download;
mod source;
mod upload;

pub use assembler::{Assembler, AssemblerLimits, Incoming, Refusal, Tag, Verdict};
pub use download::{Chunk, Download, DownloadError};
pub use source::{Source, SourceError, Window};
pub use upload::{Upload, UploadBlock, UploadError, UploadStep};

use crate::Szx;

/// The last block boundary at or before `received`.
const fn boundary(received: u32, szx: Szx) -> u32 {
    received & !(szx.size() as u32 - 1)
}
