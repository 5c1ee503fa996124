//! The bootstrap server, client-initiated (LwM2M TS 1.1 §6.1): one table of steps.
//!
//! ```text
//! POST /bs?ep=.. -> 2.04  GET /0       DELETE /    PUT /0/n     PUT /1/m     POST /bs
//!                         Discover --> Delete ---> Security --> Server -+--> Finish --> done
//!                                                                       |      ^
//!                         GET /27300       PUT /27300/0                 |      |
//!                         Platform ------> TrustAnchors ----------------|------+
//!                              ^----------------------------------------+
//! ```
//! A device that gets keys for OSCORE is asked `GET /21` before the Delete, and gets them by `PUT /21/k`
//! before the Write of Security, which links to them. The lower way is gone if there are trust anchors,
//! up to the device that has no Compute Platform. Errors of Discover, 4.04 to Delete, and 4.xx to the
//! trust anchors don't matter; any other ends it: the device starts again when it wants.

mod account;
mod keying;
mod session;
mod step;

use std::collections::BTreeSet;
use std::sync::Arc;

use tinsmith_coap::{Code, Message, MessageType, Received, Sent, stateless};

use super::access::{self, Access};
use super::hash::HashMap;
use super::link::Link;
use super::proof::is_too_much;
use super::quota::{Bounds, Quota};
use super::rule::BootstrapConfig;
use super::shared::{Context, Source, Waiting};
use super::{Identity, Limits, ListenerId, Peer, PersistId, Role};
use account::Account;
use session::Session;

type SessionKey = (ListenerId, Peer);

/// All devices that are bootstrapping, by peer.
pub(super) struct Bootstrap {
    config: BootstrapConfig,
    pub(super) access: Option<Arc<dyn Access>>,
    sessions: HashMap<SessionKey, Session>,
    timers: BTreeSet<(u64, SessionKey)>,
    /// Those that have not answered.
    strangers: Quota<SessionKey>,
    /// Those that have.
    known: Quota<SessionKey>,
}

impl Bootstrap {
    pub(super) fn new(config: BootstrapConfig, limits: &Limits) -> Self {
        let quota = |each: usize| {
            Quota::new(Bounds {
                all: limits.bootstraps.max(1),
                each: each.max(1),
                exempt_loopback: false,
            })
        };
        Bootstrap {
            config,
            access: None,
            sessions: HashMap::default(),
            timers: BTreeSet::new(),
            strangers: quota(limits.bootstraps_per_source),
            known: quota(limits.bootstraps),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        while let Some((at, key)) = self.timers.first().copied() {
            if at > cx.now.mono {
                return;
            }
            self.timers.pop_first();
            if let Some(mut session) = self.sessions.remove(&key) {
                session.timer = None;
                self.keep(cx, key, session);
            }
        }
    }

    pub(super) fn gone(&mut self, cx: &mut Context<'_>, key: SessionKey) {
        self.drop_session(cx, key, "the connection was lost");
    }

    fn drop_session(&mut self, cx: &mut Context<'_>, key: SessionKey, why: &str) {
        if let Some(mut session) = self.take(key) {
            session.end(cx, Some(why.into()));
        }
    }

    fn take(&mut self, key: SessionKey) -> Option<Session> {
        self.strangers.leave(&key);
        self.known.leave(&key);
        let mut session = self.sessions.remove(&key)?;
        if let Some(at) = session.timer.take() {
            self.timers.remove(&(at, key));
        }
        Some(session)
    }

    /// What a device has proved that is bootstrapping there.
    pub(super) fn identity(&self, key: SessionKey) -> Option<&Identity> {
        Some(&self.sessions.get(&key)?.link.identity)
    }

    /// A message that was there before: the answer to it may be repeated.
    pub(super) fn repeated(
        &mut self,
        cx: &mut Context<'_>,
        key: SessionKey,
        identity: &Identity,
        message: Message<'_>,
    ) {
        if self.identity(key) == Some(identity)
            && let Some(mut session) = self.take(key)
        {
            let _ = session.link.coap.handle_repeated(cx.at(), message);
            self.settle(cx, key, session);
        }
    }

    /// A request of ours is to be sent once more.
    pub(super) fn again(
        &mut self,
        cx: &mut Context<'_>,
        key: SessionKey,
        from: Source<'_>,
        message: Message<'_>,
    ) {
        if self.identity(key) == Some(from.identity)
            && let Some(mut session) = self.take(key)
        {
            if let Received::Response { token, .. } = session.take(cx, message, from.bytes) {
                session.again(token);
            }
            self.settle(cx, key, session);
        }
    }

    pub(super) fn inbound(&mut self, cx: &mut Context<'_>, from: Source<'_>, message: Message<'_>) {
        let key = (from.listener, from.peer);
        let is_another = self.identity(key).is_some_and(|own| own != from.identity);
        if is_another {
            return self.other(cx, from, message);
        }
        if let Some(mut session) = self.take(key) {
            match session.take(cx, message, from.bytes) {
                Received::Request { .. } => {
                    // It starts anew; the old attempt is void.
                    session.end(cx, Some("the device started again".into()));
                    return self.request(cx, from, message);
                }
                Received::Response { token, message } => session.answered(cx, token, &message),
                Received::Notification { handle, .. } => session.link.settle(cx, handle, false),
                Received::Reset(Sent::Request(_)) => session.failed(cx, "was answered by Reset"),
                _ => {}
            }
            self.settle(cx, key, session);
        } else if message.code().is_request() {
            self.request(cx, from, message);
        } else if message.message_type() == MessageType::Confirmable {
            let reset = stateless::reset(&message);
            cx.buffer[..reset.len()].copy_from_slice(&reset);
            cx.transmit(key, from.identity, reset.len());
        }
    }

    /// A message from where a device is bootstrapping that has proved to be another than who sent it,
    /// or nothing. It may begin anew, not answer.
    fn other(&mut self, cx: &mut Context<'_>, from: Source<'_>, message: Message<'_>) {
        if !message.code().is_request() {
            return;
        }
        let key = (from.listener, from.peer);
        let may = self.access.as_deref().is_none_or(|access| {
            let name = access::name(Some(access), from.identity, Role::Bootstrap, &message);
            name.is_some_and(|name| access.may_bootstrap(from.identity, &name))
        });
        if may {
            self.drop_session(cx, key, "another device started there");
        }
        self.request(cx, from, message);
    }

    /// A request of a peer without session.
    fn request(&mut self, cx: &mut Context<'_>, from: Source<'_>, message: Message<'_>) {
        let key = (from.listener, from.peer);
        match self.accept(cx, from, &message) {
            Ok(mut session) => {
                let received = session.take(cx, message, from.bytes);
                if let Received::Request { handle, .. } = received {
                    session.link.respond(cx, handle, Code::CHANGED, |_| Ok(()));
                    self.settle(cx, key, session);
                }
            }
            Err((code, text)) => {
                let id = cx.random.next_u32() as u16;
                let made = stateless::reply(&message, id, code, cx.buffer, |b| {
                    if is_too_much(b.len() + 1 + text.len(), from.bytes) {
                        return Ok(());
                    }
                    b.payload(text.as_bytes()).map(|_| ())
                });
                if let Ok(len) = made {
                    cx.transmit(key, from.identity, len);
                }
            }
        }
    }

    fn accept(
        &self,
        cx: &mut Context<'_>,
        from: Source<'_>,
        message: &Message<'_>,
    ) -> Result<Session, (Code, String)> {
        let access = self.access.as_deref();
        let mut account = Account::of(cx, &self.config, access, from, message)?;
        let ops = account.issue(access, cx.now.wall, cx.random.bytes())?;
        let mut session = Session::new(account, Link::new(cx, from));
        if !ops.is_empty() {
            session.storing = Some(cx.persist(ops, Waiting::Issued(from.listener, from.peer)));
        }
        Ok(session)
    }

    /// The key that a commit is about is durable, or could not be stored.
    pub(super) fn stored(
        &mut self,
        cx: &mut Context<'_>,
        key: SessionKey,
        id: PersistId,
        durable: bool,
    ) {
        let waits = |session: &Session| session.storing == Some(id);
        if !self.sessions.get(&key).is_some_and(waits) {
            // It has begun anew.
            return;
        }
        let Some(mut session) = self.take(key) else {
            return;
        };
        session.storing = None;
        if !durable {
            session.failed(cx, "has no key: it could not be stored");
        }
        self.settle(cx, key, session);
    }

    /// After something of the device: whoever goes on comes behind those that do not.
    fn settle(&mut self, cx: &mut Context<'_>, key: SessionKey, session: Session) {
        let quota = match session.link.proof.is_proven() {
            true => &mut self.known,
            false => &mut self.strangers,
        };
        let idle = quota.enter(&key, key.1.address);
        self.keep(cx, key, session);
        if let Some(idle) = idle {
            self.drop_session(cx, idle, "it made room for others");
        }
    }

    /// Sends what can be sent; a session that is over goes.
    fn keep(&mut self, cx: &mut Context<'_>, key: SessionKey, mut session: Session) {
        session.pump(cx);
        if let Some(at) = session.next_deadline(cx.now.mono) {
            session.timer = Some(at);
            self.timers.insert((at, key));
            self.sessions.insert(key, session);
        } else {
            self.strangers.leave(&key);
            self.known.leave(&key);
        }
    }
}
