//! Bodies that an object takes part by part.

use lwm2m_objects::Path;
use lwm2m_objects::format::ContentFormat;
use tinsmith_coap::{Block, Code, Message};

use super::write::Entry;
use crate::answer::Outcome;
use crate::handler::{Body, Done, Part, Target};
use crate::session::{Link, Session};
use crate::turn::Turn;
use crate::upload::Upload;

/// A body that its object takes part by part; none if it is to be taken as values.
pub(crate) fn write_body(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    entry: Entry<'_>,
    path: Path,
    target: Target,
    message: &Message<'_>,
) -> Option<Outcome> {
    let writable = entry.1.resource(target.resource)?.operations().writable();
    if !writable {
        return None;
    }
    let body = match entry.0.body(&turn.view(), target) {
        Ok(body) => body,
        Err(code) => return Some(code.into()),
    };
    let opaque = ContentFormat::OPAQUE.0;
    let is_opaque = message.content_format().is_none_or(|f| f == opaque);
    let in_blocks = matches!(message.block1(), Ok(Some(b)) if b.more || b.num > 0);
    match body {
        Body::Stream { max } if is_opaque => {
            Some(stream(session, turn, entry, path, target, message, max))
        }
        Body::Resumable if is_opaque => {
            Some(resumable(session, turn, entry, path, target, message))
        }
        // In another format it would have to be held whole.
        Body::Resumable if in_blocks => Some(Code::UNSUPPORTED_CONTENT_FORMAT.into()),
        _ => None,
    }
}

/// A body in parts that come in order.
fn stream(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    (object, _): Entry<'_>,
    path: Path,
    target: Target,
    message: &Message<'_>,
    max: u32,
) -> Outcome {
    let Some(link) = session.link_mut() else {
        return Code::INTERNAL_SERVER_ERROR.into();
    };
    if link.waiting.is_some() {
        return Code::SERVICE_UNAVAILABLE.into();
    }
    let chunk = match Upload::next(&mut link.upload, turn.now, path, message, max) {
        Ok(chunk) => chunk,
        Err(answer) => return answer.into(),
    };
    let part = Part {
        offset: chunk.offset,
        bytes: chunk.bytes,
        last: chunk.last,
        tag: message.request_tag(),
    };
    let done = object.write_part(&mut turn.context(session), target, part);
    let code = if chunk.last {
        turn.device.log.changed();
        Code::CHANGED
    } else {
        Code::CONTINUE
    };
    match done {
        // Its bytes were not taken: it may come again.
        Err(code) | Ok(Done::Refused(code)) => {
            session.forget_upload();
            code.into()
        }
        done => turn.done(done, code, chunk.reply),
    }
}

/// A body whose object keeps the position.
fn resumable(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    (object, _): Entry<'_>,
    path: Path,
    target: Target,
    message: &Message<'_>,
) -> Outcome {
    let Ok(block1) = message.block1() else {
        return Code::BAD_REQUEST.into();
    };
    let payload = message.payload();
    let last = block1.is_none_or(|b| !b.more);
    let offset = block1.map_or(0, Block::offset);
    if block1
        .is_some_and(|b| payload.len() > b.szx.size() || (!last && payload.len() != b.szx.size()))
    {
        return Code::BAD_REQUEST.into();
    }
    let Some(end) = offset.checked_add(payload.len() as u32) else {
        return Code::BAD_REQUEST.into();
    };
    // A part that comes again takes the place of the one that waits.
    let again = |link: &Link| match &link.waiting {
        None => true,
        Some(w) => w.part.is_some_and(|(at, held)| at == path && end <= held),
    };
    if !session.link().is_some_and(again) {
        return Code::SERVICE_UNAVAILABLE.into();
    }
    let part = Part {
        offset,
        bytes: payload,
        last,
        tag: message.request_tag(),
    };
    let code = if last { Code::CHANGED } else { Code::CONTINUE };
    let done = object.write_part(&mut turn.context(session), target, part);
    let block1 = block1.filter(|_| !matches!(done, Ok(Done::Refused(_)) | Err(_)));
    let mut outcome = turn.done(done, code, block1);
    if let Outcome::Wait { part, .. } = &mut outcome {
        *part = Some((path, end));
    }
    outcome
}
