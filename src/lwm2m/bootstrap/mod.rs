//! The bootstrap server, client-initiated (LwM2M TS 1.1 §6.1): one table of steps.
//!
//! ```text
//! POST /bs?ep=.. -> 2.04     DELETE /     PUT /0/n     PUT /1/m     POST /bs
//!        Delete ------------> Security --> Server -----> Finish ---> done
//! ```
//! Any error ends it; the device starts again when it wants.

mod account;
mod session;
mod step;

use std::collections::{BTreeSet, HashMap};

use tinsmith_coap::{Code, Message, MessageType, Received, Sent, stateless};

use super::link::Link;
use super::rule::BootstrapConfig;
use super::shared::{Context, Source};
use super::{ListenerId, Peer};
use account::Account;
use session::Session;

type SessionKey = (ListenerId, Peer);

/// All devices that are bootstrapping, by peer.
pub(super) struct Bootstrap {
    config: BootstrapConfig,
    sessions: HashMap<SessionKey, Session>,
    timers: BTreeSet<(u64, SessionKey)>,
}

impl Bootstrap {
    pub(super) fn new(config: BootstrapConfig) -> Self {
        Bootstrap {
            config,
            sessions: HashMap::new(),
            timers: BTreeSet::new(),
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
                self.settle(cx, key, session);
            }
        }
    }

    pub(super) fn gone(&mut self, cx: &mut Context<'_>, key: SessionKey) {
        if let Some(mut session) = self.sessions.remove(&key) {
            if let Some(at) = session.timer.take() {
                self.timers.remove(&(at, key));
            }
            session.end(cx, Some("the connection was lost".into()));
        }
    }

    pub(super) fn inbound(&mut self, cx: &mut Context<'_>, from: Source<'_>, message: Message<'_>) {
        let key = (from.listener, from.peer);
        if let Some(mut session) = self.sessions.remove(&key) {
            if let Some(at) = session.timer.take() {
                self.timers.remove(&(at, key));
            }
            match session.link.coap.handle_message(cx.at(), message) {
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

    /// A request of a peer without session.
    fn request(&mut self, cx: &mut Context<'_>, from: Source<'_>, message: Message<'_>) {
        let key = (from.listener, from.peer);
        match self.accept(cx, from, &message) {
            Ok(mut session) => {
                let received = session.link.coap.handle_message(cx.at(), message);
                if let Received::Request { handle, .. } = received {
                    session.link.respond(cx, handle, Code::CHANGED, |_| Ok(()));
                    self.settle(cx, key, session);
                }
            }
            Err((code, text)) => {
                let id = cx.random.next_u32() as u16;
                let made = stateless::reply(&message, id, code, cx.buffer, |b| {
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
        let account = Account::of(&self.config, from.management, message)?;
        if self.sessions.len() >= cx.limits.bootstraps {
            let why = "too many devices bootstrap";
            return Err((Code::SERVICE_UNAVAILABLE, why.into()));
        }
        Ok(Session::new(account, Link::new(cx, from)))
    }

    fn settle(&mut self, cx: &mut Context<'_>, key: SessionKey, mut session: Session) {
        session.pump(cx);
        if let Some(at) = session.next_deadline(cx.now.mono) {
            session.timer = Some(at);
            self.timers.insert((at, key));
            self.sessions.insert(key, session);
        }
    }
}
