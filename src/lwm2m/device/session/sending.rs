//! The requests to a device: one is open, the others wait.

use tinsmith_coap::{Code, Output as CoapOutput, Reliability, Request, SendError, Sent, Token};

use super::Session;
use crate::device::contact::Contact;
use crate::device::question::Question;
use crate::exchange::{Facts, Open};
use crate::job::Job;
use crate::link::NotAsked;
use crate::shared::Context;
use crate::types::{Operation, Outcome, RequestId};

impl Session {
    /// Sends what can be sent, and what the CoAP state asks for.
    pub(in crate::device) fn pump(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        self.busy_until.take_if(|until| *until <= now);
        if self.contact.link.proof_due(self.questioned) <= now {
            self.ask_for_proof();
            self.questioned = true;
        }
        loop {
            self.expire_requests(cx);
            if self.can_begin()
                && let Some(job) = self.contact.queue.next()
            {
                self.begin(cx, job);
            }
            self.send(cx);
            match self.contact.link.coap.poll(cx.at(), cx.buffer) {
                Some(CoapOutput::Transmit(len)) => self.contact.link.pass(cx, len),
                Some(CoapOutput::TimedOut(Sent::Request(token))) => self.timed_out(cx, token),
                Some(CoapOutput::TimedOut(_)) => {}
                None if self.can_begin() => {}
                None => return,
            }
        }
    }

    fn expire_requests(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        if let Some(open) = self.open.as_deref()
            && open.expires() <= now
        {
            let unanswered = !open.waits_to_send();
            self.complete(cx, Outcome::Expired);
            // Whoever asked did not wait long enough to know whether the device is there.
            if unanswered && self.question == Question::None {
                self.question = Question::Wanted;
            }
        }
        self.contact.expire_requests(cx);
    }

    fn can_begin(&self) -> bool {
        let may = !self.silent && self.busy_until.is_none();
        may && self.open.is_none() && self.contact.queue.is_ready()
    }

    pub(super) fn begin(&mut self, cx: &mut Context<'_>, job: Job) {
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
        if self.silent {
            return;
        }
        match self.question {
            Question::Open(_) => return,
            Question::Wanted => return self.send_question(cx),
            Question::None => {}
        }
        if self.busy_until.is_some() {
            return;
        }
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
            Err(NotAsked::Coap(SendError::Busy)) => {}
            Err(NotAsked::Unproven) => {
                self.question = Question::Wanted;
                self.questioned = true;
                self.send_question(cx);
            }
            Err(NotAsked::Coap(error)) => {
                self.complete(cx, Outcome::Malformed(format!("cannot be sent: {error:?}")));
            }
        }
    }

    /// Asks for something that every device has an answer to; which one does not matter.
    fn send_question(&mut self, cx: &mut Context<'_>) {
        if !self.contact.link.coap.can_request() {
            return;
        }
        let token = self.fresh_token(cx);
        let request = Request {
            code: Code::GET,
            token,
            reliability: Reliability::Confirmable,
            response_timeout_ms: None,
        };
        match self.contact.link.request(cx, request, |_| Ok(())) {
            Ok(()) => self.question = Question::Open(token),
            Err(NotAsked::Coap(_)) => {}
            // Not even that: the next sign of life brings more.
            Err(NotAsked::Unproven) => {
                self.question = Question::None;
                self.unanswered(cx);
                self.set_silent(cx, true);
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
    pub(in crate::device) fn withdraw(&mut self, cx: &mut Context<'_>, id: RequestId) -> bool {
        let open = self.open.as_deref();
        let found = open.is_some_and(|open| open.job.id == Some(id));
        if found {
            self.complete(cx, Outcome::Cancelled("the request was withdrawn".into()));
        }
        found
    }

    /// The registration ends or is replaced: durable requests are sent again under the next one,
    /// in the same order, the others end.
    pub(in crate::device) fn end_requests(&mut self, cx: &mut Context<'_>, why: &str) {
        if !self.postpone() {
            self.complete(cx, Outcome::Cancelled(why.into()));
        }
        let endpoint = self.endpoint().clone();
        self.contact.queue.end_others(cx, &endpoint, why);
    }
}
