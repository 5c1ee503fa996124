//! The bootstrap server, client-initiated (LwM2M TS 1.1 §6.1): one table of steps.
//!
//! ```text
//! POST /bs?ep=.. -> 2.04     DELETE /     PUT /0/n     PUT /1/m     POST /bs
//!        Delete ------------> Security --> Server -----> Finish ---> done
//! ```
//! Any error ends it; the device starts again when it wants.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use lwm2m_objects::{ContentFormat, OwnedValue, Path, format};
use tinsmith_coap::{
    BuildError, Builder, Code, Message, OptionNumber, Output as CoapOutput, Received, Reliability,
    Request, Sent, Token, stateless,
};

use super::registration::{Parameters, RegisterError};
use super::rule::{BootstrapConfig, Rule};
use super::shared::{CRITICAL, Context, PeerCoap, Source};
use super::types::{Endpoint, Event};
use super::{Identity, ListenerId, Peer};

/// What the server does next to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BootstrapStep {
    Delete,
    Security,
    Server,
    Finish,
}

/// The transitions on success.
pub(super) const STEPS: [(BootstrapStep, Option<BootstrapStep>); 4] = [
    (BootstrapStep::Delete, Some(BootstrapStep::Security)),
    (BootstrapStep::Security, Some(BootstrapStep::Server)),
    (BootstrapStep::Server, Some(BootstrapStep::Finish)),
    (BootstrapStep::Finish, None),
];

impl BootstrapStep {
    pub(super) fn next(self) -> Option<BootstrapStep> {
        STEPS
            .iter()
            .find(|(step, _)| *step == self)
            .and_then(|(_, next)| *next)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            BootstrapStep::Delete => "Delete",
            BootstrapStep::Security => "Write of Security",
            BootstrapStep::Server => "Write of Server",
            BootstrapStep::Finish => "Finish",
        }
    }
}

enum State {
    Sending {
        step: BootstrapStep,
    },
    Waiting {
        step: BootstrapStep,
        token: Token,
    },
    /// Kept so that repeated messages get the same answers.
    Ended {
        until: u64,
    },
}

struct Session {
    endpoint: Endpoint,
    identity: Identity,
    rule: Rule,
    format: ContentFormat,
    other_format: Option<ContentFormat>,
    coap: PeerCoap,
    state: State,
    timer: Option<u64>,
}

type SessionKey = (ListenerId, Peer);

/// All devices that are bootstrapping, by peer.
pub(super) struct Bootstrap {
    config: BootstrapConfig,
    sessions: HashMap<SessionKey, Session>,
    timers: BTreeSet<(u64, SessionKey)>,
}

/// How long an ended session answers repeated messages, in milliseconds.
const LINGER: u64 = 60_000;

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
        let Source {
            listener,
            peer,
            identity,
            ..
        } = from;
        let key = (listener, peer);
        let is_request = message.code().is_request();
        if let Some(mut session) = self.sessions.remove(&key) {
            if let Some(at) = session.timer.take() {
                self.timers.remove(&(at, key));
            }
            match session.coap.handle_message(cx.at(), message) {
                Received::Request { .. } => {
                    // It starts anew; the old attempt is void.
                    session.end(cx, Some("the device started again".into()));
                    self.request(cx, from, message);
                    return;
                }
                Received::Response { token, message } => session.answered(cx, token, &message),
                Received::Notification { handle, .. } => {
                    if let Some(len) = session.coap.reject(cx.at(), handle, cx.buffer) {
                        cx.transmit((listener, peer), identity, len);
                    }
                }
                Received::Reset(Sent::Request(_)) => session.failed(cx, "was answered by Reset"),
                _ => {}
            }
            self.settle(cx, key, session);
        } else if is_request {
            self.request(cx, from, message);
        } else if let Some(reset) = reset_for(&message) {
            cx.buffer[..4].copy_from_slice(&reset);
            cx.transmit((listener, peer), identity, 4);
        }
    }

    /// A request of a peer without session.
    fn request(&mut self, cx: &mut Context<'_>, from: Source<'_>, message: Message<'_>) {
        let Source {
            listener,
            peer,
            identity,
            ..
        } = from;
        match self.accept(cx, from, &message) {
            Ok(mut session) => {
                let Received::Request { handle, .. } =
                    session.coap.handle_message(cx.at(), message)
                else {
                    return;
                };
                let answer =
                    session
                        .coap
                        .respond(cx.at(), handle, Code::CHANGED, cx.buffer, |_| Ok(()));
                if let Ok(answer) = answer {
                    cx.transmit((listener, peer), identity, answer.len);
                }
                self.settle(cx, (listener, peer), session);
            }
            Err((code, text)) => {
                let id = cx.random.next_u32() as u16;
                let made = stateless::reply(&message, id, code, cx.buffer, |b| {
                    b.payload(text.as_bytes()).map(|_| ())
                });
                if let Ok(len) = made {
                    cx.transmit((listener, peer), identity, len);
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
        let mut path = message.uri_path();
        if (path.next(), path.next()) != (Some(b"bs".as_slice()), None) {
            return Err((
                Code::NOT_FOUND,
                "this is a bootstrap server: POST /bs".into(),
            ));
        }
        if message.code() != Code::POST {
            return Err((Code::METHOD_NOT_ALLOWED, String::new()));
        }
        if let Some(number) = message.unrecognised_critical(&CRITICAL) {
            return Err((Code::BAD_OPTION, format!("option {}", number.0)));
        }
        let bad = |e: RegisterError| (Code::BAD_REQUEST, e.to_string());
        let parameters = Parameters::parse(message.uri_query()).map_err(bad)?;
        let endpoint = parameters
            .endpoint
            .ok_or_else(|| bad(RegisterError::NoEndpoint))?;
        let rule = self.config.rule(&endpoint).cloned();
        let mut rule = rule.ok_or((Code::BAD_REQUEST, "unknown endpoint".to_owned()))?;
        if rule.server_uri.is_empty() {
            let own = from.management.ok_or_else(|| {
                let why = "the management listener can't be reached from this address";
                (Code::SERVICE_UNAVAILABLE, why.to_owned())
            })?;
            rule.server_uri = uri(own);
        }
        let (format, other_format) = match parameters.formats {
            None => (ContentFormat::TLV, Some(ContentFormat::SENML_CBOR)),
            Some(112) => (ContentFormat::SENML_CBOR, Some(ContentFormat::TLV)),
            Some(110) => (ContentFormat::SENML_JSON, None),
            Some(11542) => (ContentFormat::TLV, Some(ContentFormat::SENML_CBOR)),
            Some(_) => {
                return Err((
                    Code::UNSUPPORTED_CONTENT_FORMAT,
                    "pct: 112, 110, 11542".into(),
                ));
            }
        };
        if self.sessions.len() >= cx.limits.bootstraps {
            return Err((
                Code::SERVICE_UNAVAILABLE,
                "too many devices bootstrap".into(),
            ));
        }
        Ok(Session {
            endpoint: endpoint.into(),
            identity: from.identity.clone(),
            rule,
            format,
            other_format,
            coap: cx.coap(),
            state: State::Sending {
                step: BootstrapStep::Delete,
            },
            timer: None,
        })
    }

    fn settle(&mut self, cx: &mut Context<'_>, key: SessionKey, mut session: Session) {
        session.pump(cx, key);
        let mut at = session.coap.next_deadline().map(|at| at.as_millis());
        if let State::Ended { until } = session.state {
            if until <= cx.now.mono {
                return;
            }
            at = Some(at.map_or(until, |at| at.min(until)));
        }
        let at = at.unwrap_or(cx.now.mono + LINGER);
        session.timer = Some(at);
        self.timers.insert((at, key));
        self.sessions.insert(key, session);
    }
}

/// `coap://` and the address; without the zone of a link-local one, which means something on this
/// machine only (RFC 6874 §1).
fn uri(own: SocketAddr) -> String {
    let port = own.port();
    match own.ip().to_canonical() {
        IpAddr::V4(ip) => format!("coap://{ip}:{port}"),
        IpAddr::V6(ip) => format!("coap://[{ip}]:{port}"),
    }
}

fn reset_for(message: &Message<'_>) -> Option<[u8; 4]> {
    (message.message_type() == tinsmith_coap::MessageType::Confirmable)
        .then(|| stateless::reset(message))
}

impl Session {
    fn pump(&mut self, cx: &mut Context<'_>, at: SessionKey) {
        loop {
            if let State::Sending { step } = self.state
                && self.coap.can_request()
            {
                self.send(cx, at, step);
            }
            match self.coap.poll(cx.at(), cx.buffer) {
                Some(CoapOutput::Transmit(len)) => cx.transmit(at, &self.identity, len),
                Some(CoapOutput::TimedOut(Sent::Request(_))) => {
                    self.failed(cx, "was not answered");
                }
                Some(CoapOutput::TimedOut(_)) => {}
                None => return,
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>, at: SessionKey, step: BootstrapStep) {
        let (code, path, values) = self.message(step);
        let payload = match values {
            None => Vec::new(),
            Some(values) => match format::encode_vec(self.format, &path, &values) {
                Ok(payload) => payload,
                Err(error) => return self.failed(cx, &format!("cannot be encoded: {error}")),
            },
        };
        let token = Token::with_prefix(super::bucket(&self.endpoint), cx.random.next_u64());
        let request = Request {
            code,
            token,
            reliability: Reliability::Confirmable,
            response_timeout_ms: None,
        };
        let format = self.format;
        let build = |b: &mut Builder<'_>| -> Result<(), BuildError> {
            if step == BootstrapStep::Finish {
                b.option(OptionNumber::URI_PATH, b"bs")?;
            }
            for id in path.ids() {
                b.option(OptionNumber::URI_PATH, id.to_string().as_bytes())?;
            }
            if !payload.is_empty() {
                b.uint(OptionNumber::CONTENT_FORMAT, format.0.into())?;
                b.payload(&payload)?;
            }
            Ok(())
        };
        match self.coap.start_request(cx.at(), request, cx.buffer, build) {
            Ok(len) => {
                cx.transmit(at, &self.identity, len);
                self.state = State::Waiting { step, token };
            }
            Err(error) => self.failed(cx, &format!("cannot be sent: {error:?}")),
        }
    }

    /// Method, path and values of a step (LwM2M TS 1.1 §6.1.7, objects 0 and 1).
    fn message(&self, step: BootstrapStep) -> (Code, Path, Option<Vec<(Path, OwnedValue)>>) {
        let rule = &self.rule;
        match step {
            BootstrapStep::Delete => (Code::DELETE, rule.delete, None),
            BootstrapStep::Finish => (Code::POST, Path::ROOT, None),
            BootstrapStep::Security => {
                let i = rule.security_instance;
                let nothing = || OwnedValue::Opaque(Vec::new());
                let values = vec![
                    (
                        Path::resource(0, i, 0),
                        OwnedValue::String(rule.server_uri.clone()),
                    ),
                    (Path::resource(0, i, 1), OwnedValue::Boolean(false)),
                    (Path::resource(0, i, 2), OwnedValue::Integer(3)),
                    (Path::resource(0, i, 3), nothing()),
                    (Path::resource(0, i, 4), nothing()),
                    (Path::resource(0, i, 5), nothing()),
                    (
                        Path::resource(0, i, 10),
                        OwnedValue::Integer(rule.short_server_id.into()),
                    ),
                ];
                (Code::PUT, Path::instance(0, i), Some(values))
            }
            BootstrapStep::Server => {
                let i = rule.server_instance;
                let values = vec![
                    (
                        Path::resource(1, i, 0),
                        OwnedValue::Integer(rule.short_server_id.into()),
                    ),
                    (
                        Path::resource(1, i, 1),
                        OwnedValue::Integer(rule.lifetime.into()),
                    ),
                    (Path::resource(1, i, 6), OwnedValue::Boolean(true)),
                    (
                        Path::resource(1, i, 7),
                        OwnedValue::String(rule.binding.clone()),
                    ),
                ];
                (Code::PUT, Path::instance(1, i), Some(values))
            }
        }
    }

    fn answered(&mut self, cx: &mut Context<'_>, token: Token, message: &Message<'_>) {
        let State::Waiting {
            step,
            token: expected,
        } = self.state
        else {
            return;
        };
        if token != expected {
            return;
        }
        let code = message.code();
        let is_write = matches!(step, BootstrapStep::Security | BootstrapStep::Server);
        if code.is_success() {
            match step.next() {
                Some(step) => self.state = State::Sending { step },
                None => self.end(cx, None),
            }
        } else if is_write
            && code == Code::UNSUPPORTED_CONTENT_FORMAT
            && let Some(format) = self.other_format.take()
        {
            self.format = format;
            self.state = State::Sending { step };
        } else {
            let text: String = String::from_utf8_lossy(message.payload())
                .chars()
                .take(100)
                .collect();
            self.failed(cx, format!("was answered {code} {text}").trim_end());
        }
    }

    fn failed(&mut self, cx: &mut Context<'_>, why: &str) {
        let (State::Sending { step } | State::Waiting { step, .. }) = self.state else {
            return;
        };
        self.end(cx, Some(format!("{} {why}", step.name())));
    }

    fn end(&mut self, cx: &mut Context<'_>, error: Option<String>) {
        if let State::Waiting { token, .. } = self.state {
            self.coap.cancel(token);
        }
        if !matches!(self.state, State::Ended { .. }) {
            self.state = State::Ended {
                until: cx.now.mono + LINGER,
            };
            cx.event(Event::Bootstrapped {
                endpoint: self.endpoint.clone(),
                error,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_walks_through_all_steps() {
        let mut step = Some(BootstrapStep::Delete);
        let mut walked = Vec::new();
        while let Some(s) = step {
            walked.push(s);
            step = s.next();
        }
        assert_eq!(walked.len(), STEPS.len());
        assert_eq!(walked.last(), Some(&BootstrapStep::Finish));
    }
}
