//! The message format of RFC 7252 §3: a strict view of received bytes and a builder.

mod build;
mod option;
mod parse;
mod parse_error;
mod types;

pub use build::{BlockMark, BuildError, Builder};
pub use option::{OptionNumber, content_format};
pub use parse::{Message, OptionIter, OptionValue, ReservedSzx, Segments};
pub use parse_error::ParseError;
pub use types::{Block, Code, MessageId, MessageType, Szx, Token};
