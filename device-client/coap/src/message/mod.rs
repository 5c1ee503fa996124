//! The message format of RFC 7252 §3: a strict view of received bytes and a builder.

mod build;
mod option;
mod parse;
mod types;

pub use build::{BlockMark, BuildError, Builder};
pub use option::{OptionNumber, content_format};
pub use parse::{Message, OptionIter, OptionValue, ParseError, ReservedSzx, Segments};
pub use types::{Block, Code, MessageId, MessageType, Szx, Token};
