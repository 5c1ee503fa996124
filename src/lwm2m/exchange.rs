//! One request to a device: its messages, block by block, until there is an outcome.

use lwm2m_objects::{ContentFormat, OwnedValue, Path, format};
use tinsmith_coap::block::{Download, DownloadError, Tag, Upload, UploadError, UploadStep};
use tinsmith_coap::observe::Freshness;
use tinsmith_coap::{
    BuildError, Builder, Code, Instant, Message, OptionNumber, Reliability, Request, SendError,
    Szx, Token,
};

use super::body::Body;
use super::device::Device;
use super::models::Models;
use super::observation::{Observation, content_format, decode};
use super::shared::Context;
use super::target::PathValue;
use super::types::{Event, Now, Operation, Outcome, RequestId};

/// A request that waits or is open.
#[derive(Debug)]
pub(super) struct Job {
    /// `None`: our own.
    pub(super) id: Option<RequestId>,
    pub(super) operation: Operation,
    /// Monotonic, ms.
    pub(super) deadline: u64,
    pub(super) keep: Keep,
}

/// What the store has of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing.
    No,
    /// Nothing yet, but it should.
    Wanted,
    /// Its record is being written; it must not be sent yet.
    Storing,
    /// Its record.
    Stored,
}

impl Job {
    /// What it is about. One with several paths never begins, see [`Shard`](super::Shard).
    pub(super) fn path(&self) -> &Path {
        self.operation.path().unwrap_or(&Path::ROOT)
    }
}

enum Phase {
    /// Nothing was made yet.
    New,
    /// The body of a write goes out.
    Send {
        upload: Upload,
        body: Body,
        format: ContentFormat,
    },
    /// An answer comes in.
    Get {
        download: Download,
        body: Vec<u8>,
        format: Option<u16>,
    },
    /// One message there, one back.
    Execute,
}

/// The request of a device that is under way.
pub(super) struct Open {
    pub(super) job: Job,
    /// Of the last message sent.
    pub(super) token: Token,
    phase: Phase,
    waits: bool,
    /// Something was sent.
    begun: bool,
    /// Formats left to try: of a write, or to accept; the next is the last.
    formats: Vec<ContentFormat>,
    /// None at first: the device may choose. After a 4.06 one after the other.
    accept: Option<ContentFormat>,
    /// The observation that this request starts.
    observation: Option<(Token, Freshness)>,
    restarts: u8,
}

/// What a response leads to.
pub(super) enum Step {
    /// There is more to send.
    Again,
    End(Outcome),
}

/// Block transfers that begin anew because the body changed.
const MAX_RESTARTS: u8 = 2;

impl Open {
    pub(super) fn new(job: Job) -> Self {
        Open {
            job,
            token: Token::EMPTY,
            phase: Phase::New,
            waits: true,
            begun: false,
            formats: Vec::new(),
            accept: None,
            observation: None,
            restarts: 0,
        }
    }

    pub(super) fn waits_to_send(&self) -> bool {
        self.waits
    }

    /// Sends the last message again, as a new one.
    pub(super) fn resend(&mut self) {
        self.waits = true;
    }

    /// A push that has begun may take as long as blocks are acknowledged in time.
    pub(super) fn expires(&self) -> u64 {
        match self.job.operation {
            Operation::Push { .. } if self.begun => u64::MAX,
            _ => self.job.deadline,
        }
    }

    /// Acknowledged bytes of a body.
    pub(super) fn sent(&self) -> u32 {
        match &self.phase {
            Phase::Send { upload, .. } => upload.progress().0,
            _ => 0,
        }
    }

    /// The token that notifications will carry.
    pub(super) fn observing(&self) -> Option<Token> {
        self.observation.as_ref().map(|(token, _)| *token)
    }

    /// The observation that began, if the outcome is good.
    pub(super) fn observation(&self, _: Instant, outcome: &Outcome) -> Option<Observation> {
        let (token, freshness) = self.observation?;
        matches!(outcome, Outcome::Content(_)).then_some(Observation {
            token,
            target: self.job.operation.target(),
            accept: self.accept,
            freshness: Some(freshness),
        })
    }

    /// Makes the phase of the first message.
    fn begin(&mut self, device: &mut Device, cx: &mut Context<'_>) -> Result<Phase, Outcome> {
        match &self.job.operation {
            Operation::Read { .. } | Operation::Observe { .. } | Operation::Discover { .. } => {
                self.formats = vec![ContentFormat::TLV, ContentFormat::SENML_CBOR];
                Ok(get(cx))
            }
            Operation::CancelObserve { target } => {
                let at = device.observations.iter().position(|o| o.target == *target);
                let Some(at) = at else {
                    return Err(Outcome::Done);
                };
                // RFC 7641 §3.6: the same token and options.
                let observation = device.observations.remove(at);
                self.token = observation.token;
                self.accept = observation.accept;
                device.dirty = true;
                Ok(get(cx))
            }
            Operation::Execute { arguments, .. } => {
                if arguments.len() > Szx::MAX.size() {
                    return Err(Outcome::Malformed("the arguments are too long".into()));
                }
                Ok(Phase::Execute)
            }
            Operation::Push {
                body, from, tag, ..
            } => {
                let body = body.clone();
                let total = u32::try_from(body.len())
                    .map_err(|_| Outcome::Malformed("the body is too long".into()))?;
                if *from > total {
                    return Err(Outcome::Malformed("the body ends before `from`".into()));
                }
                let upload = match (Tag::new(tag), *from) {
                    (tag, 0) => Upload::new(total, Szx::MAX, tag),
                    (tag, from) => Upload::resume(total, Szx::MAX, tag, from),
                };
                let format = ContentFormat::OPAQUE;
                Ok(Phase::Send {
                    upload,
                    body,
                    format,
                })
            }
            Operation::Write { values, .. } => {
                let mut formats = write_formats(device, self.job.path(), values);
                formats.reverse();
                self.formats = formats;
                self.next_write_format()
            }
        }
    }

    /// Encodes the values in the next format that can carry them.
    fn next_write_format(&mut self) -> Result<Phase, Outcome> {
        let Operation::Write { values, .. } = &self.job.operation else {
            return Err(Outcome::Malformed("not a write".into()));
        };
        let path = self.job.path();
        let values: Vec<_> = values.iter().map(|v| (v.path, v.value.clone())).collect();
        let mut why = String::from("the device takes none of our formats");
        while let Some(format) = self.formats.pop() {
            match format::encode_vec(format, path, &values) {
                Ok(bytes) => {
                    let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                    let upload = Upload::new(total, Szx::MAX, None);
                    return Ok(Phase::Send {
                        upload,
                        body: bytes.into(),
                        format,
                    });
                }
                Err(error) => why = format!("cannot be encoded as {format}: {error}"),
            }
        }
        Err(Outcome::Malformed(why))
    }

    /// Sends the next message. `Some` if the request ended instead.
    pub(super) fn send(&mut self, device: &mut Device, cx: &mut Context<'_>) -> Option<Outcome> {
        if !device.coap.can_request() {
            return None;
        }
        if matches!(self.phase, Phase::New) {
            match self.begin(device, cx) {
                Ok(phase) => self.phase = phase,
                Err(outcome) => return Some(outcome),
            }
        }
        let keeps_token = matches!(self.job.operation, Operation::CancelObserve { .. });
        if !keeps_token {
            self.token = device.token(cx);
        }
        let request = Request {
            code: self.method(),
            token: self.token,
            reliability: Reliability::Confirmable,
            response_timeout_ms: None,
        };
        let segments = device.segments(self.job.path());
        let at = cx.at();
        let sent = device
            .coap
            .start_request(at, request, cx.buffer, |b| self.build(b, &segments));
        match sent {
            Ok(len) => {
                self.waits = false;
                self.begun = true;
                cx.transmit(device.route(), &device.identity, len);
                None
            }
            Err(SendError::Busy) => None,
            Err(error) => Some(Outcome::Malformed(format!("cannot be sent: {error:?}"))),
        }
    }

    fn method(&self) -> Code {
        match &self.job.operation {
            Operation::Read { .. }
            | Operation::Observe { .. }
            | Operation::CancelObserve { .. }
            | Operation::Discover { .. } => Code::GET,
            Operation::Write { replace: false, .. } | Operation::Execute { .. } => Code::POST,
            Operation::Write { .. } | Operation::Push { .. } => Code::PUT,
        }
    }

    fn build(&self, b: &mut Builder<'_>, segments: &[String]) -> Result<(), BuildError> {
        match &self.phase {
            Phase::New => {}
            Phase::Execute => {
                b.options(OptionNumber::URI_PATH, segments)?;
                if let Operation::Execute { arguments, .. } = &self.job.operation
                    && !arguments.is_empty()
                {
                    b.uint(OptionNumber::CONTENT_FORMAT, ContentFormat::TEXT.0.into())?;
                    b.payload(arguments.as_bytes())?;
                }
            }
            Phase::Send {
                upload,
                body,
                format,
            } => {
                let block = upload.next_block();
                b.options(OptionNumber::URI_PATH, segments)?;
                b.uint(OptionNumber::CONTENT_FORMAT, format.0.into())?;
                if let Some(block1) = block.block1 {
                    b.block(OptionNumber::BLOCK1, block1)?;
                }
                if let Some(size1) = block.size1 {
                    b.uint(OptionNumber::SIZE1, size1)?;
                }
                if let Some(tag) = block.tag {
                    b.option(OptionNumber::REQUEST_TAG, tag.as_bytes())?;
                }
                let start = block.offset as usize;
                b.payload(&body.piece(start, block.len))?;
            }
            Phase::Get { download, .. } => {
                if download.received() == 0 {
                    match self.job.operation {
                        Operation::Observe { .. } => b.uint(OptionNumber::OBSERVE, 0)?,
                        Operation::CancelObserve { .. } => b.uint(OptionNumber::OBSERVE, 1)?,
                        _ => b,
                    };
                }
                b.options(OptionNumber::URI_PATH, segments)?;
                if matches!(self.job.operation, Operation::Discover { .. }) {
                    b.uint(OptionNumber::ACCEPT, ContentFormat::LINK.0.into())?;
                } else if let Some(accept) = self.accept {
                    b.uint(OptionNumber::ACCEPT, accept.0.into())?;
                }
                if download.received() > 0 {
                    b.block(OptionNumber::BLOCK2, download.next_block())?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn on_response(
        &mut self,
        device: &mut Device,
        cx: &mut Context<'_>,
        message: &Message<'_>,
    ) -> Step {
        self.waits = true;
        match &mut self.phase {
            Phase::New => Step::End(Outcome::Malformed("an answer to nothing".into())),
            Phase::Execute if message.code().is_success() => Step::End(Outcome::Done),
            Phase::Execute => Step::End(rejected(message)),
            Phase::Send { upload, format, .. } => {
                let is_write = matches!(self.job.operation, Operation::Write { .. });
                if is_write && message.code() == Code::UNSUPPORTED_CONTENT_FORMAT {
                    if !device.refused.contains(&format.0) && device.refused.len() < 16 {
                        device.refused.push(format.0);
                    }
                    return match self.next_write_format() {
                        Ok(phase) => {
                            self.phase = phase;
                            Step::Again
                        }
                        Err(_) => Step::End(rejected(message)),
                    };
                }
                match upload.on_response(message) {
                    Ok(UploadStep::Continue) => {
                        let (sent, total) = upload.progress();
                        if let (Operation::Push { .. }, Some(id)) =
                            (&self.job.operation, self.job.id)
                        {
                            let endpoint = device.endpoint().clone();
                            cx.event(Event::Progress {
                                endpoint,
                                id,
                                sent,
                                total,
                            });
                        }
                        Step::Again
                    }
                    Ok(UploadStep::Done(code)) if code.is_success() => Step::End(Outcome::Done),
                    Ok(UploadStep::Done(_)) => Step::End(rejected(message)),
                    Err(
                        UploadError::Refused(_)
                        | UploadError::Incomplete
                        | UploadError::TooLarge(_),
                    ) => Step::End(rejected(message)),
                    Err(error) => {
                        let code = message.code();
                        Step::End(Outcome::Malformed(format!("{code} to a block: {error:?}")))
                    }
                }
            }
            Phase::Get { .. } => self.on_content(cx, &device.models, message),
        }
    }

    fn on_content(&mut self, cx: &mut Context<'_>, models: &Models, message: &Message<'_>) -> Step {
        let Phase::Get {
            download,
            body,
            format,
        } = &mut self.phase
        else {
            return Step::End(Outcome::Malformed("an answer to nothing".into()));
        };
        let first = download.received() == 0;
        let is_value = !matches!(self.job.operation, Operation::Discover { .. });
        if first
            && is_value
            && message.code() == Code::NOT_ACCEPTABLE
            && let Some(format) = self.formats.pop()
        {
            self.accept = Some(format);
            return Step::Again;
        }
        match download.on_response(message) {
            Ok(chunk) => {
                if chunk.offset == 0 {
                    body.clear();
                    *format = message.content_format();
                    if let (Operation::Observe { .. }, Some(sequence)) =
                        (&self.job.operation, message.observe())
                    {
                        self.observation = Some((self.token, Freshness::new(cx.at(), sequence)));
                    }
                }
                body.extend_from_slice(message.payload());
                if !chunk.last {
                    return Step::Again;
                }
                let body = std::mem::take(body);
                let format = *format;
                Step::End(self.content(cx.now, models, &body, format))
            }
            Err(DownloadError::Refused(_)) => Step::End(rejected(message)),
            Err(DownloadError::Changed) if self.restarts < MAX_RESTARTS => {
                self.restarts += 1;
                self.phase = get(cx);
                Step::Again
            }
            Err(DownloadError::TooLarge) => {
                Step::End(Outcome::Malformed("the answer is too long".into()))
            }
            Err(error) => Step::End(Outcome::Malformed(format!("block-wise answer: {error:?}"))),
        }
    }

    fn content(&self, now: Now, models: &Models, body: &[u8], format: Option<u16>) -> Outcome {
        let path = self.job.path();
        match self.job.operation {
            Operation::Discover { .. } => match std::str::from_utf8(body) {
                Ok(links) => Outcome::Links(links.to_owned()),
                Err(_) => Outcome::Malformed("links that are not UTF-8".into()),
            },
            Operation::CancelObserve { .. } => Outcome::Done,
            _ => {
                let format = content_format(format, path);
                match decode(now, format, path, body, models) {
                    Ok(values) => Outcome::Content(values),
                    Err(error) => Outcome::Malformed(format!("{format}: {error}")),
                }
            }
        }
    }
}

fn get(cx: &Context<'_>) -> Phase {
    Phase::Get {
        download: Download::new(cx.limits.answer, Szx::MAX),
        body: Vec::new(),
        format: None,
    }
}

fn rejected(message: &Message<'_>) -> Outcome {
    let text = std::str::from_utf8(message.payload()).unwrap_or_default();
    let diagnostic = text.chars().filter(|c| !c.is_control()).take(200).collect();
    Outcome::Rejected {
        code: message.code().byte(),
        diagnostic,
    }
}

/// Formats for a write, best first: what the device named, not what it refused before.
fn write_formats(device: &Device, path: &Path, values: &[PathValue]) -> Vec<ContentFormat> {
    let mut list = Vec::with_capacity(4);
    if let [only] = values
        && only.path == *path
    {
        list.push(match &only.value {
            OwnedValue::Opaque(_) => ContentFormat::OPAQUE,
            _ => ContentFormat::TEXT,
        });
    }
    if device.registration.version == "1.0" {
        list.push(ContentFormat::TLV);
    } else {
        let named = &device.registration.formats;
        let mut multi = [
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
            ContentFormat::SENML_JSON,
        ];
        if !named.is_empty() {
            multi.sort_by_key(|format| !named.contains(&format.0));
        }
        list.extend(multi);
    }
    let not_refused: Vec<_> = list
        .iter()
        .copied()
        .filter(|f| !device.refused.contains(&f.0))
        .collect();
    if not_refused.is_empty() {
        list
    } else {
        not_refused
    }
}
