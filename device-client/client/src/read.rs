//! Read and Discover: what is at a path, in which format, and the block of it that was asked for.

use core::fmt::Write;

use lwm2m_objects::format::{ContentFormat, FormatError, codec};
use lwm2m_objects::{Path, Records, Sink, ValueType, Window};
use tinsmith_coap::block::{self, Source};
use tinsmith_coap::{Block, BuildError, Builder, Code, Message, OptionNumber, Szx, Token};

use crate::manage::{Answer, Turn};
use crate::object::{Done, View};
use crate::objects::{Under, has_instance, links};
use crate::session::{Held, Session, Until};

/// Bytes of payload in one message.
const BLOCK: usize = 1024;

/// What a GET asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRequest {
    path: Path,
    accept: Option<ContentFormat>,
    asked: Option<Block>,
    observe: Option<u32>,
    token: Token,
}

/// A representation, or the block of it that will be sent, before it is encoded.
pub(crate) struct Read {
    path: Path,
    format: ContentFormat,
    window: block::Window,
    more: bool,
    len: usize,
}

struct Text<'s>(&'s mut dyn Sink);

impl Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        self.0.write(s.as_bytes());
        Ok(())
    }
}

fn encode_at(
    view: View<'_>,
    path: &Path,
    format: ContentFormat,
    sink: &mut Window<'_>,
) -> Result<(), Code> {
    if format == ContentFormat::LINK {
        let _ = links::write_discover(&view, path, &mut Text(sink));
        return Ok(());
    }
    let under = Under { view, path: *path };
    codec(view.device.config.formats, format)
        .and_then(|codec| codec.encode(path, &under, sink))
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
        view: View<'_>,
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
        encode_at(view, &path, format, &mut sink)?;
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

    /// Adds options and payload; `tag` is the ETag of an answer in blocks.
    pub(crate) fn write(
        &self,
        view: View<'_>,
        tag: &[u8],
        observe: Option<u32>,
        b: &mut Builder<'_>,
    ) -> Result<(), BuildError> {
        if self.window.block2(self.more).is_some() {
            b.option(OptionNumber::ETAG, tag)?;
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
            let _ = encode_at(view, &self.path, self.format, &mut sink);
            Ok::<_, BuildError>(sink.len())
        })?;
        Ok(())
    }
}

/// A GET of a management server.
pub(crate) fn get(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    path: Path,
    message: &Message<'_>,
) -> Answer {
    let Ok(asked) = message.block2() else {
        return Answer::Code(Code::BAD_REQUEST);
    };
    let request = ReadRequest {
        path,
        accept: message.accept().map(ContentFormat),
        asked,
        observe: message.observe(),
        token: message.token(),
    };
    let objects = turn.device.objects();
    let object = path.object_id().and_then(|id| objects.find(id));
    if let Some((object, _)) = object
        && asked.is_none_or(|b| b.num == 0)
        && request.accept != Some(ContentFormat::LINK)
    {
        let waits = session.link().is_some_and(|l| l.waiting.is_some());
        let mut context = turn.context(session);
        match object.prepare(&mut context, &path) {
            Ok(Done::Now | Done::Stored) => {}
            Ok(Done::Refused(code)) | Err(code) => return Answer::Code(code),
            Ok(Done::Later) if waits => return Answer::Code(Code::SERVICE_UNAVAILABLE),
            Ok(Done::Later) => {
                let serial = context.ticket.serial;
                return Answer::Wait {
                    until: Until::Told { serial },
                    held: Held::Read(request),
                    part: None,
                };
            }
        }
    }
    Answer::Read(request)
}

/// Encodes what a GET asks for as options and payload of its answer, and begins or ends its
/// observation.
pub(crate) fn prepare(
    session: &mut Session<'_>,
    view: View<'_>,
    request: &ReadRequest,
) -> Result<(Read, Option<u32>), Code> {
    let ReadRequest {
        path,
        accept,
        asked,
        observe,
        token,
    } = *request;
    let format = read_format(&view, &path, accept)?;
    let read = Read::measure(view, path, format, asked, BLOCK)?;
    let first = asked.is_none_or(|b| b.num == 0);
    let mut sequence = None;
    match observe {
        Some(0) if first && format != ContentFormat::LINK => {
            sequence = session.observe(token, path, accept, view);
        }
        Some(1) => session.stop_observing(token, &path),
        _ => {}
    }
    Ok((read, sequence))
}

/// Whether `path` can be read, and in which format it is.
pub(crate) fn read_format(
    view: &View<'_>,
    path: &Path,
    accept: Option<ContentFormat>,
) -> Result<ContentFormat, Code> {
    let object = path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
    let (object, definition) = view.device.objects().find(object).ok_or(Code::NOT_FOUND)?;
    if path
        .instance_id()
        .is_some_and(|id| !has_instance(object, view, id))
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
        let under = Under {
            view: *view,
            path: *path,
        };
        under.visit(&mut |_, _| present = true);
        if !present {
            return Err(Code::NOT_FOUND);
        }
        single = (path.depth() == 4 || !resource.multiple()).then(|| resource.value_type());
    }
    match accept {
        Some(ContentFormat::LINK) => Ok(ContentFormat::LINK),
        Some(format) if format.is_single_value() && single.is_none() => Err(Code::NOT_ACCEPTABLE),
        Some(format) => match codec(view.device.config.formats, format) {
            Ok(_) => Ok(format),
            Err(_) => Err(Code::NOT_ACCEPTABLE),
        },
        None => {
            let plain = match single {
                Some(ValueType::Opaque) => ContentFormat::OPAQUE,
                Some(_) => ContentFormat::TEXT,
                None => ContentFormat::SENML_CBOR,
            };
            let codec = codec(view.device.config.formats, plain);
            let takes = single.is_none_or(|value| codec.is_ok_and(|codec| codec.takes(value)));
            Ok(if takes {
                plain
            } else {
                ContentFormat::SENML_CBOR
            })
        }
    }
}
