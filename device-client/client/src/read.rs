//! Read and Discover: what is at a path, in which format, and the block of it that was asked for.

use lwm2m_objects::format::{ContentFormat, FormatError, codec};
use lwm2m_objects::{Path, Records, ValueType, Window};
use tinsmith_coap::block::{self, Source};
use tinsmith_coap::{Block, BuildError, Builder, Code, OptionNumber, Szx, Token};

use crate::objects::{Tree, has_instance};

/// Bytes of payload in one message.
pub(crate) const BLOCK: usize = 1024;

/// What a GET asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRequest {
    pub(crate) path: Path,
    pub(crate) accept: Option<ContentFormat>,
    pub(crate) asked: Option<Block>,
    pub(crate) observe: Option<u32>,
    pub(crate) token: Token,
}

/// A representation, or the block of it that will be sent, before it is encoded.
pub(crate) struct Read {
    path: Path,
    format: ContentFormat,
    window: block::Window,
    more: bool,
    len: usize,
}

fn encode_at(
    tree: &Tree<'_>,
    path: &Path,
    format: ContentFormat,
    sink: &mut Window<'_>,
) -> Result<(), Code> {
    if format == ContentFormat::LINK {
        tree.write_discover(path, sink);
        return Ok(());
    }
    codec(tree.view.device.config.formats, format)
        .and_then(|codec| codec.encode(path, &tree.under(*path), sink))
        .map_err(|e| match e {
            FormatError::NotSingle
            | FormatError::UnsupportedFormat(_)
            | FormatError::WrongType { .. } => Code::NOT_ACCEPTABLE,
            _ => Code::INTERNAL_SERVER_ERROR,
        })
}

impl Read {
    /// Finds out what there is to send in blocks of at most `limit` bytes: all, or the block asked
    /// for.
    pub(crate) fn measure(
        tree: &Tree<'_>,
        path: Path,
        format: ContentFormat,
        asked: Option<Block>,
        limit: usize,
    ) -> Result<Self, Code> {
        let source = Source {
            preferred: Szx::at_most(limit),
            total: None,
        };
        let window = source.window(asked).map_err(|e| e.code())?;
        let offset = window.offset as usize;
        let mut sink = Window::new(&mut [], offset);
        encode_at(tree, &path, format, &mut sink)?;
        let rest = sink.total().saturating_sub(offset);
        if offset > 0 && rest == 0 {
            return Err(Code::BAD_REQUEST);
        }
        Ok(Self {
            path,
            format,
            window,
            more: rest > window.len,
            len: rest.min(window.len),
        })
    }

    /// Adds options and payload.
    pub(crate) fn write(
        &self,
        tree: &Tree<'_>,
        observe: Option<u32>,
        b: &mut Builder<'_>,
    ) -> Result<(), BuildError> {
        if self.window.block2(self.more).is_some() {
            let tag = tree.view.device.etag(tree.view.now);
            b.option(OptionNumber::ETAG, &tag)?;
        }
        if let Some(sequence) = observe {
            b.uint(OptionNumber::OBSERVE, sequence)?;
        }
        b.uint(OptionNumber::CONTENT_FORMAT, u32::from(self.format.0))?;
        self.window.options(self.more, b)?;
        if b.payload_space() < self.len {
            return Err(BuildError::Full);
        }
        b.payload_with(self.len, |place| {
            let mut sink = Window::new(place, self.window.offset as usize);
            // Measured just now, with the same values.
            let _ = encode_at(tree, &self.path, self.format, &mut sink);
            Ok::<_, BuildError>(sink.len())
        })?;
        Ok(())
    }
}

/// Whether `path` can be read, and in which format it is.
pub(crate) fn read_format(
    tree: &Tree<'_>,
    path: &Path,
    accept: Option<ContentFormat>,
) -> Result<ContentFormat, Code> {
    let object = path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
    let (object, definition) = tree.objects.find(object).ok_or(Code::NOT_FOUND)?;
    let formats = tree.view.device.config.formats;
    if path
        .instance_id()
        .is_some_and(|id| !has_instance(object, &tree.view, id))
    {
        return Err(Code::NOT_FOUND);
    }
    let mut single = None;
    if let Some(id) = path.resource_id() {
        let resource = definition.resource(id).ok_or(Code::NOT_FOUND)?;
        if accept == Some(ContentFormat::LINK) {
            // A resource instance is no target of Discover (LwM2M TS 1.1 §6.3.2).
            if path.depth() == 4 {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            let found = tree.values_of(object, path, resource);
            return found.map(|_| ContentFormat::LINK).ok_or(Code::NOT_FOUND);
        }
        if !resource.operations().readable() {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        if path.depth() == 4 && !resource.multiple() {
            return Err(Code::BAD_REQUEST);
        }
        let mut present = resource.multiple() && path.depth() == 3;
        tree.under(*path).visit(&mut |_, _| present = true);
        if !present {
            return Err(Code::NOT_FOUND);
        }
        single = (path.depth() == 4 || !resource.multiple()).then(|| resource.value_type());
    }
    match accept {
        Some(ContentFormat::LINK) => Ok(ContentFormat::LINK),
        Some(format) if format.is_single_value() && single.is_none() => Err(Code::NOT_ACCEPTABLE),
        Some(format) => match codec(formats, format) {
            Ok(_) => Ok(format),
            Err(_) => Err(Code::NOT_ACCEPTABLE),
        },
        None => {
            let plain = match single {
                Some(ValueType::Opaque) => ContentFormat::OPAQUE,
                Some(_) => ContentFormat::TEXT,
                None => ContentFormat::SENML_CBOR,
            };
            let codec = codec(formats, plain);
            let takes = single.is_none_or(|value| codec.is_ok_and(|codec| codec.takes(value)));
            Ok(if takes {
                plain
            } else {
                ContentFormat::SENML_CBOR
            })
        }
    }
}
