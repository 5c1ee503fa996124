//! A device that is registered: what is asked of it, and what it is observed for.

mod observed;
mod sending;

use tinsmith_coap::{Code, Message, Token};

use super::contact::Contact;
use super::question::Question;
use crate::exchange::{Facts, Open, Refused, Step, diagnostic};
use crate::job::{Job, Keep};
use crate::observation::Observations;
use crate::shared::Context;
use crate::stored;
use crate::types::{Endpoint, Event, Now, Outcome, Presence};
use tinsmith_store::Op;

/// The longest that a device may ask to be left alone, in seconds.
const LONGEST_WAIT: u32 = 86_400;

/// A device in queue mode listens for so long after its last sign of life (ms): MAX_TRANSMIT_WAIT
/// (RFC 7252 §4.8.2; LwM2M TS 1.1 §6.5).
const AWAKE: u64 = 93_000;

pub(crate) struct Session {
    pub(crate) contact: Contact,
    /// Boxed, as it is large and mostly not there.
    open: Option<Box<Open>>,
    /// A request was not answered: nothing is sent until the device is heard again.
    silent: bool,
    /// Wall time (ms) of the last sign of life.
    seen: u64,
    /// Whether it is there.
    question: Question,
    /// It was asked that since it is at its present address.
    questioned: bool,
    /// The device can't answer until then (monotonic, ms).
    busy_until: Option<u64>,
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
        let seen = contact.entry.registration.seen;
        Session {
            contact,
            open: None,
            seen,
            silent: false,
            question: Question::None,
            questioned: false,
            busy_until: None,
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
            || self.question.is(token)
    }

    /// Durable requests that are not over.
    pub(super) fn kept(&self) -> usize {
        let open = self.open.as_deref();
        let open = open.is_some_and(|open| open.job.keep != Keep::No);
        self.contact.queue.kept() + usize::from(open)
    }

    /// The device was heard.
    pub(super) fn heard(&mut self, cx: &mut Context<'_>) {
        self.seen = cx.now.wall;
        self.set_silent(cx, false);
    }

    fn set_silent(&mut self, cx: &mut Context<'_>, silent: bool) {
        if std::mem::replace(&mut self.silent, silent) != silent {
            let endpoint = self.endpoint().clone();
            let reachable = !silent;
            cx.event(Event::Reachable {
                endpoint,
                reachable,
            });
        }
    }

    /// Whether it is there, as far as is known.
    pub(super) fn presence(&self, now: Now) -> Presence {
        let announced = &self.contact.entry.registration.announced;
        // Among the letters of `b` in 1.0, a parameter of its own later (LwM2M TS 1.1 §6.2.1.2).
        let has_q = announced.parameters.iter().any(|(name, _)| name == "Q");
        let sleeps = has_q || announced.binding.contains('Q');
        let awake = now.wall.saturating_sub(self.seen) < AWAKE;
        Presence {
            seen: self.seen,
            reachable: !self.silent && (!sleeps || awake),
        }
    }

    /// False if that was done before, or something else is asked.
    pub(super) fn ask_for_proof(&mut self) -> bool {
        let asked = self.open.is_some() || !self.contact.queue.is_empty();
        if self.questioned || asked || self.contact.link.proof.is_proven() {
            return false;
        }
        self.question = Question::Wanted;
        self.questioned = true;
        true
    }

    pub(super) fn answered(&mut self, cx: &mut Context<'_>, token: Token, message: &Message<'_>) {
        if self.question.is(token) {
            self.question = Question::None;
            return;
        }
        let Some(open) = self
            .open
            .as_deref_mut()
            .filter(|open| open.token() == token)
        else {
            return;
        };
        // RFC 7252 §5.9.3.4; one that does not say when is an error as others are.
        if message.code() == Code::SERVICE_UNAVAILABLE
            && let Some(after) = message.max_age()
        {
            let after = after.clamp(1, LONGEST_WAIT);
            let until = cx.now.mono.saturating_add(u64::from(after) * 1000);
            if open.job.deadline > until && open.wait() {
                self.busy_until = Some(until);
            } else {
                let outcome = unavailable(after, message);
                self.complete(cx, outcome);
            }
            return;
        }
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

    /// What was asked with this token is asked once more.
    pub(super) fn again(&mut self, token: Token) {
        if self.question.is(token) {
            self.question = Question::Wanted;
        } else if let Some(open) = self.open.as_deref_mut()
            && open.token() == token
        {
            open.resend();
        }
    }

    pub(super) fn reset(&mut self, cx: &mut Context<'_>, token: Token) {
        if self.question.is(token) {
            self.question = Question::None;
            self.complete(cx, Outcome::Reset);
        } else if self.is_open(token) {
            self.complete(cx, Outcome::Reset);
        }
    }

    fn is_open(&self, token: Token) -> bool {
        self.open
            .as_deref()
            .is_some_and(|open| open.token() == token)
    }

    /// A request was repeated as often as it may be, without an answer.
    fn timed_out(&mut self, cx: &mut Context<'_>, token: Token) {
        if self.question.is(token) {
            self.question = Question::None;
        } else if !self.is_open(token) {
            return;
        }
        self.unanswered(cx);
        self.set_silent(cx, true);
        self.contact.link.proof.lost();
    }

    /// The open request gets no answer now. A durable one waits for a sign of life.
    pub(super) fn unanswered(&mut self, cx: &mut Context<'_>) {
        if self.postpone() {
            self.set_silent(cx, true);
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

    /// The device sends from elsewhere now: what was open is sent again there.
    pub(super) fn moved(&mut self) {
        self.question = Question::None;
        self.questioned = false;
        if let Some(open) = &mut self.open {
            open.resend();
        }
    }

    /// Monotonic, ms.
    pub(super) fn next_deadline(&self) -> u64 {
        let open = self.open.as_deref().map_or(u64::MAX, Open::expires);
        let proof = self.contact.link.proof_due(self.questioned);
        let busy = self.busy_until.unwrap_or(u64::MAX);
        let others = open.min(proof).min(busy);
        self.contact.next_deadline().min(others)
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

fn unavailable(after: u32, message: &Message<'_>) -> Outcome {
    let diagnostic = diagnostic(message);
    Outcome::Unavailable { after, diagnostic }
}
