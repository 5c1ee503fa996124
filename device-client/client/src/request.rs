//! Requests of servers and their answers, now or later.

use core::net::SocketAddr;

use lwm2m_objects::Path;
use lwm2m_objects::decimal::Decimal;
use tinsmith_coap::{
    BuildError, Builder, Code, Message, OptionNumber, Parameters, RequestHandle, SendError,
};

use crate::answer::{Answer, Outcome, Until};
use crate::bootstrap::{Bootstrap, End};
use crate::client::{AnswerTo, Client};
use crate::event::Event;
use crate::handler::{Origin, Ticket};
use crate::manage;
use crate::object::View;
use crate::objects::Tree;
use crate::platform::{Now, Platform};
use crate::session::{Session, Waiting};
use crate::turn::Turn;
use crate::zero::Live;

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

/// Milliseconds after which a server does not know its request any more.
const REQUEST_LIFETIME_MS: u64 = Parameters::RFC7252.exchange_lifetime_ms as u64;

impl Client<'_> {
    /// Handles a request of a server and answers it, now or later.
    pub(crate) fn request(
        &mut self,
        now: Now,
        index: usize,
        handle: RequestHandle,
        message: &Message<'_>,
        platform: &mut dyn Platform,
    ) {
        let session = &mut self.sessions[index];
        let Some(origin) = session.link().map(|l| l.origin) else {
            return;
        };
        let mut turn = Turn {
            now,
            session: index as u8,
            objects: self.objects,
            device: &mut self.device,
            body: &mut self.body,
            platform: &mut *platform,
        };
        let outcome = if message.unrecognised_critical(&KNOWN).is_some() {
            Code::BAD_OPTION.into()
        } else {
            match origin {
                Origin::Bootstrap => self.bootstrap.request(session, &mut turn, message),
                Origin::Server { .. } => manage::request(session, &mut turn, message),
            }
        };
        match outcome {
            Outcome::Now(answer) => {
                let view = View {
                    now,
                    device: &self.device,
                    platform,
                };
                let tree = Tree {
                    objects: self.objects,
                    view,
                };
                let made = respond(
                    session,
                    &self.bootstrap,
                    &tree,
                    handle,
                    &answer,
                    self.answer,
                );
                self.answer_to = made.ok().map(AnswerTo::message);
            }
            Outcome::Wait {
                until,
                answer,
                part,
            } => {
                if let Some(link) = session.link_mut() {
                    link.waiting = Some(Waiting {
                        _live: Live::Live,
                        handle,
                        until,
                        answer,
                        part,
                        ends: now.mono + REQUEST_LIFETIME_MS,
                    });
                }
            }
        }
    }

    /// The handler of a request is done; it is answered when everything is on flash, or at once.
    pub(crate) fn done(&mut self, ticket: Ticket, result: Result<(), Code>, stored: bool) {
        let session = self.sessions.get_mut(usize::from(ticket.session));
        let link = session.and_then(|s| s.link_mut());
        let waiting = link.and_then(|l| l.waiting.as_mut());
        let serial = ticket.serial;
        let Some(waiting) = waiting.filter(|w| w.until == Until::Told { serial }) else {
            return;
        };
        self.device.log.changed();
        if let Answer::Created(_) = waiting.answer {
            self.device.log.instances_changed();
        }
        if let Err(code) = result {
            waiting.answer = code.into();
        }
        waiting.until = match stored {
            true => Until::Stored {
                records: self.device.promises(),
            },
            false => Until::Ready,
        };
    }

    /// A request waits for the flash, or its answer for the server.
    pub(crate) fn waits_for_flash(&self) -> bool {
        let waiting = |w: &Waiting| !matches!(w.until, Until::Told { .. });
        let links = self.sessions.iter().filter_map(|s| s.link());
        links.filter_map(|l| l.waiting.as_ref()).any(waiting)
    }

    /// Answers a request that waits no more.
    pub(crate) fn poll_waiting(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        if self.device.storage_is_idle() {
            let lost = core::mem::take(&mut self.device.storage.lost);
            self.settle(lost);
        }
        for index in 0..self.sessions.len() {
            let link = self.sessions[index].link_mut();
            let waiting = link.and_then(|l| {
                l.waiting
                    .take_if(|w| w.ends <= now.mono && matches!(w.until, Until::Told { .. }));
                l.waiting.take_if(|w| w.until == Until::Ready)
            });
            if let Some(waiting) = waiting
                && let Some(sent) = self.answer_waiting(now, index, waiting, buf, platform)
            {
                return Some(sent);
            }
        }
        None
    }

    /// Everything is on flash but the records that are lost.
    fn settle(&mut self, lost: u8) {
        let links = self.sessions.iter_mut().filter_map(|s| s.link_mut());
        for waiting in links.filter_map(|l| l.waiting.as_mut()) {
            let Until::Stored { records } = waiting.until else {
                continue;
            };
            waiting.until = Until::Ready;
            if records & lost != 0 {
                let code = Code::INTERNAL_SERVER_ERROR;
                match &mut waiting.answer {
                    Answer::Finish { stored } => *stored = false,
                    Answer::Code { code: promised, .. } => *promised = code,
                    answer => *answer = code.into(),
                }
            }
        }
    }

    fn answer_waiting(
        &mut self,
        now: Now,
        index: usize,
        waiting: Waiting,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let session = &mut self.sessions[index];
        let view = View {
            now,
            device: &self.device,
            platform,
        };
        let tree = Tree {
            objects: self.objects,
            view,
        };
        let Waiting { handle, answer, .. } = &waiting;
        let sent = match respond(session, &self.bootstrap, &tree, *handle, answer, buf) {
            // A notification is not acknowledged yet; its end wakes us.
            Err(SendError::Busy) => {
                session.link_mut()?.waiting = Some(waiting);
                return None;
            }
            sent => sent.ok(),
        };
        if let Answer::Finish { stored } = waiting.answer {
            self.end_bootstrap(now, stored, platform);
        }
        sent
    }

    fn end_bootstrap(&mut self, now: Now, stored: bool, platform: &mut dyn Platform) {
        match self.bootstrap.stored(stored, &mut self.device) {
            Some(End::Stored) => {
                self.device.log.event(Event::Bootstrapped);
                self.connect_servers(now, platform);
            }
            Some(End::Failed(reason)) => self.bootstrap_failed(now, reason, platform),
            None => {}
        }
    }
}

/// Writes an answer: where it goes and how long it is.
fn respond(
    session: &mut Session<'_>,
    bootstrap: &Bootstrap<'_>,
    tree: &Tree<'_>,
    handle: RequestHandle,
    answer: &Answer,
    out: &mut [u8],
) -> Result<(SocketAddr, usize), SendError> {
    let mut read = None;
    let code = match answer {
        Answer::Code { code, .. } => *code,
        Answer::TooLarge { .. } => Code::REQUEST_ENTITY_TOO_LARGE,
        Answer::Created(_) => Code::CREATED,
        Answer::Discover(_) => Code::CONTENT,
        Answer::Finish { stored: true } => Code::CHANGED,
        Answer::Finish { stored: false } => Code::INTERNAL_SERVER_ERROR,
        Answer::Read(request) => match session.read(tree, request) {
            Ok(found) => {
                read = Some(found);
                Code::CONTENT
            }
            Err(code) => code,
        },
    };
    let link = session.link_mut().ok_or(SendError::Busy)?;
    let len = link.respond(tree.view.now, handle, code, out, &mut |b| {
        match (answer, &read) {
            (_, Some((read, sequence))) => read.write(tree, *sequence, b)?,
            (
                Answer::Code {
                    block1: Some(block),
                    ..
                },
                _,
            ) => {
                b.block(OptionNumber::BLOCK1, *block)?;
            }
            (Answer::TooLarge { max }, _) => drop(b.uint(OptionNumber::SIZE1, *max)?),
            (Answer::Created(path), _) => add_location(b, path)?,
            (Answer::Discover(path), _) => bootstrap.discover(tree, path, b)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((link.address, len))
}

/// Adds the path of an instance that was made.
fn add_location(b: &mut Builder<'_>, path: &Path) -> Result<(), BuildError> {
    for id in path.ids() {
        b.option(
            OptionNumber::LOCATION_PATH,
            Decimal::of((*id).into()).as_bytes(),
        )?;
    }
    Ok(())
}
