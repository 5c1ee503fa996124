//! Paths of objects, instances, resources and resource instances.

mod text;

use core::fmt;

pub use text::{MAX_PATH_LEN, PathText};

/// A path of zero to four ids: `/`, `/3`, `/3/0`, `/3/0/1`, `/3/0/11/0`.
///
/// Paths order as a tree is walked: a parent before its children, children by id.
/// The constructors take ids as they are given; everything that reads a path from outside
/// (text, Uri-Path segments, payloads) refuses the reserved id 65535 for objects and object
/// instances (LwM2M TS 1.1 §7.2.1, table 7.2.1-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path {
    ids: [u16; 4],
    depth: u8,
}

/// The id that names no object and no object instance; in an object link it means "none".
pub const MAX_ID: u16 = u16::MAX;

/// Why a text, or a list of segments, is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// A path starts with a slash.
    NoLeadingSlash,
    /// Two slashes in a row, or one at the end.
    EmptySegment,
    /// A segment has something else than digits, or a leading zero.
    NotANumber,
    /// A segment is above 65535.
    TooLarge,
    /// An object or an object instance has the reserved id 65535.
    Reserved,
    /// More than four segments.
    TooDeep,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLeadingSlash => "a path starts with '/'",
            Self::EmptySegment => "a path has no empty segments",
            Self::NotANumber => "a path segment is a decimal number without leading zeros",
            Self::TooLarge => "a path segment is at most 65535",
            Self::Reserved => "65535 is reserved and names no object or object instance",
            Self::TooDeep => "a path has at most four segments",
        })
    }
}

impl core::error::Error for PathError {}

impl Path {
    /// The root, `/`.
    pub const ROOT: Self = Self {
        ids: [0; 4],
        depth: 0,
    };

    /// `/object`
    #[must_use]
    pub const fn object(object: u16) -> Self {
        Self {
            ids: [object, 0, 0, 0],
            depth: 1,
        }
    }

    /// `/object/instance`
    #[must_use]
    pub const fn instance(object: u16, instance: u16) -> Self {
        Self {
            ids: [object, instance, 0, 0],
            depth: 2,
        }
    }

    /// `/object/instance/resource`
    #[must_use]
    pub const fn resource(object: u16, instance: u16, resource: u16) -> Self {
        Self {
            ids: [object, instance, resource, 0],
            depth: 3,
        }
    }

    /// `/object/instance/resource/resource instance`
    #[must_use]
    pub const fn resource_instance(object: u16, instance: u16, resource: u16, id: u16) -> Self {
        Self {
            ids: [object, instance, resource, id],
            depth: 4,
        }
    }

    /// Number of ids, 0 (root) to 4 (resource instance).
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth as usize
    }

    /// The ids, `depth()` of them.
    #[must_use]
    pub fn ids(&self) -> &[u16] {
        &self.ids[..self.depth()]
    }

    const fn id(&self, level: usize) -> Option<u16> {
        if level < self.depth() {
            Some(self.ids[level])
        } else {
            None
        }
    }

    /// The object id.
    #[must_use]
    pub const fn object_id(&self) -> Option<u16> {
        self.id(0)
    }

    /// The object instance id.
    #[must_use]
    pub const fn instance_id(&self) -> Option<u16> {
        self.id(1)
    }

    /// The resource id.
    #[must_use]
    pub const fn resource_id(&self) -> Option<u16> {
        self.id(2)
    }

    /// The resource instance id.
    #[must_use]
    pub const fn resource_instance_id(&self) -> Option<u16> {
        self.id(3)
    }

    /// Is this the root?
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.depth == 0
    }

    /// One level down; none below a resource instance and for a reserved id.
    #[must_use]
    pub const fn child(&self, id: u16) -> Option<Self> {
        if self.depth == 4 || (self.depth < 2 && id == MAX_ID) {
            return None;
        }
        let mut child = *self;
        child.ids[self.depth as usize] = id;
        child.depth += 1;
        Some(child)
    }

    /// One level up; the root has no parent.
    #[must_use]
    pub const fn parent(&self) -> Option<Self> {
        if self.depth == 0 {
            return None;
        }
        let mut parent = *self;
        parent.depth -= 1;
        parent.ids[parent.depth as usize] = 0;
        Some(parent)
    }

    /// The first `depth` ids; the path itself where it is not deeper.
    #[must_use]
    pub const fn truncated(&self, depth: usize) -> Self {
        let mut path = *self;
        while path.depth() > depth {
            path.depth -= 1;
            path.ids[path.depth as usize] = 0;
        }
        path
    }

    /// Is this `other`, or below it?
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.ids().starts_with(other.ids())
    }

    /// A path from the segments of its text, e.g. from Uri-Path options.
    ///
    /// One empty segment alone is the root, as some clients write it.
    ///
    /// # Errors
    /// A segment is no id, or there are more than four.
    pub fn from_segments<I>(segments: I) -> Result<Self, PathError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut path = Self::ROOT;
        let mut empty = false;
        for segment in segments {
            let segment = segment.as_ref();
            if empty {
                return Err(PathError::EmptySegment);
            }
            if segment.is_empty() && path.is_root() {
                empty = true;
                continue;
            }
            path.push(segment)?;
        }
        Ok(path)
    }

    /// A path from the text of its ids with `/` between and before them, as bytes.
    ///
    /// # Errors
    /// The text is no path.
    pub fn from_bytes(text: &[u8]) -> Result<Self, PathError> {
        let mut parser = PathParser::new();
        parser.feed(text)?;
        parser.finish()
    }

    /// The path a SenML record names: base name and name, concatenated (RFC 8428 §4.5.1).
    ///
    /// # Errors
    /// The concatenation is no path.
    pub fn from_senml(base_name: &[u8], name: &[u8]) -> Result<Self, PathError> {
        let mut parser = PathParser::new();
        parser.feed(base_name)?;
        parser.feed(name)?;
        parser.finish()
    }

    fn push(&mut self, segment: &[u8]) -> Result<(), PathError> {
        let id = parse_id(segment)?;
        *self = self.child(id).ok_or(if self.depth == 4 {
            PathError::TooDeep
        } else {
            PathError::Reserved
        })?;
        Ok(())
    }
}

fn parse_id(segment: &[u8]) -> Result<u16, PathError> {
    match segment {
        [] => return Err(PathError::EmptySegment),
        [b'0', _, ..] => return Err(PathError::NotANumber),
        _ => {}
    }
    let mut id: u32 = 0;
    for &byte in segment {
        if !byte.is_ascii_digit() {
            return Err(PathError::NotANumber);
        }
        id = id * 10 + u32::from(byte - b'0');
        if id > u32::from(u16::MAX) {
            return Err(PathError::TooLarge);
        }
    }
    Ok(id as u16)
}

/// Reads a path that comes in pieces.
struct PathParser {
    path: Path,
    segment: [u8; 6],
    len: usize,
    any: bool,
}

impl PathParser {
    fn new() -> Self {
        Self {
            path: Path::ROOT,
            segment: [0; 6],
            len: 0,
            any: false,
        }
    }

    fn feed(&mut self, text: &[u8]) -> Result<(), PathError> {
        for &byte in text {
            if !self.any {
                if byte != b'/' {
                    return Err(PathError::NoLeadingSlash);
                }
                self.any = true;
            } else if byte == b'/' {
                self.path.push(&self.segment[..self.len])?;
                self.len = 0;
            } else if self.len == self.segment.len() {
                return Err(if byte.is_ascii_digit() {
                    PathError::TooLarge
                } else {
                    PathError::NotANumber
                });
            } else {
                self.segment[self.len] = byte;
                self.len += 1;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Path, PathError> {
        if !self.any {
            return Err(PathError::NoLeadingSlash);
        }
        if self.len > 0 {
            self.path.push(&self.segment[..self.len])?;
        } else if !self.path.is_root() {
            return Err(PathError::EmptySegment);
        }
        Ok(self.path)
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
