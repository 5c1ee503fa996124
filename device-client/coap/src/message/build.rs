//! Writes a message into the caller's buffer.

use core::fmt;

use super::{Block, Code, MessageId, MessageType, OptionNumber, Token};

/// Why a message could not be built: the caller's mistake or too small a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The buffer is full.
    Full,
    /// Options must come in ascending order of their numbers, before the payload.
    Order(OptionNumber),
    /// The value's length is outside the option's limits.
    Length(OptionNumber),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("message does not fit its buffer"),
            Self::Order(number) => write!(f, "option {} comes too late", number.0),
            Self::Length(number) => write!(f, "option {} has a value of wrong length", number.0),
        }
    }
}

impl core::error::Error for BuildError {}

/// Position of a block option's last byte, for [`Builder::set_more`].
#[derive(Clone, Copy, Debug)]
pub struct BlockMark {
    at: usize,
}

/// Builds one message; options must be added in ascending order of their numbers.
///
/// After an error the message is as it was before the call that failed.
#[derive(Debug)]
pub struct Builder<'b> {
    buf: &'b mut [u8],
    len: usize,
    number: u16,
    payload: bool,
}

impl<'b> Builder<'b> {
    /// Begins with header and token.
    ///
    /// # Errors
    /// [`BuildError::Full`].
    pub fn new(
        buf: &'b mut [u8],
        kind: MessageType,
        code: Code,
        id: MessageId,
        token: Token,
    ) -> Result<Self, BuildError> {
        let mut builder = Self {
            buf,
            len: 0,
            number: 0,
            payload: false,
        };
        let [high, low] = id.to_be_bytes();
        let token = token.as_bytes();
        let first = 0x40 | kind.bits() << 4 | token.len() as u8;
        builder.put(&[&[first, code.byte(), high, low], token])?;
        Ok(builder)
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<(), BuildError> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut free = self.buf.get_mut(self.len..).unwrap_or_default();
        if free.len() < total {
            return Err(BuildError::Full);
        }
        for part in parts {
            let (place, rest) = free.split_at_mut(part.len());
            place.copy_from_slice(part);
            free = rest;
        }
        self.len += total;
        Ok(())
    }

    /// Adds an option.
    ///
    /// # Errors
    /// [`BuildError`]; the message is unchanged.
    pub fn option(&mut self, number: OptionNumber, value: &[u8]) -> Result<&mut Self, BuildError> {
        if self.payload || number.0 < self.number {
            return Err(BuildError::Order(number));
        }
        let fits = number
            .length_limits()
            .is_none_or(|(min, max)| (min..=max).contains(&value.len()));
        if !fits || value.len() > 269 + 0xffff {
            return Err(BuildError::Length(number));
        }
        let (delta, delta_bytes, delta_len) = nibble(usize::from(number.0 - self.number));
        let (length, length_bytes, length_len) = nibble(value.len());
        self.put(&[
            &[delta << 4 | length],
            &delta_bytes[..delta_len],
            &length_bytes[..length_len],
            value,
        ])?;
        self.number = number.0;
        Ok(self)
    }

    /// Adds an option of unsigned integer format in as few bytes as possible.
    ///
    /// # Errors
    /// [`BuildError`]; the message is unchanged.
    pub fn uint(&mut self, number: OptionNumber, value: u32) -> Result<&mut Self, BuildError> {
        let bytes = value.to_be_bytes();
        self.option(number, &bytes[value.leading_zeros() as usize / 8..])
    }

    /// Adds one option for each value, say Uri-Path for each segment.
    ///
    /// # Errors
    /// [`BuildError`]; values before the one that failed stay.
    pub fn options<V: AsRef<[u8]>>(
        &mut self,
        number: OptionNumber,
        values: impl IntoIterator<Item = V>,
    ) -> Result<&mut Self, BuildError> {
        for value in values {
            self.option(number, value.as_ref())?;
        }
        Ok(self)
    }

    /// Adds Block1 or Block2.
    ///
    /// # Errors
    /// [`BuildError`]; the message is unchanged.
    pub fn block(&mut self, number: OptionNumber, block: Block) -> Result<&mut Self, BuildError> {
        self.uint(number, block.value())
    }

    /// Adds Block1 or Block2 whose `more` will be known only when the payload has been written,
    /// then settled by [`Builder::set_more`].
    ///
    /// # Errors
    /// [`BuildError`]; the message is unchanged.
    pub fn block_open(
        &mut self,
        number: OptionNumber,
        block: Block,
    ) -> Result<BlockMark, BuildError> {
        self.block(
            number,
            Block {
                more: true,
                ..block
            },
        )?;
        Ok(BlockMark { at: self.len - 1 })
    }

    /// Settles `more` of an option that [`Builder::block_open`] of this message has added.
    pub fn set_more(&mut self, mark: BlockMark, more: bool) -> &mut Self {
        if let Some(byte) = self.buf.get_mut(mark.at) {
            *byte = *byte & !8 | u8::from(more) << 3;
        }
        self
    }

    /// Adds the payload; an empty one adds nothing.
    ///
    /// # Errors
    /// [`BuildError`]; the message is unchanged.
    pub fn payload(&mut self, payload: &[u8]) -> Result<&mut Self, BuildError> {
        if self.payload {
            return Err(BuildError::Order(OptionNumber(self.number)));
        }
        if !payload.is_empty() {
            self.put(&[&[0xff], payload])?;
            self.payload = true;
        }
        Ok(self)
    }

    /// Lets `write` put the payload straight into the buffer (at most `limit` bytes are offered)
    /// and say how many bytes it wrote; 0 leaves the message without payload.
    ///
    /// # Errors
    /// [`BuildError::Full`] if not even the marker fits, and what `write` answers; the message is
    /// unchanged.
    pub fn payload_with<E: From<BuildError>>(
        &mut self,
        limit: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<&mut Self, E> {
        if self.payload {
            return Err(BuildError::Order(OptionNumber(self.number)).into());
        }
        let (marker, free) = self
            .buf
            .get_mut(self.len..)
            .and_then(|free| free.split_first_mut())
            .ok_or(BuildError::Full)?;
        let offered = free.len().min(limit);
        let written = write(&mut free[..offered])?;
        if written > offered {
            return Err(BuildError::Full.into());
        }
        if written > 0 {
            *marker = 0xff;
            self.len += 1 + written;
            self.payload = true;
        }
        Ok(self)
    }

    /// Payload bytes that still fit (a marker taken off).
    #[must_use]
    pub fn payload_space(&self) -> usize {
        if self.payload {
            0
        } else {
            (self.buf.len() - self.len).saturating_sub(1)
        }
    }

    /// Length of the message in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Never: a message has at least a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The message so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

fn nibble(value: usize) -> (u8, [u8; 2], usize) {
    match value {
        0..=12 => (value as u8, [0; 2], 0),
        13..=268 => (13, [(value - 13) as u8, 0], 1),
        _ => (14, ((value - 269) as u16).to_be_bytes(), 2),
    }
}
