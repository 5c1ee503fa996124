//! An answer that comes in: values, or links.

use lwm2m_objects::{ContentFormat, Path};
use tinsmith_coap::block::{Download, DownloadError};
use tinsmith_coap::observe::Freshness;
use tinsmith_coap::{BuildError, Builder, Code, Instant, Message, OptionNumber, Szx, Token};

use super::formats::to_accept;
use super::{Step, rejected};
use crate::content::{content_format, decode};
use crate::job::Job;
use crate::models::Models;
use crate::observation::Observation;
use crate::target::Target;
use crate::types::{Now, Operation, Outcome, Registration};

pub(super) struct Fetching {
    max_answer: u32,
    download: Download,
    body: Vec<u8>,
    /// Of the answer.
    format: Option<u16>,
    /// None at first: the device may choose. After a 4.06 one after the other.
    accept: Option<ContentFormat>,
    /// Formats left to accept, the next is the last.
    formats: Vec<ContentFormat>,
    /// The observation that this begins.
    observation: Option<(Token, Freshness)>,
    restarts: u8,
}

/// Answers that begin anew because the body changed.
const MAX_RESTARTS: u8 = 2;

impl Fetching {
    /// In whatever format the device likes best; in others if that is none of ours, or if it wants
    /// to be told one.
    pub(super) fn new(max_answer: u32, registration: &Registration) -> Self {
        Fetching {
            formats: to_accept(registration),
            ..Self::accepting(max_answer, None)
        }
    }

    /// In one format.
    pub(super) fn accepting(max_answer: u32, accept: Option<ContentFormat>) -> Self {
        Fetching {
            max_answer,
            download: Download::new(max_answer, Szx::MAX),
            body: Vec::new(),
            format: None,
            accept,
            formats: Vec::new(),
            observation: None,
            restarts: 0,
        }
    }

    pub(super) fn observes(&self, token: Token) -> bool {
        self.observation.is_some_and(|(ours, _)| ours == token)
    }

    /// The observation that began.
    pub(super) fn observation(self, target: Target) -> Option<Observation> {
        let (token, freshness) = self.observation?;
        Some(Observation {
            token,
            target,
            accept: self.accept,
            freshness: Some(freshness),
        })
    }

    pub(super) fn build(
        &self,
        b: &mut Builder<'_>,
        operation: &Operation,
        segments: &[String],
    ) -> Result<(), BuildError> {
        let first = self.download.received() == 0;
        match operation {
            Operation::Observe { .. } if first => b.uint(OptionNumber::OBSERVE, 0)?,
            Operation::CancelObserve { .. } if first => b.uint(OptionNumber::OBSERVE, 1)?,
            _ => b,
        };
        b.options(OptionNumber::URI_PATH, segments)?;
        if matches!(operation, Operation::Discover { .. }) {
            b.uint(OptionNumber::ACCEPT, ContentFormat::LINK.0.into())?;
        } else if let Some(accept) = self.accept {
            b.uint(OptionNumber::ACCEPT, accept.0.into())?;
        }
        if !first {
            b.block(OptionNumber::BLOCK2, self.download.next_block())?;
        }
        Ok(())
    }

    pub(super) fn on_response(
        &mut self,
        now: Now,
        job: &Job,
        token: Token,
        models: &Models,
        message: &Message<'_>,
    ) -> Step {
        if self.download.received() == 0
            && !matches!(job.operation, Operation::Discover { .. })
            && (message.code() == Code::NOT_ACCEPTABLE || is_foreign(job.path(), message))
            && let Some(format) = self.formats.pop()
        {
            self.accept = Some(format);
            self.observation = None;
            return Step::Again;
        }
        match self.download.on_response(message) {
            Ok(chunk) => {
                if chunk.offset == 0 {
                    self.body.clear();
                    self.format = message.content_format();
                    if let (Operation::Observe { .. }, Some(sequence)) =
                        (&job.operation, message.observe())
                    {
                        let at = Instant::from_millis(now.mono);
                        self.observation = Some((token, Freshness::new(at, sequence)));
                    }
                }
                self.body.extend_from_slice(message.payload());
                if chunk.last {
                    Step::End(self.content(now, job, models))
                } else {
                    Step::Again
                }
            }
            Err(DownloadError::Refused(_)) => Step::End(rejected(message)),
            Err(DownloadError::Changed) if self.restarts < MAX_RESTARTS => {
                self.restarts += 1;
                self.download = Download::new(self.max_answer, Szx::MAX);
                self.body.clear();
                self.format = None;
                Step::Again
            }
            Err(DownloadError::TooLarge) => {
                Step::End(Outcome::Malformed("the answer is too long".into()))
            }
            Err(error) => Step::End(Outcome::Malformed(format!("block-wise answer: {error:?}"))),
        }
    }

    fn is_unobserved(&self, job: &Job) -> bool {
        matches!(job.operation, Operation::Observe { .. }) && self.observation.is_none()
    }

    fn content(&self, now: Now, job: &Job, models: &Models) -> Outcome {
        match job.operation {
            Operation::Discover { .. } => match std::str::from_utf8(&self.body) {
                Ok(links) => Outcome::Links(links.to_owned()),
                Err(_) => Outcome::Malformed("links that are not UTF-8".into()),
            },
            Operation::CancelObserve { .. } => Outcome::Done,
            _ => {
                let path = job.path();
                let format = content_format(self.format, path);
                match decode(now, format, path, &self.body, models) {
                    Ok(values) if self.is_unobserved(job) => Outcome::NotObserved(values),
                    Ok(values) => Outcome::Content(values),
                    Err(error) => Outcome::Malformed(format!("{format}: {error}")),
                }
            }
        }
    }
}

/// Values in a format that is none of ours.
fn is_foreign(path: &Path, message: &Message<'_>) -> bool {
    let format = content_format(message.content_format(), path);
    message.code() == Code::CONTENT && !format.is_supported()
}
