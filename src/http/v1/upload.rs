//! The files of a form, part by part on the disk: what is uploaded is never whole in memory while
//! it comes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Multipart;
use axum::extract::multipart::MultipartError;
use tokio::time::{Instant, timeout_at};

use crate::ApiError;
use crate::metered::Meter;

/// Most bytes of each part.
const PARTS: [(&str, u64); 4] = [
    ("card", 64 << 10),
    ("onnx", 32 << 20),
    ("calibration", 32 << 20),
    ("test", 64 << 20),
];
/// Most bytes of a form, with its boundaries.
pub(crate) const FORM: usize = 129 << 20;
/// Most bytes that may come before the next part begins, besides what one read of the socket gives.
const HEAD: u64 = 1 << 20;
/// How long an upload may take, besides its bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that must come in each second after that.
const RATE: u64 = 16 << 10;

/// What was uploaded.
pub(super) struct Upload {
    files: [Option<File>; PARTS.len()],
}

impl Upload {
    /// Reads a form to its end; the files are in `folder`, without a name.
    pub(crate) async fn receive(
        mut form: Multipart,
        meter: &Meter,
        folder: &Path,
    ) -> Result<Self, ApiError> {
        let mut clock = Clock {
            began: Instant::now(),
            bytes: 0,
        };
        let mut files: [Option<File>; PARTS.len()] = Default::default();
        loop {
            meter.allow(HEAD);
            let next = clock.wait(form.next_field()).await;
            if meter.is_over() {
                let text = format!("the head of a part is longer than {HEAD} bytes");
                return Err(ApiError::part_too_large(text));
            }
            let Some(mut field) = next? else {
                return Ok(Upload { files });
            };
            meter.allow(u64::MAX);
            let name = field.name().unwrap_or_default();
            let Some(at) = PARTS.iter().position(|(part, _)| *part == name) else {
                let name: String = name.chars().take(80).collect();
                let text = format!("unknown part '{name}'; expected card, onnx, calibration, test");
                return Err(ApiError::bad_request(text));
            };
            let (part, limit) = PARTS[at];
            if files[at].is_some() {
                return Err(ApiError::bad_request(format!("part '{part}' comes twice")));
            }
            let mut file = tempfile::tempfile_in(folder).map_err(|e| ApiError::disk(&e))?;
            let mut len = 0;
            while let Some(chunk) = clock.wait(field.chunk()).await? {
                len += chunk.len() as u64;
                if len > limit {
                    let text = format!("part '{part}' is longer than {limit} bytes");
                    return Err(ApiError::part_too_large(text));
                }
                clock.bytes += chunk.len() as u64;
                // A chunk is what one read of the socket gave.
                file.write_all(&chunk).map_err(|e| ApiError::disk(&e))?;
            }
            files[at] = Some(file);
        }
    }

    /// The bytes of a part, if it was there.
    pub(super) fn take(&mut self, part: &str) -> Result<Option<Arc<[u8]>>, ApiError> {
        let at = PARTS.iter().position(|(name, _)| *name == part);
        let Some(mut file) = at.and_then(|at| self.files[at].take()) else {
            return Ok(None);
        };
        read(&mut file)
            .map(Some)
            .map_err(|error| ApiError::disk(&error))
    }

    /// The bytes of a part that must be there.
    pub(super) fn need(&mut self, part: &str) -> Result<Arc<[u8]>, ApiError> {
        self.take(part)?
            .ok_or_else(|| ApiError::bad_request(format!("part '{part}' is missing")))
    }
}

/// A whole file, in memory once.
fn read(file: &mut File) -> std::io::Result<Arc<[u8]>> {
    let len = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let len = usize::try_from(len).map_err(std::io::Error::other)?;
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
    if let Some(bytes) = Arc::get_mut(&mut bytes) {
        file.read_exact(bytes)?;
    }
    Ok(bytes)
}

struct Clock {
    began: Instant,
    bytes: u64,
}

impl Clock {
    async fn wait<T>(
        &self,
        part: impl Future<Output = Result<T, MultipartError>>,
    ) -> Result<T, ApiError> {
        let end = self.began + PATIENCE + Duration::from_secs(self.bytes / RATE);
        match timeout_at(end, part).await {
            Ok(result) => result.map_err(ApiError::from),
            Err(_) => Err(ApiError::slow()),
        }
    }
}
