//! Who may do what over HTTP, and the record of what was done.
//!
//! No socket, clock or randomness is in here: the time and random bytes come in as arguments. What
//! must survive a restart, [`Tokens`] and the [`Audit`] log, is in the store; [`Sessions`] and
//! [`Rates`] end with the process.

pub mod audit;
mod rates;
mod role;
mod secret;
mod sessions;
mod source;
mod tokens;

pub use audit::{Audit, Entry, Outcome, Who};
pub use rates::{Limit, Rates, Wait};
pub use role::Role;
pub use secret::{Secret, SecretError};
pub use sessions::{CODE_LIFE, SESSION_LIFE, Sessions};
pub use source::Source;
pub use tokens::{MAX_NAME, MAX_TOKENS, Named, Token, TokenError, Tokens};
