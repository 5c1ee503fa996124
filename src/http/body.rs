//! Bodies: how long they may be, how long they may take, and how many are worked on at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::ApiError;

/// The most bytes of a JSON body; enough for every request but a sample.
pub(crate) const SMALL: usize = 64 << 10;
/// The most bytes of a sample in JSON: some 300,000 numbers.
pub(crate) const SAMPLE: usize = 4 << 20;
/// How long a JSON body may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a request may wait for its turn.
const QUEUE: Duration = Duration::from_secs(30);

/// A route whose requests cost much: few are worked on at once, the others wait for their turn.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn new(at_once: usize) -> Self {
        Turns(Arc::new(Semaphore::new(at_once)))
    }
}

/// Waits for the turn of a request, before anything of its body is read.
pub(crate) async fn take_turn(
    State(turns): State<Turns>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let turn = timeout(QUEUE, turns.0.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(tinsmith_server::NoAnswer::Busy.into());
    };
    Ok(next.run(request).await)
}

/// Reads a JSON body whole, at most `limit` bytes of it and not for longer than [`PATIENCE`]. A
/// body that is not called JSON is refused: a page of another site can send any other kind
/// without asking.
pub(crate) async fn read_json(
    State(limit): State<usize>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let length = parts.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(ApiError::too_large(limit));
    }
    let bytes = match timeout(PATIENCE, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_limit(&error) => return Err(ApiError::too_large(limit)),
        Ok(Err(_)) => return Err(ApiError::bad_request("the body ends too early")),
        Err(_) => return Err(ApiError::slow()),
    };
    let kind = parts.headers.get(CONTENT_TYPE);
    if !(bytes.is_empty() || kind.is_some_and(|kind| is_json(kind.as_bytes()))) {
        return Err(ApiError::media_type("application/json"));
    }
    Ok(next
        .run(Request::from_parts(parts, Body::from(bytes)))
        .await)
}

fn is_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_json(kind: &[u8]) -> bool {
    let essence = kind.split(|c| *c == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}
