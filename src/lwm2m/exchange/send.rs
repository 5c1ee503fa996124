//! A body that goes out: the values of a Write, or a file.

use lwm2m_objects::{ContentFormat, OwnedValue, Path, format};
use tinsmith_coap::block::{Tag, Upload, UploadError, UploadStep};
use tinsmith_coap::{BuildError, Builder, Code, Message, OptionNumber, Szx};

use super::formats::worst_first;
use super::{Facts, Step, rejected};
use crate::body::Body;
use crate::job::Job;
use crate::target::PathValue;
use crate::types::{Operation, Outcome};

pub(super) struct Sending {
    upload: Upload,
    body: Body,
    format: ContentFormat,
    /// Formats left to try, the next is the last; of a file none.
    formats: Vec<ContentFormat>,
    /// The device has lost blocks once (4.08).
    restarted: bool,
}

impl Sending {
    /// Of values, in the best format that the device takes.
    pub(super) fn values(
        path: &Path,
        values: &[PathValue],
        facts: &Facts<'_>,
    ) -> Result<Self, Outcome> {
        let formats = worst_first(facts.registration, facts.refused, path, values);
        Self::next(path, values, formats)
    }

    /// Of a file, from a byte on.
    pub(super) fn file(body: Body, from: u32, tag: &[u8]) -> Result<Self, Outcome> {
        let total = u32::try_from(body.len())
            .map_err(|_| Outcome::Malformed("the body is too long".into()))?;
        if from > total {
            return Err(Outcome::Malformed("the body ends before `from`".into()));
        }
        let upload = match (Tag::new(tag), from) {
            (tag, 0) => Upload::new(total, Szx::MAX, tag),
            (tag, from) => Upload::resume(total, Szx::MAX, tag, from),
        };
        Ok(Sending {
            upload,
            body,
            format: ContentFormat::OPAQUE,
            formats: Vec::new(),
            restarted: false,
        })
    }

    /// Encodes the values in the next format that can carry them.
    fn next(
        path: &Path,
        values: &[PathValue],
        mut formats: Vec<ContentFormat>,
    ) -> Result<Self, Outcome> {
        let pairs: Vec<(Path, OwnedValue)> =
            values.iter().map(|v| (v.path, v.value.clone())).collect();
        let mut why = String::from("the device takes none of our formats");
        while let Some(format) = formats.pop() {
            match format::encode_vec(format, path, &pairs) {
                Ok(bytes) => {
                    let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                    return Ok(Sending {
                        upload: Upload::new(total, Szx::MAX, None),
                        body: bytes.into(),
                        format,
                        formats,
                        restarted: false,
                    });
                }
                Err(error) => why = format!("cannot be encoded as {format}: {error}"),
            }
        }
        Err(Outcome::Malformed(why))
    }

    pub(super) fn acknowledged(&self) -> u32 {
        self.upload.progress().0
    }

    pub(super) fn is_in_blocks(&self) -> bool {
        self.upload.next_block().block1.is_some()
    }

    pub(super) fn build(&self, b: &mut Builder<'_>, segments: &[String]) -> Result<(), BuildError> {
        let block = self.upload.next_block();
        b.options(OptionNumber::URI_PATH, segments)?;
        b.uint(OptionNumber::CONTENT_FORMAT, self.format.0.into())?;
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
        b.payload(&self.body.piece(start, block.len))?;
        Ok(())
    }

    pub(super) fn on_response(
        &mut self,
        job: &Job,
        facts: &mut Facts<'_>,
        message: &Message<'_>,
    ) -> Step {
        if let Operation::Write { values, .. } = &job.operation
            && message.code() == Code::UNSUPPORTED_CONTENT_FORMAT
        {
            facts.refused.add(self.format);
            let formats = std::mem::take(&mut self.formats);
            return match Self::next(job.path(), values, formats) {
                Ok(next) => {
                    *self = next;
                    Step::Again
                }
                Err(_) => Step::End(rejected(message)),
            };
        }
        match self.upload.on_response(message) {
            Ok(UploadStep::Continue) => {
                let (sent, total) = self.upload.progress();
                match job.operation {
                    Operation::Push { .. } => Step::Progress(sent, total),
                    _ => Step::Again,
                }
            }
            Ok(UploadStep::Done(code)) if code.is_success() => Step::End(Outcome::Done),
            Ok(UploadStep::Done(_)) => Step::End(rejected(message)),
            Err(UploadError::Incomplete) if !self.restarted => {
                self.restarted = true;
                self.upload.restart();
                Step::Again
            }
            Err(UploadError::Refused(_) | UploadError::Incomplete | UploadError::TooLarge(_)) => {
                Step::End(rejected(message))
            }
            Err(error) => {
                let code = message.code();
                Step::End(Outcome::Malformed(format!("{code} to a block: {error:?}")))
            }
        }
    }
}
