//! Bodies that an object takes part by part.

use lwm2m_objects::Path;
use lwm2m_objects::format::ContentFormat;
use tinsmith_coap::{Block, Code, Message};

use crate::manage::{Answer, Turn};
use crate::object::{Body, Done, Part, Target};
use crate::session::{Link, Session};
use crate::write::Entry;

/// A body that its object takes part by part; none if it is to be taken as values.
pub(crate) fn write_body(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    entry: Entry<'_>,
    path: Path,
    target: Target,
    message: &Message<'_>,
) -> Option<Answer> {
    let writable = entry.1.resource(target.resource)?.operations().writable();
    if !writable {
        return None;
    }
    let body = match entry.0.body(&turn.view(), target) {
        Ok(body) => body,
        Err(code) => return Some(Answer::Code(code)),
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
        Body::Resumable if in_blocks => Some(Answer::Code(Code::UNSUPPORTED_CONTENT_FORMAT)),
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
) -> Answer {
    let Some(link) = session.link_mut() else {
        return Answer::Code(Code::INTERNAL_SERVER_ERROR);
    };
    if link.waiting.is_some() {
        return Answer::Code(Code::SERVICE_UNAVAILABLE);
    }
    let chunk = match link.next_chunk(turn.now, path, message, max) {
        Ok(chunk) => chunk,
        Err(answer) => return answer,
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
            Answer::Code(code)
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
) -> Answer {
    let Ok(block1) = message.block1() else {
        return Answer::Code(Code::BAD_REQUEST);
    };
    let payload = message.payload();
    let last = block1.is_none_or(|b| !b.more);
    let offset = block1.map_or(0, Block::offset);
    if block1
        .is_some_and(|b| payload.len() > b.szx.size() || (!last && payload.len() != b.szx.size()))
    {
        return Answer::Code(Code::BAD_REQUEST);
    }
    let Some(end) = offset.checked_add(payload.len() as u32) else {
        return Answer::Code(Code::BAD_REQUEST);
    };
    // A part that comes again takes the place of the one that waits.
    let again = |link: &Link| match &link.waiting {
        None => true,
        Some(w) => w.part.is_some_and(|(at, held)| at == path && end <= held),
    };
    if !session.link().is_some_and(again) {
        return Answer::Code(Code::SERVICE_UNAVAILABLE);
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
    match turn.done(done, code, block1) {
        Answer::Wait { until, held, .. } => Answer::Wait {
            until,
            held,
            part: Some((path, end)),
        },
        answer => answer,
    }
}
