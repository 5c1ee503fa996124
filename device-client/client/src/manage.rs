//! Device management (LwM2M TS 1.1 §6.3) and the requests of the bootstrap server: from a CoAP
//! request to an object's handler and back to an answer.

use core::fmt::Write as _;

use lwm2m_objects::format::{ContentFormat, decode};
use lwm2m_objects::model::Builtin;
use lwm2m_objects::{Path, Value, ValueType, ids};
use tinsmith_coap::block::{Assembler, AssemblerLimits, Incoming, Verdict};
use tinsmith_coap::{Block, Code, Message, OptionNumber, RequestHandle, Szx};

use crate::bootstrap::format_code;
use crate::client::{Assembly, Client, Pending};
use crate::link::{Role, instant};
use crate::objects::inference::{Arena, INPUT};
use crate::objects::{self, Context, Done, Tree};
use crate::platform::{BODY, Now, Platform};
use crate::read::{Read, read_format};

/// /5/0/0
const PACKAGE: Path = Path::resource(ids::FIRMWARE_UPDATE, 0, 0);

/// Bytes of payload in one message.
const BLOCK: usize = 1024;

/// Milliseconds without a block after which a body is forgotten (EXCHANGE_LIFETIME).
const BODY_LIFETIME_MS: u32 = 247_000;

/// The critical options that we act on; any other makes a request 4.02 (RFC 7252 §5.4.1).
const KNOWN: [OptionNumber; 7] = [
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK1,
    OptionNumber::BLOCK2,
];

/// What a request is answered with.
pub(crate) enum Answer {
    /// A code alone.
    Code(Code),
    /// A code and Block1.
    Block { code: Code, block1: Option<Block> },
    /// 4.13 with the largest size we take.
    TooLarge { max: u32 },
    /// When everything is on flash.
    Stored { code: Code, block1: Option<Block> },
    /// When everything is on flash, and the bootstrap is over.
    Finished,
    /// Sent already.
    Sent,
}

impl Answer {
    fn done(done: Result<Done, Code>, block1: Option<Block>) -> Self {
        match done {
            Ok(Done::Now) => Self::Block {
                code: Code::CHANGED,
                block1,
            },
            Ok(Done::Stored) => Self::Stored {
                code: Code::CHANGED,
                block1,
            },
            Err(code) => Self::Block { code, block1 },
        }
    }
}

impl Client<'_> {
    /// Handles a request of a server and answers it, now or later.
    pub(crate) fn request(
        &mut self,
        now: Now,
        peer: usize,
        handle: RequestHandle,
        message: &Message<'_>,
        platform: &mut dyn Platform,
    ) {
        let Some(role) = self.peers[peer].link.as_ref().map(|l| l.role) else {
            return;
        };
        let answer = if message.unrecognised_critical(&KNOWN).is_some() {
            Answer::Code(Code::BAD_OPTION)
        } else {
            match role {
                Role::Bootstrap => self.bootstrap_request(now, peer, handle, message),
                Role::Server { .. } => {
                    self.management_request(now, peer, role, handle, message, platform)
                }
            }
        };
        match answer {
            Answer::Sent => {}
            Answer::Code(code) => self.answer(now, peer, handle, code, |_| Ok(())),
            Answer::Block { code, block1 } => self.answer(now, peer, handle, code, |b| {
                if let Some(block) = block1 {
                    b.block(OptionNumber::BLOCK1, block)?;
                }
                Ok(())
            }),
            Answer::TooLarge { max } => {
                self.answer(now, peer, handle, Code::REQUEST_ENTITY_TOO_LARGE, |b| {
                    b.uint(OptionNumber::SIZE1, max)?;
                    Ok(())
                });
            }
            Answer::Stored { code, block1 } => {
                self.pending = Some(Pending {
                    peer,
                    handle,
                    code,
                    block1,
                    finish: false,
                    package: Path::from_segments(message.uri_path()) == Ok(PACKAGE),
                });
            }
            Answer::Finished => {
                let code = Code::CHANGED;
                self.pending = Some(Pending {
                    peer,
                    handle,
                    code,
                    block1: None,
                    finish: true,
                    package: false,
                });
            }
        }
    }

    fn bootstrap_request(
        &mut self,
        now: Now,
        peer: usize,
        handle: RequestHandle,
        message: &Message<'_>,
    ) -> Answer {
        let code = message.code();
        let mut segments = message.uri_path();
        if code == Code::POST && segments.next() == Some(b"bs") && segments.next().is_none() {
            return match self.bootstrap_finish(now) {
                Ok(()) => Answer::Finished,
                Err(code) => Answer::Code(code),
            };
        }
        let Ok(path) = Path::from_segments(message.uri_path()) else {
            return Answer::Code(Code::BAD_REQUEST);
        };
        match code {
            Code::DELETE => Answer::Code(self.bootstrap_delete(now, &path)),
            Code::PUT if path.depth() > 0 => {
                self.with_body(now, peer, path, message, |client, format, body| {
                    let code = client.bootstrap_write(now, &path, format, body);
                    if code == Code::CHANGED {
                        Ok(Done::Now)
                    } else {
                        Err(code)
                    }
                })
            }
            Code::GET if !self.bootstrap_goes_on(now) => Answer::Code(Code::METHOD_NOT_ALLOWED),
            // Bootstrap-Read asks for another format.
            Code::GET if message.accept().is_some_and(|f| f != ContentFormat::LINK.0) => {
                Answer::Code(Code::NOT_ACCEPTABLE)
            }
            Code::GET => self.bootstrap_discover(now, peer, handle, &path),
            _ => Answer::Code(Code::METHOD_NOT_ALLOWED),
        }
    }

    /// Bootstrap-Discover (LwM2M TS 1.1 §6.1.7.3).
    fn bootstrap_discover(
        &mut self,
        now: Now,
        peer: usize,
        handle: RequestHandle,
        path: &Path,
    ) -> Answer {
        let mut text = crate::registration::Line::<512>::new();
        let accounts = self.staged_accounts();
        let mut written = text.write_str("lwm2m=1.1");
        let wanted = |object| path.object_id().is_none_or(|id| id == object);
        for s in accounts.security.iter().flatten().filter(|_| wanted(0)) {
            written = written.and_then(|()| write!(text, ",</0/{}>", s.id));
            if !s.bootstrap {
                let uri = s.uri.as_str();
                let id = s.short_id;
                written = written.and_then(|()| write!(text, ";ssid={id};uri=\"{uri}\""));
            }
        }
        for s in accounts.server.iter().flatten().filter(|_| wanted(1)) {
            let (id, ssid) = (s.id, s.short_id);
            written = written.and_then(|()| write!(text, ",</1/{id}>;ssid={ssid}"));
        }
        for id in [ids::DEVICE, ids::FIRMWARE_UPDATE]
            .into_iter()
            .filter(|id| wanted(*id))
        {
            written = written.and_then(|()| write!(text, ",</{id}/0>"));
        }
        if written.is_err() {
            return Answer::Code(Code::INTERNAL_SERVER_ERROR);
        }
        self.answer(now, peer, handle, Code::CONTENT, |b| {
            b.uint(
                OptionNumber::CONTENT_FORMAT,
                u32::from(ContentFormat::LINK.0),
            )?;
            b.payload(text.as_bytes())?;
            Ok(())
        });
        Answer::Sent
    }

    fn management_request(
        &mut self,
        now: Now,
        peer: usize,
        origin: Role,
        handle: RequestHandle,
        message: &Message<'_>,
        platform: &mut dyn Platform,
    ) -> Answer {
        let Ok(path) = Path::from_segments(message.uri_path()) else {
            return Answer::Code(Code::NOT_FOUND);
        };
        match message.code() {
            Code::GET => return self.read(now, peer, path, handle, message, platform),
            Code::PUT | Code::POST => {}
            Code::DELETE => {
                let known = path.object_id().and_then(objects::find).is_some();
                let code = if known {
                    Code::METHOD_NOT_ALLOWED
                } else {
                    Code::NOT_FOUND
                };
                return Answer::Code(code);
            }
            _ => return Answer::Code(Code::METHOD_NOT_ALLOWED),
        }
        let Some((object, definition)) = path.object_id().and_then(objects::find) else {
            return Answer::Code(Code::NOT_FOUND);
        };
        let tree = Tree {
            client: self,
            platform,
            now,
        };
        if path
            .instance_id()
            .is_some_and(|id| !tree.has_instance(object, id))
        {
            return Answer::Code(Code::NOT_FOUND);
        }
        let is_opaque = message.code() == Code::PUT
            && message
                .content_format()
                .is_none_or(|f| f == ContentFormat::OPAQUE.0);
        let in_blocks = message.code() == Code::PUT
            && matches!(message.block1(), Ok(Some(b)) if b.more || b.num > 0);
        match *path.ids() {
            [ids::FIRMWARE_UPDATE, 0, 0] if is_opaque => {
                return self.push(now, peer, message, platform);
            }
            // A package in another format would have to be held whole.
            [ids::FIRMWARE_UPDATE, 0, 0] if in_blocks => {
                return Answer::Code(Code::UNSUPPORTED_CONTENT_FORMAT);
            }
            [ids::INFERENCE, 0, INPUT] if is_opaque => {
                return self.stream_input(now, peer, path, message, platform);
            }
            // Create: no object here takes new instances from a management server.
            [] | [_] => return Answer::Code(Code::METHOD_NOT_ALLOWED),
            _ => {}
        }
        if self.pending.is_some() {
            return Answer::Code(Code::SERVICE_UNAVAILABLE);
        }
        if let [_, instance, id] = *path.ids() {
            let Some(resource) = definition.resource(id) else {
                return Answer::Code(Code::NOT_FOUND);
            };
            if message.code() == Code::POST && resource.operations().executable() {
                let mut context = Context {
                    now,
                    platform,
                    origin,
                };
                let arguments = message.payload();
                let done = (object.execute)(self, &mut context, instance, id, arguments);
                return Answer::done(done, None);
            }
            if message.code() == Code::POST {
                return Answer::Code(Code::METHOD_NOT_ALLOWED);
            }
        }
        if message.code() == Code::PUT
            && message.content_format().is_none()
            && message.payload().is_empty()
            && message.uri_query().next().is_some()
        {
            // Write-Attributes.
            return Answer::Code(Code::NOT_IMPLEMENTED);
        }
        self.with_body(now, peer, path, message, |client, format, body| {
            let mut context = Context {
                now,
                platform,
                origin,
            };
            client.write_values(&mut context, &path, format, body)
        })
    }

    fn read(
        &mut self,
        now: Now,
        peer: usize,
        path: Path,
        handle: RequestHandle,
        message: &Message<'_>,
        platform: &mut dyn Platform,
    ) -> Answer {
        let Ok(asked) = message.block2() else {
            return Answer::Code(Code::BAD_REQUEST);
        };
        let accept = message.accept().map(ContentFormat);
        let mut payload = [0; BLOCK];
        let tree = Tree {
            client: self,
            platform,
            now,
        };
        let read = read_format(&tree, &path, accept)
            .and_then(|format| Read::block(tree, path, format, asked, &mut payload));
        let read = match read {
            Ok(read) => read,
            Err(code) => return Answer::Code(code),
        };
        let first = asked.is_none_or(|b| b.num == 0);
        let mut sequence = None;
        match message.observe() {
            Some(0) if first && read.format != ContentFormat::LINK => {
                sequence = self.observe(now, peer, message.token(), path, accept, platform);
            }
            Some(1) => self.stop_observing(peer, message.token(), &path),
            _ => {}
        }
        let tag = self.etag(now);
        self.answer(now, peer, handle, Code::CONTENT, |b| {
            if read.needs_etag() {
                b.option(OptionNumber::ETAG, &tag)?;
            }
            if let Some(sequence) = sequence {
                b.uint(OptionNumber::OBSERVE, sequence)?;
            }
            read.write(&payload, b)
        });
        Answer::Sent
    }

    /// Calls `f` with the whole body of a request, which may come in blocks.
    fn with_body(
        &mut self,
        now: Now,
        peer: usize,
        path: Path,
        message: &Message<'_>,
        f: impl FnOnce(&mut Self, ContentFormat, &[u8]) -> Result<Done, Code>,
    ) -> Answer {
        let format = match message.content_format() {
            Some(format) => ContentFormat(format),
            None => default_format(&path),
        };
        let (offset, chunk, last, reply) = match self.next_chunk(now, peer, path, message, BODY) {
            Ok(next) => next,
            Err(answer) => return answer,
        };
        if offset == 0 && last {
            let done = f(self, format, chunk);
            return self.body_done(done, reply);
        }
        let start = offset as usize;
        let Some(place) = self.buffers.body.get_mut(start..start + chunk.len()) else {
            return Answer::TooLarge { max: BODY as u32 };
        };
        place.copy_from_slice(chunk);
        if !last {
            return Answer::Block {
                code: Code::CONTINUE,
                block1: reply,
            };
        }
        let body = core::mem::take(&mut self.buffers.body);
        let done = f(self, format, &body[..start + chunk.len()]);
        self.buffers.body = body;
        self.body_done(done, reply)
    }

    /// A body that was refused is looked at again when it is repeated.
    fn body_done(&mut self, done: Result<Done, Code>, reply: Option<Block>) -> Answer {
        if done.is_err() {
            self.assembly = None;
        }
        Answer::done(done, reply)
    }

    /// Input that has arrived, or is arriving, is of no use any more.
    pub(crate) fn forget_input(&mut self) {
        if self.inference.arena == Arena::Input {
            self.inference.arena = Arena::Undefined;
        }
        let input = Path::resource(ids::INFERENCE, 0, INPUT);
        self.assembly.take_if(|a| a.path == input);
    }

    /// The next part of a body: position, bytes, whether it is the last, Block1 of the answer.
    #[allow(clippy::type_complexity)]
    fn next_chunk<'m>(
        &mut self,
        now: Now,
        peer: usize,
        path: Path,
        message: &Message<'m>,
        max_body: usize,
    ) -> Result<(u32, &'m [u8], bool, Option<Block>), Answer> {
        let incoming = Incoming::of(message).map_err(|e| Answer::Code(e.code()))?;
        let limits = AssemblerLimits {
            max_body: max_body as u32,
            preferred: Szx::MAX,
            lifetime_ms: Some(BODY_LIFETIME_MS),
        };
        // There is room for one body; the newest wins.
        let known = self
            .assembly
            .as_ref()
            .is_some_and(|a| a.peer == peer && a.path == path && a.max_body == max_body);
        if !known {
            self.assembly = None;
        }
        let assembly = self.assembly.get_or_insert_with(|| Assembly {
            peer,
            path,
            max_body,
            assembler: Assembler::new(limits),
        });
        let assembler = &mut assembly.assembler;
        let mut verdict = assembler.check(instant(now), &incoming);
        if matches!(verdict, Verdict::Another) {
            assembler.reset();
            verdict = assembler.check(instant(now), &incoming);
        }
        match verdict {
            Verdict::Deliver {
                offset,
                chunk,
                last,
                reply,
            } => {
                assembler.advance(instant(now), &incoming);
                Ok((offset, chunk, last, reply))
            }
            Verdict::Duplicate { last, reply } => {
                let code = if last { Code::CHANGED } else { Code::CONTINUE };
                Err(Answer::Block {
                    code,
                    block1: reply,
                })
            }
            Verdict::Refuse(refusal) => Err(match refusal.size1() {
                Some(max) => Answer::TooLarge { max },
                None => Answer::Code(refusal.code()),
            }),
            Verdict::Another => Err(Answer::Code(Code::REQUEST_ENTITY_INCOMPLETE)),
        }
    }

    /// /27304/0/5 in opaque format goes straight to the arena.
    fn stream_input(
        &mut self,
        now: Now,
        peer: usize,
        path: Path,
        message: &Message<'_>,
        platform: &mut dyn Platform,
    ) -> Answer {
        let Some(total) = self.input_bytes(platform) else {
            return Answer::Code(Code::METHOD_NOT_ALLOWED);
        };
        if self.self_test_due.is_some() {
            return Answer::Code(Code::SERVICE_UNAVAILABLE);
        }
        let (offset, chunk, last, reply) = match self.next_chunk(now, peer, path, message, total) {
            Ok(next) => next,
            Err(answer) => return answer,
        };
        let end = offset as usize + chunk.len();
        if !self.write_input(offset as usize, chunk, platform) || (last && end != total) {
            self.forget_input();
            return Answer::Code(Code::BAD_REQUEST);
        }
        if last {
            self.inference.arena = Arena::Input;
            return Answer::Block {
                code: Code::CHANGED,
                block1: reply,
            };
        }
        Answer::Block {
            code: Code::CONTINUE,
            block1: reply,
        }
    }

    /// Write: first every value is checked, then all are taken.
    fn write_values(
        &mut self,
        context: &mut Context<'_>,
        path: &Path,
        format: ContentFormat,
        payload: &[u8],
    ) -> Result<Done, Code> {
        let mut scratch = [0; BODY];
        let mut refused = Ok(());
        let check = |path: &Path, value: &Value<'_>| -> Result<(), Code> {
            let object = path.object_id().and_then(lwm2m_objects::model::object);
            let resource = path.resource_id().and_then(|id| object?.resource(id));
            let resource = resource.ok_or(Code::NOT_FOUND)?;
            if !resource.operations().writable() {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            if path.depth() == 4 && !resource.multiple() {
                return Err(Code::BAD_REQUEST);
            }
            resource.check(value).map_err(|_| Code::BAD_REQUEST)
        };
        let mut count = 0;
        decode(
            format,
            path,
            payload,
            &Builtin,
            &mut scratch,
            &mut |record| {
                count += 1;
                refused = refused.and_then(|()| check(&record.path, &record.value));
                Ok(())
            },
        )
        .map_err(format_code)?;
        refused?;
        if count == 0 && path.depth() > 2 {
            return Err(Code::BAD_REQUEST);
        }
        let mut done = Ok(Done::Now);
        decode(
            format,
            path,
            payload,
            &Builtin,
            &mut scratch,
            &mut |record| {
                let [object, instance, resource, ..] = *record.path.ids() else {
                    return Ok(());
                };
                let Some((object, _)) = objects::find(object) else {
                    return Ok(());
                };
                if let Ok(before) = done {
                    let now = (object.write)(self, context, instance, resource, record.value);
                    done = now.map(|now| if before == Done::Stored { before } else { now });
                }
                Ok(())
            },
        )
        .map_err(format_code)?;
        self.changed();
        done
    }
}

/// What a payload without Content-Format is taken for.
fn default_format(path: &Path) -> ContentFormat {
    let object = path.object_id().and_then(lwm2m_objects::model::object);
    let resource = path.resource_id().and_then(|id| object?.resource(id));
    match resource.map(lwm2m_objects::model::ResourceModel::value_type) {
        Some(ValueType::Opaque) => ContentFormat::OPAQUE,
        Some(_) => ContentFormat::TEXT,
        None => ContentFormat::TLV,
    }
}
