//! One device, an enum of its states.
//!
//! ```text
//! Entering --stored--> Here --leave--> Leaving
//!                       ^                 |
//!                       `------stay-------'
//! ```
//! It enters again from any state when it registers again. From any state it is gone when its
//! registration expires, from `Entering` when that can't be stored, from `Leaving` when its removal
//! is: what is durable of its requests waits by its name then.

mod contact;
mod question;
mod session;

use std::sync::Arc;

use tinsmith_coap::{Dropped, Message, Received, RequestHandle, Sent, Token};

use super::entry::Entry;
use super::job::{Job, Keep, Queue};
use super::link::Link;
use super::shared::{Context, Source};
use super::stored::Restored;
use super::types::{Endpoint, Now, Outcome, Presence, RequestId};
use super::{ListenerId, Peer};
pub(super) use contact::Contact;
pub(super) use session::Session;

pub(super) enum Device {
    /// Its Register is being stored and not answered yet.
    Entering(Contact),
    /// It was told that it is registered.
    Here(Session),
    /// Its removal is being stored; nothing is sent any more.
    Leaving(Session),
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
    /// As it was when the process before this one ended.
    pub(super) fn restored(of: Restored) -> Self {
        let contact = Contact::new(of.entry, of.link);
        Device::Here(Session::restored(contact, of.observations, of.expires))
    }

    pub(super) fn contact(&self) -> &Contact {
        match self {
            Device::Entering(contact) => contact,
            Device::Here(session) | Device::Leaving(session) => &session.contact,
        }
    }

    pub(super) fn contact_mut(&mut self) -> &mut Contact {
        match self {
            Device::Entering(contact) => contact,
            Device::Here(session) | Device::Leaving(session) => &mut session.contact,
        }
    }

    fn into_contact(self) -> Contact {
        match self {
            Device::Entering(contact) => contact,
            Device::Here(session) | Device::Leaving(session) => session.contact,
        }
    }

    /// What the device was told to have, if it was told.
    fn session(&self) -> Option<&Session> {
        match self {
            Device::Entering(_) => None,
            Device::Here(session) | Device::Leaving(session) => Some(session),
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match self {
            Device::Entering(_) => None,
            Device::Here(session) | Device::Leaving(session) => Some(session),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        self.contact().endpoint()
    }

    pub(super) fn link(&self) -> &Link {
        &self.contact().link
    }

    pub(super) fn link_mut(&mut self) -> &mut Link {
        &mut self.contact_mut().link
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.contact().entry
    }

    /// The device was told that it is registered, and nothing else since.
    pub(super) fn is_registered(&self) -> bool {
        !matches!(self, Device::Entering(_))
    }

    /// True if a response with this token is this device's.
    pub(super) fn owns(&self, token: Token) -> bool {
        self.session().is_some_and(|session| session.owns(token))
    }

    /// Takes a message of so many bytes that may be for it.
    pub(super) fn handle(
        &mut self,
        cx: &mut Context<'_>,
        message: Message<'_>,
        bytes: usize,
    ) -> Handled {
        let received = self.link_mut().coap.handle_message(cx.at(), message);
        if matches!(received, Received::Nothing(Dropped::Stale)) {
            return Handled::Unknown;
        }
        self.heard(cx, bytes);
        if let Received::Response { .. } = received {
            self.proven();
        }
        let session = self.session_mut();
        match (received, session) {
            (Received::Request { handle, .. }, _) => return Handled::Request(handle),
            (Received::Response { token, message }, Some(session)) => {
                session.answered(cx, token, &message);
            }
            (
                Received::Notification {
                    handle,
                    token,
                    message,
                },
                session,
            ) => {
                let known = session.is_some_and(|session| session.notified(cx, token, &message));
                if known {
                    self.proven();
                }
                self.link_mut().settle(cx, handle, known);
            }
            (Received::Reset(Sent::Request(token)), Some(session)) => session.reset(cx, token),
            (Received::Nothing(Dropped::Duplicate), _) => return Handled::Duplicate,
            _ => {}
        }
        Handled::Done
    }

    /// A message that was there before: what was answered to it may be repeated.
    pub(super) fn repeated(&mut self, cx: &mut Context<'_>, message: Message<'_>) {
        let at = cx.at();
        // What it asks for once more was not kept; it is not answered twice.
        let _ = self.link_mut().coap.handle_repeated(at, message);
    }

    /// A response that says no more than that the request is to be sent once more.
    pub(super) fn again(&mut self, cx: &mut Context<'_>, message: Message<'_>, bytes: usize) {
        let received = self.link_mut().coap.handle_message(cx.at(), message);
        self.heard(cx, bytes);
        if let (Received::Response { token, .. }, Some(session)) = (received, self.session_mut()) {
            session.again(token);
        }
    }

    /// What is observed with this token can't be notified any more: it is observed anew.
    pub(super) fn observe_anew(&mut self, cx: &mut Context<'_>, token: Token) {
        if let Some(session) = self.session_mut() {
            session.observe_anew(cx, token);
        }
    }

    /// An authentic response came from there: that is where it is now, in the same conversation.
    pub(super) fn follow(&mut self, listener: ListenerId, peer: Peer) {
        let link = self.link_mut();
        (link.listener, link.peer) = (listener, peer);
        let registration = &mut self.contact_mut().entry.registration;
        Arc::make_mut(registration).address = peer.to_string();
        if let Some(session) = self.session_mut() {
            session.touch();
        }
    }

    /// It answered something that only it can know; that is stored, so that a restarted server knows
    /// it too.
    fn proven(&mut self) {
        let is_new = !self.link().proof.is_proven();
        self.link_mut().proof.answered();
        if is_new && let Some(session) = self.session_mut() {
            session.touch();
        }
    }

    /// A sign of life of so many bytes.
    pub(super) fn heard(&mut self, cx: &mut Context<'_>, bytes: usize) {
        self.link_mut().proof.heard(bytes);
        if let Some(session) = self.session_mut() {
            session.heard(cx);
        }
    }

    /// Whether it is there, if it is registered.
    pub(super) fn presence(&self, now: Now) -> Option<Presence> {
        self.session().map(|session| session.presence(now))
    }

    /// True if it has lived too long for one whose address is not proven.
    pub(super) fn is_over(&self, now: u64) -> bool {
        let link = self.link();
        self.entry().expires <= now || (!link.proof.is_proven() && link.until <= now)
    }

    /// Its address is not proven, and nobody asks it anything: it is asked whether it is there. False
    /// if that was done before.
    pub(super) fn ask_for_proof(&mut self) -> bool {
        match self {
            Device::Here(session) => session.ask_for_proof(),
            _ => false,
        }
    }

    /// The transport lost the way.
    pub(super) fn unanswered(&mut self, cx: &mut Context<'_>) {
        if let Some(session) = self.session_mut() {
            session.unanswered(cx);
        }
    }

    /// Sends what can be sent, and what the CoAP state asks for.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) {
        match self {
            Device::Here(session) => session.pump(cx),
            Device::Entering(contact) => contact.pump(cx),
            Device::Leaving(session) => session.contact.pump(cx),
        }
    }

    pub(super) fn enqueue(&mut self, cx: &mut Context<'_>, job: Job) {
        self.contact_mut().enqueue(cx, job);
    }

    /// Durable requests that are not over.
    pub(super) fn kept(&self) -> usize {
        let session = self.session().map(Session::kept);
        session.unwrap_or_else(|| self.contact().queue.kept())
    }

    /// The record of a durable request is there, or could not be written.
    pub(super) fn request_stored(&mut self, cx: &mut Context<'_>, id: RequestId, durable: bool) {
        let queue = &mut self.contact_mut().queue;
        if durable {
            if let Some(job) = queue.get_mut(id) {
                job.keep = Keep::Stored;
            }
        } else if let Some(job) = queue.remove(id) {
            job.not_stored(cx, self.endpoint().clone());
        }
    }

    /// Takes a request back.
    pub(super) fn withdraw(&mut self, cx: &mut Context<'_>, id: RequestId) {
        let session = self.session_mut();
        if session.is_some_and(|session| session.withdraw(cx, id)) {
            return;
        }
        if let Some(job) = self.contact_mut().queue.remove(id) {
            let outcome = Outcome::Cancelled("the request was withdrawn".into());
            job.finish(cx, self.endpoint().clone(), outcome);
        }
    }

    /// The device sends from elsewhere now; what was open is sent again there.
    pub(super) fn rebind(&mut self, cx: &mut Context<'_>, listener: ListenerId, peer: Peer) {
        self.link_mut().rebind(cx, listener, peer);
        if let Some(session) = self.session_mut() {
            session.moved();
        }
    }

    /// Monotonic, ms.
    pub(super) fn next_deadline(&self) -> u64 {
        match self {
            Device::Here(session) => session.next_deadline(),
            _ => self.contact().next_deadline(),
        }
    }

    fn end_requests(&mut self, cx: &mut Context<'_>, why: &str) {
        if let Some(session) = self.session_mut() {
            return session.end_requests(cx, why);
        }
        let contact = self.contact_mut();
        let endpoint = contact.endpoint().clone();
        contact.queue.end_others(cx, &endpoint, why);
    }
}

/// Transitions.
impl Device {
    /// It registered again: what was observed is forgotten, what is durable waits.
    pub(super) fn enter(mut self, cx: &mut Context<'_>, entry: Entry, from: Source<'_>) -> Self {
        self.end_requests(cx, "the device registered again");
        let mut contact = self.into_contact();
        contact.link.identity = from.identity.clone();
        if contact.link.route() != (from.listener, from.peer) {
            contact.link.rebind(cx, from.listener, from.peer);
        }
        contact.entry = entry;
        Device::Entering(contact)
    }

    /// Its registration is durable.
    pub(super) fn stored(self) -> Self {
        match self {
            Device::Entering(contact) => Device::Here(Session::new(contact)),
            told => told,
        }
    }

    /// It deregistered.
    pub(super) fn leave(mut self, cx: &mut Context<'_>) -> Self {
        self.end_requests(cx, "the device deregistered");
        match self {
            Device::Here(session) => Device::Leaving(session),
            other => other,
        }
    }

    /// Its removal could not be stored.
    pub(super) fn stay(self) -> Self {
        match self {
            Device::Leaving(session) => Device::Here(session),
            other => other,
        }
    }

    /// It is not registered any more; what is left are its durable requests.
    pub(super) fn part(mut self, cx: &mut Context<'_>, why: &str) -> Queue {
        self.end_requests(cx, why);
        self.into_contact().queue
    }
}
