//! Strict zero-copy view of a received message.

use core::fmt;

use super::parse_error::ParseError;
use super::{Block, Code, MessageId, MessageType, OptionNumber, Token};

/// A message whose format has been checked in full.
///
/// An option that this crate knows and whose length is out of its limits is treated like an
/// unrecognised one (RFC 7252 §5.4.3), as is a repeated option that may not be repeated
/// (RFC 7252 §5.4.5): accessors don't see it, and [`Message::unrecognised_critical`] reports it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    kind: MessageType,
    code: Code,
    id: MessageId,
    token: Token,
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks all of `datagram`.
    ///
    /// # Errors
    /// The first rule that the sender broke.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let Some((&[first, code, id_high, id_low], rest)) = datagram.split_first_chunk() else {
            return Err(ParseError::TooShort);
        };
        let version = first >> 6;
        if version != 1 {
            return Err(ParseError::Version(version));
        }
        let token_len = first & 15;
        if usize::from(token_len) > Token::MAX {
            return Err(ParseError::TokenLength(token_len));
        }
        let kind = MessageType::from_bits(first >> 4);
        let code = Code::from_byte(code);
        if code == Code::EMPTY {
            if token_len != 0 || !rest.is_empty() {
                return Err(ParseError::EmptyWithContent);
            }
        } else if !code.is_request() && !code.is_response() {
            return Err(ParseError::ReservedClass(code));
        }
        let allowed = match kind {
            MessageType::Confirmable => true,
            MessageType::NonConfirmable => code != Code::EMPTY,
            MessageType::Acknowledgement => !code.is_request(),
            MessageType::Reset => code == Code::EMPTY,
        };
        if !allowed {
            return Err(ParseError::TypeAndCode(kind, code));
        }
        let (token, rest) = rest
            .split_at_checked(usize::from(token_len))
            .and_then(|(token, rest)| Some((Token::new(token)?, rest)))
            .ok_or(ParseError::TokenTruncated)?;
        let mut options = OptionIter { rest, number: 0 };
        while options.step()?.is_some() {}
        let len = rest.len() - options.rest.len();
        let payload = match options.rest {
            [] => options.rest,
            [_] => return Err(ParseError::MarkerWithoutPayload),
            [_, payload @ ..] => payload,
        };
        let id = u16::from_be_bytes([id_high, id_low]);
        Ok(Self {
            kind,
            code,
            id,
            token,
            options: &rest[..len],
            payload,
        })
    }

    /// Confirmable, non-confirmable, acknowledgement or reset.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        self.kind
    }

    /// Method, response code or empty.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Message id.
    #[must_use]
    pub const fn message_id(&self) -> MessageId {
        self.id
    }

    /// Token.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Everything after the payload marker; empty if there is none.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// All options as received, in order.
    #[must_use]
    pub const fn options(&self) -> OptionIter<'a> {
        OptionIter {
            rest: self.options,
            number: 0,
        }
    }

    /// The options' bytes as received.
    pub(crate) const fn option_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// Values of every well-sized option `number`.
    #[must_use]
    pub const fn values(&self, number: OptionNumber) -> Segments<'a> {
        Segments {
            options: self.options(),
            number,
        }
    }

    /// Value of the first well-sized option `number`.
    #[must_use]
    pub fn option(&self, number: OptionNumber) -> Option<&'a [u8]> {
        self.values(number).next()
    }

    /// Value of an option of unsigned integer format (RFC 7252 §3.2), at most 4 bytes.
    #[must_use]
    pub fn uint(&self, number: OptionNumber) -> Option<u32> {
        self.option(number).and_then(decode_uint)
    }

    /// Observe (RFC 7641): 0 or 1 in a request, a 24-bit sequence number in a notification.
    #[must_use]
    pub fn observe(&self) -> Option<u32> {
        self.uint(OptionNumber::OBSERVE)
    }

    /// Block1 (RFC 7959).
    ///
    /// # Errors
    /// [`ReservedSzx`]: answer 4.00.
    pub fn block1(&self) -> Result<Option<Block>, ReservedSzx> {
        self.block(OptionNumber::BLOCK1)
    }

    /// Block2 (RFC 7959).
    ///
    /// # Errors
    /// [`ReservedSzx`]: answer 4.00.
    pub fn block2(&self) -> Result<Option<Block>, ReservedSzx> {
        self.block(OptionNumber::BLOCK2)
    }

    fn block(&self, number: OptionNumber) -> Result<Option<Block>, ReservedSzx> {
        self.uint(number)
            .map(|value| Block::from_value(value).ok_or(ReservedSzx))
            .transpose()
    }

    /// Size of the whole request body in bytes.
    #[must_use]
    pub fn size1(&self) -> Option<u32> {
        self.uint(OptionNumber::SIZE1)
    }

    /// Size of the whole response body in bytes (0 in a request asks for it).
    #[must_use]
    pub fn size2(&self) -> Option<u32> {
        self.uint(OptionNumber::SIZE2)
    }

    /// Content-Format of the payload.
    #[must_use]
    pub fn content_format(&self) -> Option<u16> {
        self.uint(OptionNumber::CONTENT_FORMAT)
            .and_then(|value| value.try_into().ok())
    }

    /// Content-Format the client wants.
    #[must_use]
    pub fn accept(&self) -> Option<u16> {
        self.uint(OptionNumber::ACCEPT)
            .and_then(|value| value.try_into().ok())
    }

    /// Max-Age in seconds.
    #[must_use]
    pub fn max_age(&self) -> Option<u32> {
        self.uint(OptionNumber::MAX_AGE)
    }

    /// First ETag.
    #[must_use]
    pub fn etag(&self) -> Option<&'a [u8]> {
        self.option(OptionNumber::ETAG)
    }

    /// First Request-Tag (RFC 9175).
    #[must_use]
    pub fn request_tag(&self) -> Option<&'a [u8]> {
        self.option(OptionNumber::REQUEST_TAG)
    }

    /// Segments of Uri-Path.
    #[must_use]
    pub const fn uri_path(&self) -> Segments<'a> {
        self.values(OptionNumber::URI_PATH)
    }

    /// Arguments of Uri-Query.
    #[must_use]
    pub const fn uri_query(&self) -> Segments<'a> {
        self.values(OptionNumber::URI_QUERY)
    }

    /// Segments of Location-Path.
    #[must_use]
    pub const fn location_path(&self) -> Segments<'a> {
        self.values(OptionNumber::LOCATION_PATH)
    }

    /// The first critical option that is not in `known`, has a length out of its limits or is
    /// repeated without right: answer a request with 4.02, reject a response (RFC 7252
    /// §5.4.1).
    #[must_use]
    pub fn unrecognised_critical(&self, known: &[OptionNumber]) -> Option<OptionNumber> {
        let mut previous = None;
        self.options().find_map(|OptionValue { number, value }| {
            let repeated = previous == Some(number) && !number.is_repeatable();
            previous = Some(number);
            let fine = known.contains(&number) && length_fits(number, value) && !repeated;
            (number.is_critical() && !fine).then_some(number)
        })
    }
}

/// Block option with size exponent 7, which is reserved (RFC 7959 §2.2): answer 4.00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedSzx;

impl fmt::Display for ReservedSzx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("block size exponent 7 is reserved")
    }
}

impl core::error::Error for ReservedSzx {}

fn length_fits(number: OptionNumber, value: &[u8]) -> bool {
    number
        .length_limits()
        .is_none_or(|(min, max)| (min..=max).contains(&value.len()))
}

fn decode_uint(value: &[u8]) -> Option<u32> {
    let mut bytes = [0; 4];
    let start = bytes.len().checked_sub(value.len())?;
    bytes[start..].copy_from_slice(value);
    Some(u32::from_be_bytes(bytes))
}

/// One option as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionValue<'a> {
    /// Option number.
    pub number: OptionNumber,
    /// Its value.
    pub value: &'a [u8],
}

/// Options in the order received.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> OptionIter<'a> {
    /// `None` at the end and at the payload marker, which stays in `rest`.
    fn step(&mut self) -> Result<Option<OptionValue<'a>>, ParseError> {
        let (first, rest) = match self.rest.split_first() {
            None | Some((0xff, _)) => return Ok(None),
            Some((&first, rest)) => (first, rest),
        };
        let (delta, rest) = extended(first >> 4, rest, ParseError::ReservedDelta)?;
        let (len, rest) = extended(first & 15, rest, ParseError::ReservedLength)?;
        let number = u32::from(self.number) + delta;
        self.number = u16::try_from(number).map_err(|_| ParseError::OptionNumber)?;
        let (value, rest) = rest
            .split_at_checked(len as usize)
            .ok_or(ParseError::OptionTruncated)?;
        self.rest = rest;
        Ok(Some(OptionValue {
            number: OptionNumber(self.number),
            value,
        }))
    }
}

fn extended(nibble: u8, rest: &[u8], reserved: ParseError) -> Result<(u32, &[u8]), ParseError> {
    match (nibble, rest) {
        (0..=12, _) => Ok((u32::from(nibble), rest)),
        (13, [byte, rest @ ..]) => Ok((u32::from(*byte) + 13, rest)),
        (14, [high, low, rest @ ..]) => {
            Ok((u32::from(u16::from_be_bytes([*high, *low])) + 269, rest))
        }
        (15, _) => Err(reserved),
        _ => Err(ParseError::OptionTruncated),
    }
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = OptionValue<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().ok().flatten()
    }
}

/// Values of the options with one number.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    options: OptionIter<'a>,
    number: OptionNumber,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        for OptionValue { number, value } in self.options.by_ref() {
            if number > self.number {
                return None;
            }
            if number == self.number && length_fits(number, value) {
                return Some(value);
            }
        }
        None
    }
}
