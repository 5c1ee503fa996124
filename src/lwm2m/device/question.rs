//! Whether the device is there: asked with the smallest request, when there is more to send than
//! may be sent to an address that is not proven, or when strangers are many.

use tinsmith_coap::Token;

/// What is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Question {
    /// Nobody wants to know.
    #[default]
    None,
    /// It shall be asked.
    Wanted,
    /// It was asked by a request with this token.
    Open(Token),
}

impl Question {
    pub(super) fn is(self, token: Token) -> bool {
        self == Question::Open(token)
    }
}
