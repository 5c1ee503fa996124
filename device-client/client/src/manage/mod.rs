//! Device management (LwM2M TS 1.1 §6.3): from the request of a management server to an object's
//! handler and back to an answer.

mod parts;
pub(crate) mod write;

use lwm2m_objects::Path;
use lwm2m_objects::format::ContentFormat;
use tinsmith_coap::{Code, Message};

use crate::answer::{Answer, Outcome, Until};
use crate::handler::{Done, Target};
use crate::objects::has_instance;
use crate::read::ReadRequest;
use crate::session::Session;
use crate::turn::{Turn, with_body};
use write::Entry;

/// Handles a request of a management server.
pub(crate) fn request(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    message: &Message<'_>,
) -> Outcome {
    let Ok(path) = Path::from_segments(message.uri_path()) else {
        return Code::NOT_FOUND.into();
    };
    let method = message.code();
    if method == Code::GET {
        return get(session, turn, path, message);
    }
    if !matches!(method, Code::PUT | Code::POST | Code::DELETE) {
        return Code::METHOD_NOT_ALLOWED.into();
    }
    let Some(entry) = path.object_id().and_then(|id| turn.objects.find(id)) else {
        return Code::NOT_FOUND.into();
    };
    let here = |id| has_instance(entry.0, &turn.view(), id);
    if path.instance_id().is_some_and(|id| !here(id)) {
        return Code::NOT_FOUND.into();
    }
    if method == Code::PUT
        && let [_, instance, resource] = *path.ids()
    {
        let target = Target {
            instance,
            resource,
            resource_instance: None,
        };
        if let Some(outcome) = parts::write_body(session, turn, entry, path, target, message) {
            return outcome;
        }
    }
    let waits = session.link().is_some_and(|l| l.waiting.is_some());
    match (method, path.ids()) {
        (_, []) | (Code::PUT, [_]) => Code::METHOD_NOT_ALLOWED.into(),
        _ if waits => Code::SERVICE_UNAVAILABLE.into(),
        (Code::DELETE, [_, instance]) => {
            let done = write::delete(&mut turn.context(session), entry.0, *instance);
            turn.done(done, Code::DELETED, None)
        }
        (Code::DELETE, _) => Code::METHOD_NOT_ALLOWED.into(),
        (Code::POST, [_]) => create(session, turn, entry, path, message),
        (Code::POST, [_, instance, id]) => execute(session, turn, entry, *instance, *id, message),
        _ => write(session, turn, entry, path, message),
    }
}

/// A GET of a management server.
fn get(
    session: &Session<'_>,
    turn: &mut Turn<'_, '_>,
    path: Path,
    message: &Message<'_>,
) -> Outcome {
    let Ok(asked) = message.block2() else {
        return Code::BAD_REQUEST.into();
    };
    let request = ReadRequest {
        path,
        accept: message.accept().map(ContentFormat),
        asked,
        observe: message.observe(),
        token: message.token(),
    };
    let answer = Answer::Read(request);
    let object = path.object_id().and_then(|id| turn.objects.find(id));
    if let Some((object, _)) = object
        && asked.is_none_or(|b| b.num == 0)
        && request.accept != Some(ContentFormat::LINK)
    {
        let waits = session.link().is_some_and(|l| l.waiting.is_some());
        let mut context = turn.context(session);
        match object.prepare(&mut context, &path) {
            Ok(Done::Now | Done::Stored) => {}
            Ok(Done::Refused(code)) | Err(code) => return code.into(),
            Ok(Done::Later) if waits => return Code::SERVICE_UNAVAILABLE.into(),
            Ok(Done::Later) => {
                let serial = context.ticket.serial;
                return Outcome::Wait {
                    until: Until::Told { serial },
                    answer,
                    part: None,
                };
            }
        }
    }
    answer.into()
}

fn execute(
    session: &Session<'_>,
    turn: &mut Turn<'_, '_>,
    (object, definition): Entry<'_>,
    instance: u16,
    resource: u16,
    message: &Message<'_>,
) -> Outcome {
    let Some(known) = definition.resource(resource) else {
        return Code::NOT_FOUND.into();
    };
    if !known.operations().executable() {
        return Code::METHOD_NOT_ALLOWED.into();
    }
    if !object.offers(&turn.view(), instance, resource) {
        return Code::METHOD_NOT_ALLOWED.into();
    }
    let target = Target {
        instance,
        resource,
        resource_instance: None,
    };
    let done = object.execute(&mut turn.context(session), target, message.payload());
    turn.done(done, Code::CHANGED, None)
}

fn write(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    entry: Entry<'_>,
    path: Path,
    message: &Message<'_>,
) -> Outcome {
    if message.code() == Code::PUT
        && message.content_format().is_none()
        && message.payload().is_empty()
        && message.uri_query().next().is_some()
    {
        // Write-Attributes.
        return Code::NOT_IMPLEMENTED.into();
    }
    if path
        .resource_id()
        .is_some_and(|id| entry.1.resource(id).is_none())
    {
        return Code::NOT_FOUND.into();
    }
    with_body(
        session,
        turn,
        Some(entry.1),
        path,
        message,
        Code::CHANGED,
        &mut |context, format, body| {
            let replaces = message.code() == Code::PUT && path.depth() == 2;
            write::write_values(context, entry, &path, replaces, format, body)
        },
    )
}

fn create(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    entry: Entry<'_>,
    path: Path,
    message: &Message<'_>,
) -> Outcome {
    let mut made = None;
    let outcome = with_body(
        session,
        turn,
        Some(entry.1),
        path,
        message,
        Code::CREATED,
        &mut |context, format, body| {
            let (path, done) = write::create(context, entry, format, body)?;
            made = Some(path);
            Ok(done)
        },
    );
    let Some(path) = made else {
        return outcome;
    };
    let created = Answer::Created(path);
    match outcome {
        Outcome::Now(Answer::Code { code, .. }) if code.is_success() => created.into(),
        Outcome::Wait { until, part, .. } => Outcome::Wait {
            until,
            answer: created,
            part,
        },
        outcome => outcome,
    }
}
