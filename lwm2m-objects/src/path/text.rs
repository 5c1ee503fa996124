//! Paths as text.

use core::fmt;
use core::str::FromStr;

use super::{Path, PathError};
use crate::decimal::Decimal;

/// Longest text of a path: `/65535/65535/65535/65535`.
pub const MAX_PATH_LEN: usize = 24;

/// The text of a path, kept on the stack.
#[derive(Clone, Copy)]
pub struct PathText {
    bytes: [u8; MAX_PATH_LEN + 1],
    len: u8,
}

impl PathText {
    fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.len)] = byte;
        self.len += 1;
    }

    fn push_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    /// The text as bytes; ASCII only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Path {
    /// The text of the path in a buffer of its own.
    #[must_use]
    pub fn text(&self) -> PathText {
        self.text_with(false)
    }

    /// The text with a slash at the end, the base name of everything below (RFC 8428 §4.5.1).
    #[must_use]
    pub fn base_name(&self) -> PathText {
        self.text_with(!self.is_root())
    }

    fn text_with(&self, slash: bool) -> PathText {
        let mut text = PathText {
            bytes: [0; MAX_PATH_LEN + 1],
            len: 0,
        };
        for &id in self.ids() {
            text.push(b'/');
            text.push_all(Decimal::of(id.into()).as_bytes());
        }
        if slash || self.is_root() {
            text.push(b'/');
        }
        text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::from_bytes(text.as_bytes())
    }
}

#[cfg(feature = "std")]
impl serde::Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

#[cfg(feature = "std")]
impl<'de> serde::Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
