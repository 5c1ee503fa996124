//! A device that is registered: what is asked of it, and what it is observed for.

use tinsmith_coap::{Message, Output as CoapOutput, Reliability, Request, SendError, Sent, Token};

use super::contact::Contact;
use crate::exchange::{Facts, Open, Refused, Step};
use crate::job::{Job, Keep};
use crate::observation::{Notified, Observations};
use crate::shared::Context;
use crate::stored;
use crate::target::Target;
use crate::types::{Endpoint, Event, Operation, Outcome, RequestId};
use tinsmith_store::Op;

pub(crate) struct Session {
    pub(crate) contact: Contact,
    /// Boxed, as it is large and mostly not there.
    open: Option<Box<Open>>,
    /// A durable request was not answered: nothing is sent until the device is heard again.
    silent: bool,
    observations: Observations,
    refused: Refused,
    /// The expiry as stored, wall time.
    stored_expires: u64,
    /// Something that is stored with the registration has changed.
    dirty: bool,
}

impl Session {
    /// Of a registration that has just been stored.
    pub(super) fn new(contact: Contact) -> Self {
        let stored_expires = contact.entry.registration.expires;
        Self::restored(contact, Observations::default(), stored_expires)
    }

    /// Of a registration that was found in the store.
    pub(crate) fn restored(
        contact: Contact,
        observations: Observations,
        stored_expires: u64,
    ) -> Self {
        Session {
            contact,
            open: None,
            silent: false,
            observations,
            refused: Refused::default(),
            stored_expires,
            dirty: false,
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.contact.endpoint()
    }

    /// True if a response with this token is this device's.
    pub(super) fn owns(&self, token: Token) -> bool {
        self.open
            .as_deref()
            .is_some_and(|open| open.token() == token || open.observes(token))
            || self.observations.owns(token)
    }

    /// Durable requests that are not over.
    pub(super) fn kept(&self) -> usize {
        let open = self.open.as_deref();
        let open = open.is_some_and(|open| open.job.keep != Keep::No);
        self.contact.queue.kept() + usize::from(open)
    }

    /// The device was heard.
    pub(super) fn heard(&mut self) {
        self.silent = false;
    }

    pub(super) fn answered(&mut self, cx: &mut Context<'_>, token: Token, message: &Message<'_>) {
        let Some(open) = self
            .open
            .as_deref_mut()
            .filter(|open| open.token() == token)
        else {
            return;
        };
        let mut facts = Facts {
            registration: &self.contact.entry.registration,
            models: &self.contact.entry.models,
            refused: &mut self.refused,
        };
        match open.on_response(cx.now, &mut facts, message) {
            Step::Again => {}
            Step::Progress(sent, total) => {
                if let Some(id) = open.job.id {
                    let endpoint = self.contact.endpoint().clone();
                    cx.event(Event::Progress {
                        endpoint,
                        id,
                        sent,
                        total,
                    });
                }
            }
            Step::End(outcome) => self.complete(cx, outcome),
        }
    }

    pub(super) fn reset(&mut self, cx: &mut Context<'_>, token: Token) {
        if self.is_open(token) {
            self.complete(cx, Outcome::Reset);
        }
    }

    fn is_open(&self, token: Token) -> bool {
        self.open
            .as_deref()
            .is_some_and(|open| open.token() == token)
    }

    /// Takes a notification. False if nobody asked for it: the device is told to stop.
    pub(super) fn notified(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        message: &Message<'_>,
    ) -> bool {
        if self
            .open
            .as_deref()
            .is_some_and(|open| open.observes(token))
        {
            // A newer value while the first is still being fetched; the next one will tell.
            return true;
        }
        let models = &self.contact.entry.models;
        match self.observations.notified(cx.now, token, message, models) {
            Notified::Unknown => return false,
            Notified::Nothing => {}
            Notified::Values(target, values) => {
                let endpoint = self.endpoint().clone();
                cx.event(Event::Notified {
                    endpoint,
                    target,
                    values,
                });
            }
            Notified::Long(target) => self.read_rest(cx, target),
            Notified::Ended(target, code) => {
                self.dirty = true;
                self.observation_ended(cx, target, Some(code));
            }
        }
        true
    }

    fn read_rest(&mut self, cx: &Context<'_>, target: Target) {
        let open = self.open.as_deref().map(|open| &open.job);
        let queue = &mut self.contact.queue;
        let is_rest = |job: &Job| job.is_rest_of(&target);
        let reading = queue.iter().any(is_rest) || open.is_some_and(is_rest);
        if !reading && queue.len() < cx.limits.queue {
            queue.push_front(Job::rest(cx.now, target));
        }
    }

    fn observation_ended(&self, cx: &mut Context<'_>, target: Target, code: Option<u8>) {
        let endpoint = self.endpoint().clone();
        cx.event(Event::ObservationEnded {
            endpoint,
            target,
            code,
        });
    }

    /// The open request gets no answer now. A durable one waits for a sign of life.
    pub(super) fn unanswered(&mut self, cx: &mut Context<'_>) {
        if self.postpone() {
            self.silent = true;
        } else {
            let sent = self.open.as_deref().map_or(0, Open::acknowledged);
            self.complete(cx, Outcome::TimedOut { sent });
        }
    }

    /// Puts the open request back before the others, if it is durable.
    fn postpone(&mut self) -> bool {
        let Some(open) = self.open.take_if(|open| open.job.keep == Keep::Stored) else {
            return false;
        };
        self.contact.link.coap.cancel(open.token());
        self.contact.queue.push_front(open.job);
        true
    }

    /// Ends the open request.
    fn complete(&mut self, cx: &mut Context<'_>, outcome: Outcome) {
        let Some(open) = self.open.take() else { return };
        self.contact.link.coap.cancel(open.token());
        let (job, observation) = open.end(&outcome);
        if let Some(observation) = observation {
            self.dirty = true;
            let oldest = self.observations.add(observation, cx.limits.observations);
            if let Some(target) = oldest {
                self.observation_ended(cx, target, None);
            }
        }
        self.go_on(cx, job, outcome);
    }

    /// Begins what follows in the job's unit, or ends the job.
    fn go_on(&mut self, cx: &mut Context<'_>, mut job: Job, outcome: Outcome) {
        match job.advance(cx.now, outcome) {
            None => self.begin(cx, job),
            Some(outcome) => job.finish(cx, self.endpoint().clone(), outcome),
        }
    }

    /// Sends what can be sent, and what the CoAP state asks for.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) {
        loop {
            self.expire_requests(cx);
            if self.can_begin()
                && let Some(job) = self.contact.queue.next()
            {
                self.begin(cx, job);
            }
            self.send(cx);
            match self.contact.link.coap.poll(cx.at(), cx.buffer) {
                Some(CoapOutput::Transmit(len)) => self.contact.link.transmit(cx, len),
                Some(CoapOutput::TimedOut(Sent::Request(token))) => {
                    if self.is_open(token) {
                        self.unanswered(cx);
                    }
                }
                Some(CoapOutput::TimedOut(_)) => {}
                None if self.can_begin() => {}
                None => return,
            }
        }
    }

    fn expire_requests(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        if self
            .open
            .as_deref()
            .is_some_and(|open| open.expires() <= now)
        {
            self.complete(cx, Outcome::Expired);
        }
        self.contact.expire_requests(cx);
    }

    fn can_begin(&self) -> bool {
        self.open.is_none() && !self.silent && self.contact.queue.is_ready()
    }

    fn begin(&mut self, cx: &mut Context<'_>, job: Job) {
        let ended = match &job.operation {
            Operation::CancelObserve { target } => self.observations.remove(target),
            _ => None,
        };
        self.dirty |= ended.is_some();
        let facts = Facts {
            registration: &self.contact.entry.registration,
            models: &self.contact.entry.models,
            refused: &mut self.refused,
        };
        match Open::begin(job, ended, &facts, cx.limits.answer) {
            Ok(open) => self.open = Some(Box::new(open)),
            Err(ended) => {
                let (job, outcome) = *ended;
                self.go_on(cx, job, outcome);
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        let Some(open) = self.open.as_deref().filter(|open| open.waits_to_send()) else {
            return;
        };
        if !self.contact.link.coap.can_request() {
            return;
        }
        let token = open.fixed_token().unwrap_or_else(|| self.fresh_token(cx));
        let request = Request {
            code: open.method(),
            token,
            reliability: Reliability::Confirmable,
            response_timeout_ms: None,
        };
        let Contact { entry, link, .. } = &mut self.contact;
        let segments = entry.segments(open.job.path());
        match link.request(cx, request, |b| open.build(b, &segments)) {
            Ok(()) => {
                if let Some(open) = &mut self.open {
                    open.sent(token);
                }
            }
            Err(SendError::Busy) => {}
            Err(error) => {
                self.complete(cx, Outcome::Malformed(format!("cannot be sent: {error:?}")));
            }
        }
    }

    fn fresh_token(&self, cx: &mut Context<'_>) -> Token {
        loop {
            let token = Token::with_prefix(self.contact.entry.bucket, cx.random.next_u64());
            if !self.owns(token) {
                return token;
            }
        }
    }

    /// Takes the open request back. False if it is another.
    pub(super) fn withdraw(&mut self, cx: &mut Context<'_>, id: RequestId) -> bool {
        let open = self.open.as_deref();
        let found = open.is_some_and(|open| open.job.id == Some(id));
        if found {
            self.complete(cx, Outcome::Cancelled("the request was withdrawn".into()));
        }
        found
    }

    /// The registration ends or is replaced: durable requests are sent again under the next one,
    /// in the same order, the others end.
    pub(super) fn end_requests(&mut self, cx: &mut Context<'_>, why: &str) {
        if !self.postpone() {
            self.complete(cx, Outcome::Cancelled(why.into()));
        }
        let endpoint = self.endpoint().clone();
        self.contact.queue.end_others(cx, &endpoint, why);
    }

    /// The device sends from elsewhere now: what was open is sent again there.
    pub(super) fn resend(&mut self) {
        if let Some(open) = &mut self.open {
            open.resend();
        }
    }

    /// Monotonic, ms.
    pub(super) fn next_deadline(&self) -> u64 {
        let open = self.open.as_deref().map_or(u64::MAX, Open::expires);
        self.contact.next_deadline().min(open)
    }

    /// Something that is stored with the registration has changed.
    pub(crate) fn touch(&mut self) {
        self.dirty = true;
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// How long ago its expiry was stored, in milliseconds of its life.
    pub(crate) fn unstored(&self) -> u64 {
        let expires = self.contact.entry.registration.expires;
        expires.saturating_sub(self.stored_expires)
    }

    /// The record of the device as it is now, to be written.
    pub(crate) fn record(&mut self) -> Option<Op> {
        self.dirty = false;
        self.stored_expires = self.contact.entry.registration.expires;
        let Contact { entry, link, .. } = &self.contact;
        stored::write(entry, link, &self.observations)
    }
}
