//! Requests of servers and their answers, now or later.

use core::net::SocketAddr;

use tinsmith_coap::{Code, Message, OptionNumber, Parameters, RequestHandle, SendError};

use crate::bootstrap::End;
use crate::client::Client;
use crate::manage::{self, Answer, Turn};
use crate::object::{Origin, Ticket, View};
use crate::platform::{Event, Now, Platform};
use crate::read;
use crate::session::{Held, Until, Waiting, add_block1, add_location};
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
            device: &mut self.device,
            body: &mut self.body,
            platform: &mut *platform,
        };
        let answer = if message.unrecognised_critical(&KNOWN).is_some() {
            Answer::Code(Code::BAD_OPTION)
        } else {
            match origin {
                Origin::Bootstrap => self.bootstrap.request(session, &mut turn, message),
                Origin::Server { .. } => manage::request(session, &mut turn, message),
            }
        };
        if let Answer::Wait { until, held, part } = answer {
            if let Some(link) = session.link_mut() {
                link.waiting = Some(Waiting {
                    _live: Live::Live,
                    handle,
                    until,
                    held,
                    part,
                    ends: now.mono + REQUEST_LIFETIME_MS,
                });
            }
            return;
        }
        self.answer(now, index, handle, &answer, platform);
    }

    /// Sends the answer to the request that is being handled with the next poll.
    fn answer(
        &mut self,
        now: Now,
        index: usize,
        handle: RequestHandle,
        answer: &Answer,
        platform: &dyn Platform,
    ) {
        let session = &mut self.sessions[index];
        let device = &self.device;
        let view = View {
            now,
            device,
            platform,
        };
        let mut code = match answer {
            Answer::Code(code) | Answer::Block { code, .. } => *code,
            Answer::TooLarge { .. } => Code::REQUEST_ENTITY_TOO_LARGE,
            Answer::Created(_) => Code::CREATED,
            Answer::Read(_) | Answer::Discover(_) | Answer::Wait { .. } => Code::CONTENT,
        };
        let mut read = None;
        if let Answer::Read(request) = answer {
            match read::prepare(session, view, request) {
                Ok(prepared) => read = Some(prepared),
                Err(refusal) => code = refusal,
            }
        }
        let tag = device.etag(now);
        let bootstrap = &self.bootstrap;
        let Some(link) = session.link_mut() else {
            return;
        };
        let made = link.respond(now, handle, code, self.answer, &mut |b| match answer {
            Answer::Block { block1, .. } => add_block1(b, *block1),
            Answer::TooLarge { max } => b.uint(OptionNumber::SIZE1, *max).map(|_| ()),
            Answer::Created(path) => add_location(b, path),
            Answer::Discover(path) => bootstrap.discover(device, path, b),
            Answer::Read(_) => match &read {
                Some((read, sequence)) => read.write(view, &tag, *sequence, b),
                None => Ok(()),
            },
            Answer::Code(_) | Answer::Wait { .. } => Ok(()),
        });
        if let Ok(len) = made {
            self.answer_to = Some((link.address, len));
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
        if let Held::Created(_) = waiting.held {
            self.device.log.instances_changed();
        }
        if let Err(code) = result {
            waiting.held = Held::Code { code, block1: None };
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
                match &mut waiting.held {
                    Held::Finish { stored } => *stored = false,
                    Held::Code { code: promised, .. } => *promised = code,
                    held => *held = Held::Code { code, block1: None },
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
        let mut read = None;
        let code = match &waiting.held {
            Held::Code { code, .. } => *code,
            Held::Created(_) => Code::CREATED,
            Held::Finish { stored: true } => Code::CHANGED,
            Held::Finish { stored: false } => Code::INTERNAL_SERVER_ERROR,
            Held::Read(request) => match read::prepare(session, view, request) {
                Ok(prepared) => {
                    read = Some(prepared);
                    Code::CONTENT
                }
                Err(code) => code,
            },
        };
        let tag = self.device.etag(now);
        let link = session.link_mut()?;
        let made = link.respond(
            now,
            waiting.handle,
            code,
            buf,
            &mut |b| match &waiting.held {
                Held::Code { block1, .. } => add_block1(b, *block1),
                Held::Created(path) => add_location(b, path),
                Held::Read(_) | Held::Finish { .. } => match &read {
                    Some((read, sequence)) => read.write(view, &tag, *sequence, b),
                    None => Ok(()),
                },
            },
        );
        let sent = match made {
            Ok(len) => Some((link.address, len)),
            // A notification is not acknowledged yet; its end wakes us.
            Err(SendError::Busy) => {
                link.waiting = Some(waiting);
                return None;
            }
            Err(_) => None,
        };
        if let Held::Finish { stored } = waiting.held {
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
