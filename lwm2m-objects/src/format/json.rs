//! A pull parser for JSON (RFC 8259) that keeps nothing.

use super::FormatError;
use crate::Sink;

/// Deepest nesting of what is skipped.
const MAX_DEPTH: u8 = 16;

pub(super) struct Json<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Json<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Result<u8, FormatError> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.input.get(self.at) {
            self.at += 1;
        }
        self.input
            .get(self.at)
            .copied()
            .ok_or(FormatError::Truncated)
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), FormatError> {
        if self.peek()? != byte {
            return Err(FormatError::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    /// Is there another item before `close`? Takes the comma or the closing bracket.
    pub(super) fn next_item(&mut self, close: u8, first: &mut bool) -> Result<bool, FormatError> {
        let next = self.peek()?;
        if next == close {
            self.at += 1;
            return Ok(false);
        }
        if !*first {
            self.expect(b',')?;
        }
        *first = false;
        Ok(true)
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Result<(), FormatError> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(_) => Err(FormatError::TrailingBytes),
        }
    }

    /// A string; its escapes and its UTF-8 are checked.
    pub(super) fn string(&mut self) -> Result<JsonString<'a>, FormatError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            match *self.input.get(self.at).ok_or(FormatError::Truncated)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0..0x20 => return Err(FormatError::Syntax),
                _ => self.at += 1,
            }
        }
        let raw = self
            .input
            .get(start..self.at)
            .ok_or(FormatError::Truncated)?;
        let text = core::str::from_utf8(raw).map_err(|_| FormatError::NotUtf8)?;
        self.at += 1;
        let string = JsonString {
            text,
            start,
            escaped,
        };
        if escaped {
            string.chars(&mut |_| Ok(()))?;
        }
        Ok(string)
    }

    /// The bytes of a number; their grammar is for the caller to check.
    pub(super) fn number(&mut self) -> Result<&'a [u8], FormatError> {
        if !matches!(self.peek()?, b'-' | b'0'..=b'9') {
            return Err(FormatError::Syntax);
        }
        let rest = &self.input[self.at..];
        let is_part = |byte: &&u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let len = rest.iter().take_while(is_part).count();
        self.at += len;
        Ok(&rest[..len])
    }

    pub(super) fn boolean(&mut self) -> Result<bool, FormatError> {
        match self.peek()? {
            b't' => self.literal(b"true").map(|()| true),
            b'f' => self.literal(b"false").map(|()| false),
            _ => Err(FormatError::Syntax),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), FormatError> {
        let rest = &self.input[self.at..];
        if rest.starts_with(literal) {
            self.at += literal.len();
            return Ok(());
        }
        let truncated = literal.starts_with(rest);
        Err(if truncated {
            FormatError::Truncated
        } else {
            FormatError::Syntax
        })
    }

    /// Passes over a value of any kind.
    pub(super) fn skip(&mut self) -> Result<(), FormatError> {
        self.skip_within(MAX_DEPTH)
    }

    fn skip_within(&mut self, depth: u8) -> Result<(), FormatError> {
        let inner = depth.checked_sub(1).ok_or(FormatError::TooDeep)?;
        let mut first = true;
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'[' => {
                self.at += 1;
                while self.next_item(b']', &mut first)? {
                    self.skip_within(inner)?;
                }
                Ok(())
            }
            b'{' => {
                self.at += 1;
                while self.next_item(b'}', &mut first)? {
                    self.string()?;
                    self.expect(b':')?;
                    self.skip_within(inner)?;
                }
                Ok(())
            }
            b't' | b'f' => self.boolean().map(drop),
            b'n' => self.literal(b"null"),
            _ => {
                let text = core::str::from_utf8(self.number()?);
                super::number::parse_json(text.unwrap_or_default()).map(drop)
            }
        }
    }
}

/// A string between its quotes.
pub(super) struct JsonString<'a> {
    text: &'a str,
    start: usize,
    escaped: bool,
}

impl JsonString<'_> {
    /// Start and end in the payload, if there is nothing to unescape.
    pub(super) fn plain(&self) -> Option<(usize, usize)> {
        (!self.escaped).then_some((self.start, self.start + self.text.len()))
    }

    /// Writes the text without escapes to the start of the buffer.
    pub(super) fn unescape(&self, buffer: &mut [u8]) -> Result<usize, FormatError> {
        let mut len = 0;
        self.chars(&mut |character| {
            let mut utf8 = [0; 4];
            let bytes = character.encode_utf8(&mut utf8).as_bytes();
            let target = buffer.get_mut(len..len + bytes.len());
            target
                .ok_or(FormatError::ScratchTooSmall)?
                .copy_from_slice(bytes);
            len += bytes.len();
            Ok(())
        })?;
        Ok(len)
    }

    pub(super) fn ends_with(&self, byte: u8) -> bool {
        let mut last = None;
        let _ = self.chars(&mut |character| {
            last = Some(character);
            Ok(())
        });
        last == Some(char::from(byte))
    }

    fn chars(&self, f: &mut dyn FnMut(char) -> Result<(), FormatError>) -> Result<(), FormatError> {
        let syntax = FormatError::Syntax;
        let mut rest = self.text.chars();
        while let Some(character) = rest.next() {
            if character != '\\' {
                f(character)?;
                continue;
            }
            let character = match rest.next().ok_or(syntax)? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                plain @ ('"' | '\\' | '/') => plain,
                'u' => {
                    let mut code = unit(&mut rest)?;
                    if (0xd800..0xdc00).contains(&code) {
                        if (rest.next(), rest.next()) != (Some('\\'), Some('u')) {
                            return Err(syntax);
                        }
                        let low = unit(&mut rest)?;
                        if !(0xdc00..0xe000).contains(&low) {
                            return Err(syntax);
                        }
                        code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    }
                    char::from_u32(code).ok_or(syntax)?
                }
                _ => return Err(syntax),
            };
            f(character)?;
        }
        Ok(())
    }
}

fn unit(rest: &mut core::str::Chars<'_>) -> Result<u32, FormatError> {
    let mut code = 0;
    for _ in 0..4 {
        let digit = rest.next().and_then(|digit| digit.to_digit(16));
        code = code * 16 + digit.ok_or(FormatError::Syntax)?;
    }
    Ok(code)
}

/// Writes a text with the escapes that JSON demands.
pub(super) fn escape(text: &str, sink: &mut dyn Sink) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut written = 0;
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        sink.write(&bytes[written..at]);
        written = at + 1;
        match byte {
            b'"' => sink.write(b"\\\""),
            b'\\' => sink.write(b"\\\\"),
            b'\n' => sink.write(b"\\n"),
            b'\r' => sink.write(b"\\r"),
            b'\t' => sink.write(b"\\t"),
            _ => {
                let high = DIGITS[usize::from(byte >> 4)];
                let low = DIGITS[usize::from(byte & 15)];
                sink.write(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    sink.write(&bytes[written..]);
}
