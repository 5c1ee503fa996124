//! What a session works with while it handles a request, and what it makes of a handler's answer.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::model::{ObjectModel, ResourceModel};
use lwm2m_objects::{Path, ValueType};
use tinsmith_coap::{Block, Code, Message};

use crate::answer::{Answer, Outcome, Until};
use crate::device::Device;
use crate::handler::{Done, Origin, Ticket};
use crate::object::{Context, View};
use crate::objects::Objects;
use crate::platform::{Now, Platform};
use crate::session::Session;
use crate::upload::BodyBuffer;

/// What a session works with while it handles a request.
pub(crate) struct Turn<'t, 'a> {
    pub(crate) now: Now,
    /// Index of the session.
    pub(crate) session: u8,
    pub(crate) objects: Objects<'a>,
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
    ) -> Outcome {
        let stored = Until::Stored {
            records: self.device.promises(),
        };
        let serial = self.device.tickets;
        let (until, code) = match done {
            Ok(Done::Now) => (None, code),
            Ok(Done::Stored) => (Some(stored), code),
            Ok(Done::Refused(code)) => (Some(stored), code),
            Ok(Done::Later) => (Some(Until::Told { serial }), code),
            Err(code) => (None, code),
        };
        let answer = Answer::Code { code, block1 };
        match until {
            None => Outcome::Now(answer),
            Some(until) => Outcome::Wait {
                until,
                answer,
                part: None,
            },
        }
    }
}

/// Takes the whole body of a request.
pub(crate) type TakeBody<'f> =
    dyn FnMut(&mut Context<'_, '_>, ContentFormat, &[u8]) -> Result<Done, Code> + 'f;

/// Calls `take` with the whole body of a request, which may come in blocks.
pub(crate) fn with_body(
    session: &mut Session<'_>,
    turn: &mut Turn<'_, '_>,
    definition: Option<&ObjectModel>,
    path: Path,
    message: &Message<'_>,
    code: Code,
    take: &mut TakeBody<'_>,
) -> Outcome {
    let format = match message.content_format() {
        Some(format) => ContentFormat(format),
        None => default_format(&path, definition),
    };
    let Some(link) = session.link_mut() else {
        return Code::INTERNAL_SERVER_ERROR.into();
    };
    let collected = turn
        .body
        .collect(turn.now, turn.session, &mut link.upload, path, message);
    let (whole, reply) = match collected {
        Ok(collected) => collected,
        Err(answer) => return answer.into(),
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

/// What a payload without Content-Format is taken for.
fn default_format(path: &Path, definition: Option<&ObjectModel>) -> ContentFormat {
    let resource = path.resource_id().and_then(|id| definition?.resource(id));
    match resource.map(ResourceModel::value_type) {
        Some(ValueType::Opaque) => ContentFormat::OPAQUE,
        Some(_) => ContentFormat::TEXT,
        None => ContentFormat::TLV,
    }
}
