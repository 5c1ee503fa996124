//! CoRE link format (content format 40; RFC 6690): what a Register carries and a Discover answers.

use super::{ContentFormat, FormatError};
use crate::decimal::write_u64;
use crate::model::Version;
use crate::{Path, Sink};

/// The links of a payload.
///
/// # Errors
/// The payload is not UTF-8.
pub fn links(payload: &[u8]) -> Result<Links<'_>, FormatError> {
    let rest = core::str::from_utf8(payload).map_err(|_| FormatError::NotUtf8)?;
    Ok(Links { rest, first: true })
}

/// Iterates over links; after an error there are no more.
#[derive(Clone, Debug)]
pub struct Links<'a> {
    rest: &'a str,
    first: bool,
}

impl<'a> Iterator for Links<'a> {
    type Item = Result<Link<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let trimmed = self.rest.trim_ascii_start();
        if trimmed.is_empty() {
            return None;
        }
        let link = self.link(trimmed);
        if link.is_err() {
            self.rest = "";
        }
        Some(link)
    }
}

impl<'a> Links<'a> {
    fn link(&mut self, text: &'a str) -> Result<Link<'a>, FormatError> {
        let text = if self.first {
            text
        } else {
            text.strip_prefix(',')
                .ok_or(FormatError::Syntax)?
                .trim_ascii_start()
        };
        self.first = false;
        let text = match text.strip_prefix('<') {
            Some(text) => text,
            None if text.is_empty() => return Err(FormatError::Truncated),
            None => return Err(FormatError::Syntax),
        };
        let (target, rest) = text.split_once('>').ok_or(FormatError::Truncated)?;
        if target.contains(['<', '"', ' ']) {
            return Err(FormatError::Syntax);
        }
        let mut attributes = Attributes { rest };
        while attributes.step()?.is_some() {}
        let len = rest.len() - attributes.rest.len();
        self.rest = attributes.rest;
        Ok(Link {
            target,
            attributes: &rest[..len],
        })
    }
}

/// A link with its attributes; their syntax is checked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    target: &'a str,
    attributes: &'a str,
}

impl<'a> Link<'a> {
    /// The text between the angle brackets.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        self.target
    }

    /// The path, if the target is one.
    ///
    /// # Errors
    /// The target is no path.
    pub fn path(&self) -> Result<Path, FormatError> {
        self.path_under("/")
    }

    /// The path below a root other than `/` (LwM2M TS 1.1 §6.2.1).
    ///
    /// # Errors
    /// The target does not lie below the root, or is no path there.
    pub fn path_under(&self, root: &str) -> Result<Path, FormatError> {
        let root = root.trim_end_matches('/');
        let below = self
            .target
            .strip_prefix(root)
            .ok_or(FormatError::OutsideBase(Path::ROOT))?;
        if below.is_empty() {
            return Ok(Path::ROOT);
        }
        Ok(below.parse()?)
    }

    /// The attributes: name, and value without its quotes.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes {
            rest: self.attributes,
        }
    }

    /// The value of an attribute; empty for one that has none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut attributes = self.attributes();
        let found = attributes.find(|(found, _)| *found == name);
        found.map(|(_, value)| value.unwrap_or_default())
    }

    /// The content formats of `ct`, written as a number or as a quoted list.
    pub fn content_formats(&self) -> impl Iterator<Item = ContentFormat> + use<'a> {
        let list: &'a str = self.attribute("ct").unwrap_or_default();
        list.split_ascii_whitespace()
            .filter_map(|number| number.parse().ok().map(ContentFormat))
    }

    /// The object version of `ver`.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.attribute("ver").and_then(Version::parse)
    }

    /// Is this the link that tells where the objects lie (`rt="oma.lwm2m"`)?
    #[must_use]
    pub fn is_lwm2m_root(&self) -> bool {
        let types = self.attribute("rt").unwrap_or_default();
        types
            .split_ascii_whitespace()
            .any(|kind| kind == "oma.lwm2m")
    }
}

/// Iterates over the attributes of a link.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Attributes<'a> {
    fn step(&mut self) -> Result<Option<(&'a str, Option<&'a str>)>, FormatError> {
        let text = self.rest.trim_ascii_start();
        let Some(text) = text.strip_prefix(';') else {
            return Ok(None);
        };
        let text = text.trim_ascii_start();
        let end = text.find(['=', ';', ',']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let name = name.trim_ascii_end();
        if name.is_empty() || name.contains(['<', '>', '"', ' ']) {
            return Err(FormatError::Syntax);
        }
        let Some(value) = rest.strip_prefix('=') else {
            self.rest = rest;
            return Ok(Some((name, None)));
        };
        let (value, rest) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = quote_end(quoted).ok_or(FormatError::Truncated)?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => value.split_at(value.find([';', ',']).unwrap_or(value.len())),
        };
        let after = rest.trim_ascii_start();
        if !(after.is_empty() || after.starts_with([';', ','])) || value.contains('<') {
            return Err(FormatError::Syntax);
        }
        self.rest = rest;
        Ok(Some((name, Some(value.trim_ascii()))))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.step().ok().flatten()
    }
}

fn quote_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

/// What a Register or an Update says about a client (LwM2M TS 1.1 §6.2.1).
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    links: Links<'a>,
    root: Option<Link<'a>>,
}

/// Reads the payload of a Register or an Update.
///
/// # Errors
/// The payload is not in link format.
pub fn registration(payload: &[u8]) -> Result<Registration<'_>, FormatError> {
    let links = links(payload)?;
    let mut root = None;
    for link in links.clone() {
        let link = link?;
        if root.is_none() && link.is_lwm2m_root() {
            root = Some(link);
        }
    }
    Ok(Registration { links, root })
}

impl<'a> Registration<'a> {
    /// Where the objects lie; `/` if the client does not say.
    #[must_use]
    pub fn root(&self) -> &'a str {
        self.root.map_or("/", |link| link.target())
    }

    /// The content formats that the client has, if it says.
    pub fn content_formats(&self) -> impl Iterator<Item = ContentFormat> + use<'a> {
        let root = self.root.unwrap_or(Link {
            target: "/",
            attributes: "",
        });
        root.content_formats()
    }

    /// Objects and object instances with the version, where one is given, in the order of the
    /// payload; links to anything else are passed over.
    pub fn objects(&self) -> impl Iterator<Item = (Path, Option<Version>)> + use<'a> {
        let root = self.root();
        self.links.clone().filter_map(move |link| {
            let link = link.ok()?;
            let path = link.path_under(root).ok()?;
            matches!(path.depth(), 1 | 2).then(|| (path, link.version()))
        })
    }
}

/// Writes links one after the other.
pub struct LinkWriter<'s> {
    sink: &'s mut dyn Sink,
    first: bool,
}

impl core::fmt::Debug for LinkWriter<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LinkWriter").finish_non_exhaustive()
    }
}

impl<'s> LinkWriter<'s> {
    /// A writer at the start of a payload.
    pub fn new(sink: &'s mut dyn Sink) -> Self {
        Self { sink, first: true }
    }

    /// Starts a link.
    pub fn link(&mut self, path: &Path) -> &mut Self {
        self.sink.write(if self.first { b"<" } else { b",<" });
        self.first = false;
        self.sink.write(path.text().as_bytes());
        self.sink.write(b">");
        self
    }

    /// Starts the link to the root of the objects, with the content formats the client has.
    pub fn root(&mut self, formats: impl ExactSizeIterator<Item = ContentFormat>) -> &mut Self {
        self.link(&Path::ROOT).quoted("rt", "oma.lwm2m");
        self.name("ct");
        let list = formats.len() != 1;
        if list {
            self.sink.write(b"\"");
        }
        for (at, format) in formats.enumerate() {
            if at > 0 {
                self.sink.write(b" ");
            }
            write_u64(u64::from(format.0), self.sink);
        }
        if list {
            self.sink.write(b"\"");
        }
        self
    }

    fn name(&mut self, name: &str) {
        self.sink.write(b";");
        self.sink.write(name.as_bytes());
        self.sink.write(b"=");
    }

    /// An attribute whose value is a token, e.g. a version or a number.
    pub fn token(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.sink.write(value.as_bytes());
        self
    }

    /// An attribute whose value is quoted; quotes and backslashes in it are escaped.
    pub fn quoted(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.sink.write(b"\"");
        for byte in value.bytes() {
            if matches!(byte, b'"' | b'\\') {
                self.sink.write(b"\\");
            }
            self.sink.write(&[byte]);
        }
        self.sink.write(b"\"");
        self
    }

    /// An attribute whose value is an integer.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        write_u64(value, self.sink);
        self
    }

    /// The version of an object; 1.0 is not written (LwM2M TS 1.1 §7.2.2).
    pub fn version(&mut self, version: Version) -> &mut Self {
        if version == Version::V1_0 {
            return self;
        }
        self.name("ver");
        write_u64(u64::from(version.major), self.sink);
        self.sink.write(b".");
        write_u64(u64::from(version.minor), self.sink);
        self
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
