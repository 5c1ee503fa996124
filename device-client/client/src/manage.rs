//! Device management (LwM2M TS 1.1 §6.3): from the request of a management server to an object's
//! handler and back to an answer.

use lwm2m_objects::Path;
use lwm2m_objects::format::ContentFormat;
use tinsmith_coap::{Block, Code, Message};

use crate::body::BodyBuffer;
use crate::device::Device;
use crate::object::{Context, Done, Origin, Target, Ticket, View};
use crate::objects::has_instance;
use crate::parts;
use crate::platform::{Now, Platform};
use crate::read::{self, ReadRequest};
use crate::session::{Held, Session, Until};
use crate::write::{self, Entry, default_format};

/// What a request is answered with.
pub(crate) enum Answer {
    /// A code alone.
    Code(Code),
    /// A code and Block1.
    Block { code: Code, block1: Option<Block> },
    /// 4.13 with the largest size we take.
    TooLarge { max: u32 },
    /// 2.05 with an instance's path.
    Created(Path),
    /// What is at a path.
    Read(ReadRequest),
    /// 2.05 with what a bootstrap server may know.
    Discover(Path),
    /// Later.
    Wait {
        until: Until,
        held: Held,
        /// It is a part of a resumable body, up to this offset.
        part: Option<(Path, u32)>,
    },
}

/// What a session works with while it handles a request.
pub(crate) struct Turn<'t, 'a> {
    pub(crate) now: Now,
    /// Index of the session.
    pub(crate) session: u8,
    pub(crate) device: &'t mut Device<'a>,
    pub(crate) body: &'t mut BodyBuffer<'a>,
    pub(crate) platform: &'t mut dyn Platform,
}

fn context<'c, 'a>(
    now: Now,
    session: u8,
    origin: Option<Origin>,
    device: &'c mut Device<'a>,
    platform: &'c mut dyn Platform,
) -> Context<'c, 'a> {
    device.tickets = device.tickets.wrapping_add(1);
    Context {
        now,
        origin: origin.unwrap_or(Origin::Bootstrap),
        platform,
        ticket: Ticket {
            session,
            serial: device.tickets,
        },
        device,
    }
}

impl<'a> Turn<'_, 'a> {
    pub(crate) fn context(&mut self, session: &Session<'_>) -> Context<'_, 'a> {
        let origin = session.link().map(|l| l.origin);
        context(self.now, self.session, origin, self.device, self.platform)
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            now: self.now,
            device: self.device,
            platform: self.platform,
        }
    }

    /// The answer to a request that a handler has taken.
    pub(crate) fn done(
        &self,
        done: Result<Done, Code>,
        code: Code,
        block1: Option<Block>,
    ) -> Answer {
        let wait = |until, code| Answer::Wait {
            until,
            held: Held::Code { code, block1 },
            part: None,
        };
        let records = self.device.promises();
        match done {
            Ok(Done::Now) => Answer::Block { code, block1 },
            Ok(Done::Stored) => wait(Until::Stored { records }, code),
            Ok(Done::Refused(code)) => wait(Until::Stored { records }, code),
            Ok(Done::Later) => {
                let serial = self.device.tickets;
                wait(Until::Told { serial }, code)
            }
            Err(code) => Answer::Block { code, block1 },
        }
    }

    fn code(&self, done: Result<Done, Code>, code: Code) -> Answer {
        self.done(done, code, None)
    }
}

/// Handles a request of a management server.
pub(crate) fn request(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    message: &Message<'_>,
) -> Answer {
    let Ok(path) = Path::from_segments(message.uri_path()) else {
        return Answer::Code(Code::NOT_FOUND);
    };
    let method = message.code();
    if method == Code::GET {
        return read::get(session, turn, path, message);
    }
    if !matches!(method, Code::PUT | Code::POST | Code::DELETE) {
        return Answer::Code(Code::METHOD_NOT_ALLOWED);
    }
    let objects = turn.device.objects();
    let Some(entry) = path.object_id().and_then(|id| objects.find(id)) else {
        return Answer::Code(Code::NOT_FOUND);
    };
    let here = |id| has_instance(entry.0, &turn.view(), id);
    if path.instance_id().is_some_and(|id| !here(id)) {
        return Answer::Code(Code::NOT_FOUND);
    }
    if method == Code::PUT
        && let [_, instance, resource] = *path.ids()
    {
        let target = Target {
            instance,
            resource,
            resource_instance: None,
        };
        if let Some(answer) = parts::write_body(session, turn, entry, path, target, message) {
            return answer;
        }
    }
    let waits = session.link().is_some_and(|l| l.waiting.is_some());
    match (method, path.ids()) {
        (_, []) | (Code::PUT, [_]) => Answer::Code(Code::METHOD_NOT_ALLOWED),
        _ if waits => Answer::Code(Code::SERVICE_UNAVAILABLE),
        (Code::DELETE, [_, instance]) => {
            let done = write::delete(&mut turn.context(session), entry.0, *instance);
            turn.code(done, Code::DELETED)
        }
        (Code::DELETE, _) => Answer::Code(Code::METHOD_NOT_ALLOWED),
        (Code::POST, [_]) => create(session, turn, entry, path, message),
        (Code::POST, [_, instance, id]) => execute(session, turn, entry, *instance, *id, message),
        _ => write(session, turn, entry, path, message),
    }
}

fn execute(
    session: &Session<'_>,
    turn: &mut Turn<'_, '_>,
    (object, definition): Entry<'_>,
    instance: u16,
    resource: u16,
    message: &Message<'_>,
) -> Answer {
    let Some(known) = definition.resource(resource) else {
        return Answer::Code(Code::NOT_FOUND);
    };
    if !known.operations().executable() {
        return Answer::Code(Code::METHOD_NOT_ALLOWED);
    }
    let target = Target {
        instance,
        resource,
        resource_instance: None,
    };
    let done = object.execute(&mut turn.context(session), target, message.payload());
    turn.code(done, Code::CHANGED)
}

fn write(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    entry: Entry<'_>,
    path: Path,
    message: &Message<'_>,
) -> Answer {
    if message.code() == Code::PUT
        && message.content_format().is_none()
        && message.payload().is_empty()
        && message.uri_query().next().is_some()
    {
        // Write-Attributes.
        return Answer::Code(Code::NOT_IMPLEMENTED);
    }
    if path
        .resource_id()
        .is_some_and(|id| entry.1.resource(id).is_none())
    {
        return Answer::Code(Code::NOT_FOUND);
    }
    with_body(
        session,
        turn,
        Some(entry),
        path,
        message,
        Code::CHANGED,
        &mut |context, format, body| write::write_values(context, entry, &path, format, body),
    )
}

fn create(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    entry: Entry<'_>,
    path: Path,
    message: &Message<'_>,
) -> Answer {
    let mut made = None;
    let answer = with_body(
        session,
        turn,
        Some(entry),
        path,
        message,
        Code::CREATED,
        &mut |context, format, body| {
            let (path, done) = write::create(context, entry, format, body)?;
            made = Some(path);
            Ok(done)
        },
    );
    match (made, answer) {
        (Some(path), Answer::Block { code, .. }) if code.is_success() => Answer::Created(path),
        (Some(path), Answer::Wait { until, part, .. }) => Answer::Wait {
            until,
            held: Held::Created(path),
            part,
        },
        (_, answer) => answer,
    }
}

/// Takes the whole body of a request.
pub(crate) type TakeBody<'f> =
    dyn FnMut(&mut Context<'_, '_>, ContentFormat, &[u8]) -> Result<Done, Code> + 'f;

/// Calls `take` with the whole body of a request, which may come in blocks.
pub(crate) fn with_body(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    entry: Option<Entry<'_>>,
    path: Path,
    message: &Message<'_>,
    code: Code,
    take: &mut TakeBody<'_>,
) -> Answer {
    let format = match message.content_format() {
        Some(format) => ContentFormat(format),
        None => default_format(&path, entry.map(|e| e.1)),
    };
    let Some(link) = session.link_mut() else {
        return Answer::Code(Code::INTERNAL_SERVER_ERROR);
    };
    let collected = turn
        .body
        .collect(turn.now, turn.session, link, path, message);
    let (whole, reply) = match collected {
        Ok(collected) => collected,
        Err(answer) => return answer,
    };
    let origin = session.link().map(|l| l.origin);
    let mut context = context(turn.now, turn.session, origin, turn.device, turn.platform);
    let done = take(&mut context, format, turn.body.get(&whole));
    if done.is_err() {
        // A body that was refused is looked at again when it is repeated.
        session.forget_upload();
    }
    turn.done(done, code, reply)
}
