//! One registered device: its CoAP state, its requests in order and its observations.

use std::collections::VecDeque;
use std::sync::Arc;

use tinsmith_coap::{
    Message, MessageId, Output as CoapOutput, Received, RequestHandle, Sent, Token,
};

use super::exchange::{Job, Keep, Open, Step};
use super::models::Models;
use super::observation::Observation;
use super::shared::{Context, PeerCoap, Waiting};
use super::types::{Endpoint, Event, Outcome, Registration, RequestId};
use super::{Identity, ListenerId, Peer, request_key};
use lwm2m_objects::Path;
use tinsmith_store::Op;

/// Where a registration is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its Register is being stored and not answered yet.
    Entering,
    /// Its Register is durable and answered.
    Here,
    /// Its removal is being stored; nothing is sent any more.
    Leaving,
}

impl Stage {
    /// The device was told that it is registered, and nothing else since.
    pub(super) fn is_registered(self) -> bool {
        self != Stage::Entering
    }
}

pub(super) struct Device {
    pub(super) registration: Arc<Registration>,
    /// Its object definitions.
    pub(super) models: Models,
    /// Prefix of all paths on the device (alternate path).
    pub(super) root: Vec<String>,
    pub(super) identity: Identity,
    pub(super) listener: ListenerId,
    pub(super) peer: Peer,
    pub(super) bucket: u8,
    /// The random part of the location.
    pub(super) location: u64,
    /// Counts Registers of this process; tells an answer to an old one.
    pub(super) serial: u64,
    /// Message id and token of the last Register.
    pub(super) register_id: Option<(MessageId, Token)>,
    /// When the registration expires, on the monotonic clock.
    pub(super) expires: u64,
    /// The expiry as stored, wall time.
    pub(super) stored_expires: u64,
    pub(super) stage: Stage,
    pub(super) coap: PeerCoap,
    pub(super) queue: VecDeque<Job>,
    pub(super) open: Option<Open>,
    /// A durable request was not answered: nothing is sent until the device is heard again.
    pub(super) silent: bool,
    pub(super) observations: Vec<Observation>,
    /// Content formats that the device refused in writes.
    pub(super) refused: Vec<u16>,
    /// Something that is stored with the registration has changed.
    pub(super) dirty: bool,
    /// What is in the shard's table of timers.
    pub(super) timer: Option<u64>,
}

/// What a datagram was, besides what the device does with it by itself.
pub(super) enum Handled {
    /// A request, to be answered through the handle.
    Request(RequestHandle),
    /// A repeated request.
    Duplicate,
    /// Not for this device.
    Unknown,
    Done,
}

impl Device {
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.registration.endpoint
    }

    pub(super) fn handle(&mut self, cx: &mut Context<'_>, message: Message<'_>) -> Handled {
        self.silent = false;
        match self.coap.handle_message(cx.at(), message) {
            Received::Request { handle, .. } => Handled::Request(handle),
            Received::Response { token, message } => {
                self.on_response(cx, token, &message);
                Handled::Done
            }
            Received::Notification {
                handle,
                token,
                message,
            } => {
                let known = self.notified(cx, token, &message);
                let len = if known {
                    self.coap.accept(cx.at(), handle, cx.buffer)
                } else {
                    self.coap.reject(cx.at(), handle, cx.buffer)
                };
                if let Some(len) = len {
                    cx.transmit(self.route(), &self.identity, len);
                }
                Handled::Done
            }
            Received::Reset(Sent::Request(token)) => {
                if self.open.as_ref().is_some_and(|o| o.token == token) {
                    self.complete(cx, Outcome::Reset);
                }
                Handled::Done
            }
            Received::Nothing(tinsmith_coap::Dropped::Duplicate) => Handled::Duplicate,
            Received::Nothing(tinsmith_coap::Dropped::Stale) => Handled::Unknown,
            _ => Handled::Done,
        }
    }

    /// Where it is reached.
    pub(super) fn route(&self) -> (ListenerId, Peer) {
        (self.listener, self.peer)
    }

    /// True if a response with this token is this device's.
    pub(super) fn owns(&self, token: Token) -> bool {
        self.open
            .as_ref()
            .is_some_and(|o| o.token == token || o.observing() == Some(token))
            || self.observations.iter().any(|o| o.token == token)
    }

    fn on_response(&mut self, cx: &mut Context<'_>, token: Token, message: &Message<'_>) {
        let Some(mut open) = self.open.take_if(|open| open.token == token) else {
            return;
        };
        match open.on_response(self, cx, message) {
            Step::Again => self.open = Some(open),
            Step::End(outcome) => {
                self.open = Some(open);
                self.complete(cx, outcome);
            }
        }
    }

    /// The open request gets no answer now. A durable one waits for a sign of life.
    pub(super) fn unanswered(&mut self, cx: &mut Context<'_>) {
        if let Some(open) = self.open.take_if(|open| open.job.keep == Keep::Stored) {
            self.coap.cancel(open.token);
            self.queue.push_front(open.job);
            self.silent = true;
        } else {
            let sent = self.open.as_ref().map_or(0, Open::sent);
            self.complete(cx, Outcome::TimedOut { sent });
        }
    }

    /// Ends the open request.
    pub(super) fn complete(&mut self, cx: &mut Context<'_>, outcome: Outcome) {
        let Some(open) = self.open.take() else { return };
        self.coap.cancel(open.token);
        if let Some(observation) = open.observation(cx.at(), &outcome) {
            self.add_observation(cx, observation);
        }
        finish(cx, self.endpoint().clone(), &open.job, outcome);
    }

    /// Sends what can be sent, and what the CoAP state asks for.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) {
        loop {
            self.expire_requests(cx);
            if self.open.is_none() && self.can_begin() {
                self.open = self.queue.pop_front().map(Open::new);
            }
            self.send(cx);
            match self.coap.poll(cx.at(), cx.buffer) {
                Some(CoapOutput::Transmit(len)) => cx.transmit(self.route(), &self.identity, len),
                Some(CoapOutput::TimedOut(Sent::Request(token))) => {
                    if self.open.as_ref().is_some_and(|open| open.token == token) {
                        self.unanswered(cx);
                    }
                }
                Some(CoapOutput::TimedOut(_)) => {}
                None if self.open.is_none() && self.can_begin() => {}
                None => return,
            }
        }
    }

    /// The next request can be taken. One that is being stored holds up those behind it: devices
    /// are asked in order.
    fn can_begin(&self) -> bool {
        self.stage == Stage::Here
            && !self.silent
            && self
                .queue
                .front()
                .is_some_and(|job| job.keep != Keep::Storing)
    }

    /// Durable requests that are not over.
    pub(super) fn kept(&self) -> usize {
        let open = self.open.as_ref().map(|open| &open.job);
        let all = self.queue.iter().chain(open);
        all.filter(|job| job.keep != Keep::No).count()
    }

    /// The record of a durable request is there, or could not be written.
    pub(super) fn request_stored(&mut self, cx: &mut Context<'_>, id: RequestId, durable: bool) {
        let Some(at) = self.queue.iter().position(|job| job.id == Some(id)) else {
            return;
        };
        if durable {
            self.queue[at].keep = Keep::Stored;
        } else if let Some(mut job) = self.queue.remove(at) {
            job.keep = Keep::No;
            let outcome = Outcome::Cancelled("the request could not be stored".into());
            finish(cx, self.endpoint().clone(), &job, outcome);
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let ended = if open.waits_to_send() {
            open.send(self, cx)
        } else {
            None
        };
        self.open = Some(open);
        if let Some(outcome) = ended {
            self.complete(cx, outcome);
        }
    }

    fn expire_requests(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        if self.open.as_ref().is_some_and(|open| open.expires() <= now) {
            self.complete(cx, Outcome::Expired);
        }
        while let Some(at) = self.queue.iter().position(|job| job.deadline <= now) {
            if let Some(job) = self.queue.remove(at) {
                finish(cx, self.endpoint().clone(), &job, Outcome::Expired);
            }
        }
    }

    pub(super) fn enqueue(&mut self, cx: &mut Context<'_>, job: Job) {
        if self.queue.len() >= cx.limits.queue {
            let outcome = Outcome::Cancelled("too many requests wait for the device".into());
            finish(cx, self.endpoint().clone(), &job, outcome);
            return;
        }
        self.queue.push_back(job);
    }

    /// Takes a request back.
    pub(super) fn withdraw(&mut self, cx: &mut Context<'_>, id: RequestId) {
        let outcome = Outcome::Cancelled("the request was withdrawn".into());
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.job.id == Some(id))
        {
            self.complete(cx, outcome);
        } else if let Some(at) = self.queue.iter().position(|job| job.id == Some(id))
            && let Some(job) = self.queue.remove(at)
        {
            finish(cx, self.endpoint().clone(), &job, outcome);
        }
    }

    /// The registration ends or is replaced: durable requests are sent again under the next one,
    /// in the same order, the others end.
    pub(super) fn end_requests(&mut self, cx: &mut Context<'_>, why: &str) {
        let queue = std::mem::take(&mut self.queue);
        if let Some(open) = self.open.take_if(|open| open.job.keep == Keep::Stored) {
            self.coap.cancel(open.token);
            self.queue.push_back(open.job);
        } else {
            self.complete(cx, Outcome::Cancelled(why.into()));
        }
        for job in queue {
            if job.keep == Keep::No {
                let outcome = Outcome::Cancelled(why.into());
                finish(cx, self.endpoint().clone(), &job, outcome);
            } else {
                self.queue.push_back(job);
            }
        }
    }

    /// The device sends from elsewhere now; what was open is sent again there.
    pub(super) fn rebind(&mut self, cx: &mut Context<'_>, listener: ListenerId, peer: Peer) {
        self.listener = listener;
        self.peer = peer;
        self.coap = cx.coap();
        if let Some(open) = &mut self.open {
            open.resend();
        }
    }

    pub(super) fn token(&self, cx: &mut Context<'_>) -> Token {
        loop {
            let token = Token::with_prefix(self.bucket, cx.random.next_u64());
            if !self.owns(token) {
                return token;
            }
        }
    }

    /// The segments of a path on the device.
    pub(super) fn segments(&self, path: &Path) -> Vec<String> {
        let mut segments = self.root.clone();
        segments.extend(path.ids().iter().map(u16::to_string));
        segments
    }

    pub(super) fn next_deadline(&self) -> u64 {
        let mut at = self.expires;
        if let Some(coap) = self.coap.next_deadline() {
            at = at.min(coap.as_millis());
        }
        if let Some(open) = &self.open {
            at = at.min(open.expires());
        }
        for job in &self.queue {
            at = at.min(job.deadline);
        }
        at
    }
}

pub(super) fn finish(cx: &mut Context<'_>, endpoint: Endpoint, job: &Job, outcome: Outcome) {
    match job.id {
        Some(id) => {
            cx.requests.remove(&id);
            let key = (job.keep != Keep::No).then(|| request_key(&endpoint, id));
            let event = Event::Completed {
                endpoint,
                id,
                outcome,
            };
            match key {
                Some(key) => {
                    let waiting = Waiting::Completed(event);
                    cx.persists.persist(cx.out, vec![Op::Delete(key)], waiting);
                }
                None => cx.event(event),
            }
        }
        // The rest of a notification that was too long for one datagram.
        None => {
            if let Outcome::Content(values) = outcome {
                let target = job.operation.target();
                cx.event(Event::Notified {
                    endpoint,
                    target,
                    values,
                });
            }
        }
    }
}
