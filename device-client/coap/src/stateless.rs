//! Answers for peers that have no [`Endpoint`](crate::Endpoint).

use crate::{BuildError, Builder, Code, Message, MessageId, MessageType};

/// Answers `request`: a piggybacked response to a confirmable one, else a non-confirmable response
/// with the message id `id`. `build` adds options and payload. Returns the datagram's length.
///
/// The same request arriving again is the caller's to answer again.
///
/// # Errors
/// [`BuildError`].
pub fn reply(
    request: &Message<'_>,
    id: MessageId,
    code: Code,
    out: &mut [u8],
    build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
) -> Result<usize, BuildError> {
    let (kind, id) = match request.message_type() {
        MessageType::Confirmable => (MessageType::Acknowledgement, request.message_id()),
        _ => (MessageType::NonConfirmable, id),
    };
    let mut builder = Builder::new(out, kind, code, id, request.token())?;
    build(&mut builder)?;
    Ok(builder.len())
}

/// A Reset for `message`.
#[must_use]
pub fn reset(message: &Message<'_>) -> [u8; 4] {
    empty(MessageType::Reset, message.message_id())
}

/// What to send for a datagram that [`Message::parse`] refused: a Reset if it is a confirmable
/// message of our version (RFC 7252 §4.2), else nothing.
#[must_use]
pub fn refusal(datagram: &[u8]) -> Option<[u8; 4]> {
    match *datagram {
        [0x40..=0x4f, _, high, low, ..] => {
            Some(empty(MessageType::Reset, u16::from_be_bytes([high, low])))
        }
        _ => None,
    }
}

pub(crate) const fn empty(kind: MessageType, id: MessageId) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40 | kind.bits() << 4, 0, high, low]
}
