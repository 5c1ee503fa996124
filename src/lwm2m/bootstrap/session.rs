//! One device that is bootstrapping.

use lwm2m_objects::{ContentFormat, format};
use tinsmith_coap::{
    BuildError, Builder, Code, Message, OptionNumber, Output as CoapOutput, Received, Reliability,
    Request, Sent, Token,
};

use super::account::{self, Account};
use super::step::BootstrapStep;
use crate::PersistId;
use crate::link::Link;
use crate::shared::Context;
use crate::types::Event;

/// Whether a step must wait until the keys in it are stored.
fn has_keys(step: BootstrapStep) -> bool {
    matches!(step, BootstrapStep::Oscore | BootstrapStep::Security)
}

fn is_discover(step: BootstrapStep) -> bool {
    matches!(
        step,
        BootstrapStep::Discover | BootstrapStep::Contexts | BootstrapStep::Platform
    )
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

/// How long an ended session answers repeated messages, in milliseconds.
const LINGER: u64 = 60_000;

pub(super) struct Session {
    account: Account,
    pub(super) link: Link,
    state: State,
    /// The commit of the key that it is to get.
    pub(super) storing: Option<PersistId>,
    pub(super) timer: Option<u64>,
}

impl Session {
    pub(super) fn new(account: Account, link: Link) -> Self {
        Session {
            account,
            link,
            state: State::Sending {
                step: BootstrapStep::Discover,
            },
            storing: None,
            timer: None,
        }
    }

    /// When it has something to do (monotonic, ms); `None` if it is over.
    pub(super) fn next_deadline(&self, now: u64) -> Option<u64> {
        let coap = self.link.coap.next_deadline().map(|at| at.as_millis());
        match self.state {
            State::Ended { until } if until <= now => None,
            State::Ended { until } => Some(coap.map_or(until, |at| at.min(until))),
            _ => Some(coap.unwrap_or(now + LINGER)),
        }
    }

    /// Takes a message of so many bytes.
    pub(super) fn take<'m>(
        &mut self,
        cx: &Context<'_>,
        message: Message<'m>,
        bytes: usize,
    ) -> Received<'m> {
        let received = self.link.coap.handle_message(cx.at(), message);
        self.link.proof.heard(bytes);
        if let Received::Response { .. } = received {
            self.link.proof.answered();
        }
        received
    }

    pub(super) fn pump(&mut self, cx: &mut Context<'_>) {
        loop {
            if let State::Sending { step } = self.state
                && self.link.coap.can_request()
                && !(has_keys(step) && self.storing.is_some())
            {
                self.send(cx, step);
            }
            match self.link.coap.poll(cx.at(), cx.buffer) {
                Some(CoapOutput::Transmit(len)) => self.link.pass(cx, len),
                Some(CoapOutput::TimedOut(Sent::Request(_))) => {
                    self.failed(cx, "was not answered");
                }
                Some(CoapOutput::TimedOut(_)) => {}
                None => return,
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>, step: BootstrapStep) {
        let account::Request { code, path, values } = self.account.message(step);
        let format = self.account.format;
        let payload = match values {
            None => Vec::new(),
            Some(values) => match format::encode_vec(format, &path, &values) {
                Ok(payload) => payload,
                Err(error) => return self.failed(cx, &format!("cannot be encoded: {error}")),
            },
        };
        let bucket = crate::bucket(&self.account.endpoint);
        let token = Token::with_prefix(bucket, cx.random.next_u64());
        let request = Request {
            code,
            token,
            reliability: Reliability::Confirmable,
            response_timeout_ms: None,
        };
        let build = |b: &mut Builder<'_>| -> Result<(), BuildError> {
            if step == BootstrapStep::Finish {
                b.option(OptionNumber::URI_PATH, b"bs")?;
            }
            for id in path.ids() {
                b.option(OptionNumber::URI_PATH, id.to_string().as_bytes())?;
            }
            if is_discover(step) {
                b.uint(OptionNumber::ACCEPT, ContentFormat::LINK.0.into())?;
            }
            if !payload.is_empty() {
                b.uint(OptionNumber::CONTENT_FORMAT, format.0.into())?;
                b.payload(&payload)?;
            }
            Ok(())
        };
        match self.link.request(cx, request, build) {
            Ok(()) => self.state = State::Waiting { step, token },
            Err(error) => self.failed(cx, &format!("cannot be sent: {error:?}")),
        }
    }

    pub(super) fn answered(&mut self, cx: &mut Context<'_>, token: Token, message: &Message<'_>) {
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
        let is_write = matches!(
            step,
            BootstrapStep::Oscore
                | BootstrapStep::Security
                | BootstrapStep::Server
                | BootstrapStep::TrustAnchors
        );
        if code.is_success() && step == BootstrapStep::Discover {
            self.account.discovered(message.payload());
        }
        if code.is_success() && step == BootstrapStep::Contexts {
            self.account.found_contexts(message.payload());
        }
        // It can't look, there is nothing to delete, or it takes packages of anybody and shows that.
        let is_fine = match step {
            step if is_discover(step) => true,
            BootstrapStep::Delete => code == Code::NOT_FOUND,
            BootstrapStep::TrustAnchors => code.class() == 4,
            _ => false,
        };
        let other_format = is_write
            && code == Code::UNSUPPORTED_CONTENT_FORMAT
            && self.account.other_format.is_some();
        if code.is_success() || is_fine && !other_format {
            let found = code.is_success() && step == BootstrapStep::Platform;
            if found {
                self.account.found_platform(message.payload());
            }
            match self.account.after(step) {
                Some(step) => self.state = State::Sending { step },
                None => self.end(cx, None),
            }
        } else if is_write
            && code == Code::UNSUPPORTED_CONTENT_FORMAT
            && let Some(format) = self.account.other_format.take()
        {
            self.account.format = format;
            self.state = State::Sending { step };
        } else {
            let text: String = String::from_utf8_lossy(message.payload())
                .chars()
                .take(100)
                .collect();
            self.failed(cx, format!("was answered {code} {text}").trim_end());
        }
    }

    /// What was asked with this token is asked once more.
    pub(super) fn again(&mut self, token: Token) {
        if let State::Waiting { step, token: own } = self.state
            && own == token
        {
            self.state = State::Sending { step };
        }
    }

    pub(super) fn failed(&mut self, cx: &mut Context<'_>, why: &str) {
        let (State::Sending { step } | State::Waiting { step, .. }) = self.state else {
            return;
        };
        self.end(cx, Some(format!("{} {why}", step.name())));
    }

    pub(super) fn end(&mut self, cx: &mut Context<'_>, error: Option<String>) {
        if let State::Waiting { token, .. } = self.state {
            self.link.coap.cancel(token);
        }
        if !matches!(self.state, State::Ended { .. }) {
            self.state = State::Ended {
                until: cx.now.mono + LINGER,
            };
            cx.event(Event::Bootstrapped {
                endpoint: self.account.endpoint.clone(),
                error,
            });
        }
    }
}
