//! Read and Discover: what is at a path, in which format, and the block of it that was asked for.

use core::fmt::Write;

use lwm2m_objects::format::{ContentFormat, FormatError, encode};
use lwm2m_objects::{Path, Sink, ValueType, Window};
use tinsmith_coap::block::{self, Source};
use tinsmith_coap::{Block, BuildError, Builder, Code, OptionNumber, Szx};

use crate::objects::{self, Tree, Under};

/// A representation, or a block of it, that was encoded.
pub(crate) struct Read {
    pub(crate) format: ContentFormat,
    window: block::Window,
    more: bool,
    len: usize,
}

struct Text<'s, S: Sink>(&'s mut S);

impl<S: Sink> Write for Text<'_, S> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        self.0.write(s.as_bytes());
        Ok(())
    }
}

impl Read {
    /// Encodes what is at or below `path` into `payload`: all, or the block asked for.
    pub(crate) fn block(
        tree: Tree<'_, '_>,
        path: Path,
        format: ContentFormat,
        asked: Option<Block>,
        payload: &mut [u8],
    ) -> Result<Self, Code> {
        let source = Source {
            preferred: Szx::at_most(payload.len()),
            total: None,
        };
        let window = source.window(asked).map_err(|e| e.code())?;
        let place = payload
            .get_mut(..window.len)
            .ok_or(Code::INTERNAL_SERVER_ERROR)?;
        let mut sink = Window::new(place, window.offset as usize);
        if format == ContentFormat::LINK {
            let _ = objects::write_discover(&tree, &path, &mut Text(&mut sink));
        } else {
            encode(format, &path, &Under { tree, path }, &mut sink).map_err(|e| match e {
                FormatError::NotSingle
                | FormatError::UnsupportedFormat(_)
                | FormatError::WrongType { .. } => Code::NOT_ACCEPTABLE,
                _ => Code::INTERNAL_SERVER_ERROR,
            })?;
        }
        let (more, len) = (sink.more(), sink.len());
        if window.offset > 0 && len == 0 {
            return Err(Code::BAD_REQUEST);
        }
        Ok(Self {
            format,
            window,
            more,
            len,
        })
    }

    /// The representation comes in blocks.
    pub(crate) fn needs_etag(&self) -> bool {
        self.window.block2(self.more).is_some()
    }

    /// Adds Content-Format, Block2 and payload.
    pub(crate) fn write(&self, payload: &[u8], b: &mut Builder<'_>) -> Result<(), BuildError> {
        b.uint(OptionNumber::CONTENT_FORMAT, u32::from(self.format.0))?;
        self.window.options(self.more, b)?;
        if self.len > 0 {
            b.payload(payload.get(..self.len).unwrap_or(&[]))?;
        }
        Ok(())
    }
}

/// Whether `path` can be read, and in which format it is.
pub(crate) fn read_format(
    tree: &Tree<'_, '_>,
    path: &Path,
    accept: Option<ContentFormat>,
) -> Result<ContentFormat, Code> {
    let object = path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
    let (object, definition) = objects::find(object).ok_or(Code::NOT_FOUND)?;
    if path
        .instance_id()
        .is_some_and(|id| !tree.has_instance(object, id))
    {
        return Err(Code::NOT_FOUND);
    }
    let mut single = None;
    if let Some(id) = path.resource_id() {
        let resource = definition.resource(id).ok_or(Code::NOT_FOUND)?;
        if accept == Some(ContentFormat::LINK) {
            return Ok(ContentFormat::LINK);
        }
        if !resource.operations().readable() {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        if path.depth() == 4 && !resource.multiple() {
            return Err(Code::BAD_REQUEST);
        }
        let mut present = resource.multiple() && path.depth() == 3;
        tree.visit(path, &mut |_, _| present = true);
        if !present {
            return Err(Code::NOT_FOUND);
        }
        single = (path.depth() == 4 || !resource.multiple()).then(|| resource.value_type());
    }
    match accept {
        Some(ContentFormat::LINK) => Ok(ContentFormat::LINK),
        Some(format) if format.is_single_value() && single.is_none() => Err(Code::NOT_ACCEPTABLE),
        Some(format) if format.is_supported() => Ok(format),
        Some(_) => Err(Code::NOT_ACCEPTABLE),
        None => Ok(match single {
            Some(ValueType::Opaque) => ContentFormat::OPAQUE,
            Some(_) => ContentFormat::TEXT,
            None => ContentFormat::SENML_CBOR,
        }),
    }
}
