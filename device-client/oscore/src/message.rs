//! From one message to two, an outer and an inner, and back (RFC 8613 §4).

use core::ops::Range;

use tinsmith_coap::{
    BuildError, Builder, Code, Message, MessageId, MessageType, OptionNumber, Token,
};
use tinsmith_dtls::Aes;

use crate::cose::{Cipher, TAG};

/// What of a message's head goes with it as it is (RFC 8613 §4.2).
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) kind: MessageType,
    pub(crate) id: MessageId,
    pub(crate) token: Token,
}

impl Head {
    pub(crate) fn of(message: &Message<'_>) -> Self {
        Self {
            kind: message.message_type(),
            id: message.message_id(),
            token: message.token(),
        }
    }
}

/// The outer message, before what is sealed in it.
pub(crate) struct Outer<'o> {
    pub(crate) head: Head,
    pub(crate) code: Code,
    pub(crate) host: Option<&'o [u8]>,
    pub(crate) port: Option<&'o [u8]>,
    pub(crate) observe: Option<u32>,
    /// The value of the OSCORE option.
    pub(crate) oscore: &'o [u8],
}

/// Options that are for proxies and name the host: they stay outside (RFC 8613 §4.1.3.2).
pub(crate) const fn is_outer(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::URI_HOST
            | OptionNumber::URI_PORT
            | OptionNumber::PROXY_URI
            | OptionNumber::PROXY_SCHEME
    )
}

/// Header of a message without token: 4 bytes, of which the code belongs to the plaintext.
const HEADER: usize = 4;

/// Writes an OSCORE message into `out`: `inner` adds the options and the payload that are sealed.
/// Its length; the [`BuildError`] says what there is no room for.
pub(crate) fn write(
    aes: &mut dyn Aes,
    outer: &Outer<'_>,
    cipher: &Cipher<'_>,
    code: Code,
    out: &mut [u8],
    inner: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
) -> Result<usize, BuildError> {
    let Head { kind, id, token } = outer.head;
    let mut builder = Builder::new(out, kind, outer.code, id, token)?;
    if let Some(host) = outer.host {
        builder.option(OptionNumber::URI_HOST, host)?;
    }
    if let Some(observe) = outer.observe {
        builder.uint(OptionNumber::OBSERVE, observe)?;
    }
    if let Some(port) = outer.port {
        builder.option(OptionNumber::URI_PORT, port)?;
    }
    builder.option(OptionNumber::OSCORE, outer.oscore)?;
    builder.payload_with(usize::MAX, |place| {
        // A message of its own, whose header gives way to its code.
        let kind = MessageType::NonConfirmable;
        let mut message = Builder::new(place, kind, code, 0, Token::EMPTY)?;
        inner(&mut message)?;
        let len = message.len();
        let skip = HEADER - 1;
        place.copy_within(HEADER..len, 1);
        let first = place.first_mut().ok_or(BuildError::Full)?;
        *first = code.byte();
        let sealed = len - skip + TAG;
        let place = place.get_mut(..sealed).ok_or(BuildError::Full)?;
        cipher.seal(aes, place).ok_or(BuildError::Full)?;
        Ok::<_, BuildError>(sealed)
    })?;
    Ok(builder.len())
}

/// Where the parts of a received OSCORE message are.
pub(crate) struct Parts {
    pub(crate) head: Head,
    host: Option<Range<usize>>,
    port: Option<Range<usize>>,
    /// Where the ciphertext begins.
    pub(crate) sealed: usize,
}

impl Parts {
    pub(crate) fn of(datagram: &[u8], message: &Message<'_>) -> Self {
        let place = |value: &[u8]| {
            let at = value
                .as_ptr()
                .addr()
                .checked_sub(datagram.as_ptr().addr())?;
            Some(at..at + value.len())
        };
        let is_request = message.code().is_request();
        let outer = |number| {
            let value = message.option(number).filter(|_| is_request);
            value.and_then(place)
        };
        Self {
            head: Head::of(message),
            host: outer(OptionNumber::URI_HOST),
            port: outer(OptionNumber::URI_PORT),
            sealed: datagram.len() - message.payload().len(),
        }
    }
}

/// What an opened message says that OSCORE has to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner {
    pub(crate) code: Code,
    pub(crate) observe: Option<u32>,
    pub(crate) echo: Option<[u8; 8]>,
    pub(crate) has_echo: bool,
}

/// A plaintext as a message: `datagram[..end]` is the outer message with the plaintext at its end.
/// What was before the plaintext is written over.
pub(crate) fn inner<'d>(
    datagram: &'d mut [u8],
    sealed: usize,
    end: usize,
) -> Option<(&'d [u8], Message<'d>)> {
    let start = sealed.checked_sub(HEADER - 1)?;
    let (outer, rest) = datagram.split_at_mut_checked(start)?;
    let message = rest.get_mut(..end.checked_sub(start)?)?;
    let header = message.first_chunk_mut::<HEADER>()?;
    *header = [0x50, header[HEADER - 1], 0, 0];
    let message = Message::parse(message).ok()?;
    Some((outer, message))
}

impl Inner {
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let echo = message.option(OptionNumber::ECHO);
        Self {
            code: message.code(),
            observe: message.observe(),
            echo: echo.and_then(|echo| echo.try_into().ok()),
            has_echo: echo.is_some(),
        }
    }
}

/// Writes the message that was protected into `out`; its length. `observe` takes the place of the
/// inner Observe.
pub(crate) fn merge(
    parts: &Parts,
    outer: &[u8],
    inner: &Message<'_>,
    observe: Option<u32>,
    out: &mut [u8],
) -> Result<usize, BuildError> {
    let Head { kind, id, token } = parts.head;
    let mut builder = Builder::new(out, kind, inner.code(), id, token)?;
    let value = |range: &Option<Range<usize>>| outer.get(range.clone()?);
    let mut host = value(&parts.host);
    let mut port = value(&parts.port);
    for option in inner.options() {
        if is_outer(option.number) {
            continue;
        }
        if option.number > OptionNumber::URI_HOST
            && let Some(host) = host.take()
        {
            builder.option(OptionNumber::URI_HOST, host)?;
        }
        if option.number > OptionNumber::URI_PORT
            && let Some(port) = port.take()
        {
            builder.option(OptionNumber::URI_PORT, port)?;
        }
        match (option.number, observe) {
            (OptionNumber::OBSERVE, Some(observe)) => {
                builder.uint(OptionNumber::OBSERVE, observe)?
            }
            (number, _) => builder.option(number, option.value)?,
        };
    }
    if let Some(host) = host {
        builder.option(OptionNumber::URI_HOST, host)?;
    }
    if let Some(port) = port {
        builder.option(OptionNumber::URI_PORT, port)?;
    }
    builder.payload(inner.payload())?;
    Ok(builder.len())
}
