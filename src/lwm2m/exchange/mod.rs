//! One request to a device: its messages, block by block, until there is an outcome.
//!
//! Data only: it is asked for the next message and given the answers, and knows of the device what
//! [`Facts`] tell.

mod fetch;
mod formats;
mod send;

use lwm2m_objects::ContentFormat;
use tinsmith_coap::{BuildError, Builder, Code, Message, OptionNumber, Szx, Token};

use super::job::Job;
use super::models::Models;
use super::observation::Observation;
use super::types::{Now, Operation, Outcome, Registration};
use fetch::Fetching;
pub(super) use formats::Refused;
use send::Sending;

/// What of a device shapes the requests to it.
pub(super) struct Facts<'d> {
    pub(super) registration: &'d Registration,
    pub(super) models: &'d Models,
    /// Content formats that it does not take in writes.
    pub(super) refused: &'d mut Refused,
}

enum Phase {
    /// The body of a write goes out.
    Send(Sending),
    /// An answer comes in.
    Fetch(Fetching),
    /// One message there, one back.
    Execute,
}

/// The request of a device that is under way.
pub(super) struct Open {
    pub(super) job: Job,
    /// Of the last message sent; of a cancellation that of the observation.
    token: Token,
    phase: Phase,
    waits: bool,
    /// Something was sent.
    begun: bool,
    /// How often the device could not answer.
    waited: u8,
}

/// Answers of 5.03 after which a request ends with it.
const MAX_WAITS: u8 = 16;

/// What a response leads to.
pub(super) enum Step {
    /// There is more to send.
    Again,
    /// There is more to send; so many bytes of all have arrived.
    Progress(u32, u32),
    End(Outcome),
}

impl Open {
    /// Makes the first message of a request, or ends it at once. `ended` is the observation that
    /// it cancels; an answer has `max_answer` bytes at most.
    pub(super) fn begin(
        job: Job,
        ended: Option<Observation>,
        facts: &Facts<'_>,
        max_answer: u32,
    ) -> Result<Self, Box<(Job, Outcome)>> {
        let mut token = Token::EMPTY;
        let phase = match &job.operation {
            Operation::Read { .. } | Operation::Observe { .. } | Operation::Discover { .. } => {
                Ok(Phase::Fetch(Fetching::new(max_answer, facts.registration)))
            }
            Operation::CancelObserve { .. } => match ended {
                Some(observation) => {
                    token = observation.token;
                    let accept = observation.accept;
                    Ok(Phase::Fetch(Fetching::accepting(max_answer, accept)))
                }
                None => Err(Outcome::Done),
            },
            Operation::Execute { arguments, .. } if arguments.len() > Szx::MAX.size() => {
                Err(Outcome::Malformed("the arguments are too long".into()))
            }
            Operation::Execute { .. } => Ok(Phase::Execute),
            Operation::Push {
                body, from, tag, ..
            } => Sending::file(body.clone(), *from, tag).map(Phase::Send),
            Operation::Write { values, .. } => {
                Sending::values(job.path(), values, facts).map(Phase::Send)
            }
            // A job has one of its operations at a time.
            Operation::Unit(_) => Err(Outcome::Malformed("a unit in a unit".into())),
        };
        match phase {
            Ok(phase) => Ok(Open {
                job,
                token,
                phase,
                waits: true,
                begun: false,
                waited: 0,
            }),
            Err(outcome) => Err(Box::new((job, outcome))),
        }
    }

    pub(super) fn waits_to_send(&self) -> bool {
        self.waits
    }

    /// The device can't answer now: the last message is sent again. False if that was so often
    /// enough.
    pub(super) fn wait(&mut self) -> bool {
        self.waited += 1;
        self.waits = self.waited <= MAX_WAITS;
        self.waits
    }

    /// Sends the last message again, as a new one.
    pub(super) fn resend(&mut self) {
        self.waits = true;
    }

    /// The next message is sent.
    pub(super) fn sent(&mut self, token: Token) {
        self.token = token;
        self.waits = false;
        self.begun = true;
    }

    /// Of the last message sent.
    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// The token that the next message must have: a cancellation has that of its observation
    /// (RFC 7641 §3.6).
    pub(super) fn fixed_token(&self) -> Option<Token> {
        matches!(self.job.operation, Operation::CancelObserve { .. }).then_some(self.token)
    }

    /// A push that has begun, or a write in blocks, may take as long as blocks are acknowledged in
    /// time.
    pub(super) fn expires(&self) -> u64 {
        let is_push = matches!(self.job.operation, Operation::Push { .. });
        match &self.phase {
            Phase::Send(send) if self.begun && (is_push || send.is_in_blocks()) => u64::MAX,
            _ => self.job.deadline,
        }
    }

    /// Acknowledged bytes of a body.
    pub(super) fn acknowledged(&self) -> u32 {
        match &self.phase {
            Phase::Send(send) => send.acknowledged(),
            _ => 0,
        }
    }

    /// True if a notification with this token is of the observation that this begins.
    pub(super) fn observes(&self, token: Token) -> bool {
        matches!(&self.phase, Phase::Fetch(fetch) if fetch.observes(token))
    }

    /// Its request, and the observation that began, if the outcome is good.
    pub(super) fn end(self, outcome: &Outcome) -> (Job, Option<Observation>) {
        let observation = match self.phase {
            Phase::Fetch(fetch) if matches!(outcome, Outcome::Content(_)) => {
                fetch.observation(self.job.operation.target())
            }
            _ => None,
        };
        (self.job, observation)
    }

    pub(super) fn method(&self) -> Code {
        match &self.job.operation {
            Operation::Read { .. }
            | Operation::Observe { .. }
            | Operation::CancelObserve { .. }
            | Operation::Discover { .. } => Code::GET,
            Operation::Write { replace: false, .. } | Operation::Execute { .. } => Code::POST,
            Operation::Write { .. } | Operation::Push { .. } | Operation::Unit(_) => Code::PUT,
        }
    }

    /// Options and payload of the next message.
    pub(super) fn build(&self, b: &mut Builder<'_>, segments: &[String]) -> Result<(), BuildError> {
        match &self.phase {
            Phase::Execute => {
                b.options(OptionNumber::URI_PATH, segments)?;
                if let Operation::Execute { arguments, .. } = &self.job.operation
                    && !arguments.is_empty()
                {
                    b.uint(OptionNumber::CONTENT_FORMAT, ContentFormat::TEXT.0.into())?;
                    b.payload(arguments.as_bytes())?;
                }
                Ok(())
            }
            Phase::Send(send) => send.build(b, segments),
            Phase::Fetch(fetch) => fetch.build(b, &self.job.operation, segments),
        }
    }

    pub(super) fn on_response(
        &mut self,
        now: Now,
        facts: &mut Facts<'_>,
        message: &Message<'_>,
    ) -> Step {
        self.waits = true;
        match &mut self.phase {
            Phase::Execute if message.code().is_success() => Step::End(Outcome::Done),
            Phase::Execute => Step::End(rejected(message)),
            Phase::Send(send) => send.on_response(&self.job, facts, message),
            Phase::Fetch(fetch) => {
                fetch.on_response(now, &self.job, self.token, facts.models, message)
            }
        }
    }
}

fn rejected(message: &Message<'_>) -> Outcome {
    Outcome::Rejected {
        code: message.code().byte(),
        diagnostic: diagnostic(message),
    }
}

/// What an error answer says, if it is text.
pub(super) fn diagnostic(message: &Message<'_>) -> String {
    let text = std::str::from_utf8(message.payload()).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
