//! Errors as clients see them.

mod of;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::multipart::{MultipartError, MultipartRejection};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use tinsmith_access::Role;
use tinsmith_lwm2m::Outcome;

/// An answer other than success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds until it is worth while to ask again.
    retry: Option<u64>,
}

/// The code of an error, beside its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub(crate) &'static str);

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let (message, retry) = (message.into(), None);
        Self {
            status,
            code,
            message,
            retry,
        }
    }

    /// No key, or one that opens nothing.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// Who asks may not do this.
    pub fn forbidden(name: &str, has: Role, needed: Role) -> Self {
        let message = format!("this needs the role {needed}; token '{name}' is a {has}");
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Too much is asked, or too many wrong keys are tried.
    pub fn too_many(seconds: u64) -> Self {
        let message = format!("too many requests; again in {seconds} s");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        let retry = Some(seconds);
        Self { retry, ..error }
    }

    /// The request can't be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// No such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// What it says.
    pub fn body(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message } })
    }

    /// Which status it has.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// It was sent to another server, or by a page that calls this server by a name of its own.
    pub fn misdirected(host: &str) -> Self {
        let host: String = host.chars().take(80).collect();
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            format!(
                "this server is not called '{host}'; if it is, start it with --http-host {host}"
            ),
        )
    }

    /// A page of another site sent it.
    pub fn foreign() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "a page of another site can't change anything here".to_owned(),
        )
    }

    /// The body has more bytes than the route takes.
    pub fn too_large(limit: usize) -> Self {
        Self::part_too_large(format!("the body is longer than {limit} bytes"))
    }

    /// Part of the body has too many bytes.
    pub(crate) fn part_too_large(message: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// The body is of another kind.
    pub fn media_type(expected: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            format!("the body must be sent with content-type: {expected}"),
        )
    }

    /// The body does not come.
    pub fn slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow",
            "the body did not come in time".to_owned(),
        )
    }

    /// What is promised now can't be kept.
    pub fn unready(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
    }

    /// The disk failed.
    pub fn disk(error: &std::io::Error) -> Self {
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        let status = if full {
            StatusCode::INSUFFICIENT_STORAGE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Self::new(status, "storage", format!("cannot be kept: {error}"))
    }

    /// It can't be done as things stand.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// Somebody needs what is to be removed.
    pub fn used(message: impl Into<String>) -> Self {
        Self {
            code: "in_use",
            ..Self::conflict(message)
        }
    }

    /// The server's own disk.
    pub fn storage(error: &dyn std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "storage",
            error.to_string(),
        )
    }

    /// What is stored of a device can't be read, so nothing can be decided about it.
    pub fn unreadable(endpoint: &str, reason: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "unreadable",
            format!(
                "what is stored of the updates of '{endpoint}' can't be read and is left as it \
                 is: {reason}"
            ),
        )
    }

    /// No device of that name.
    pub fn unknown_device(endpoint: &str) -> Self {
        let name: String = endpoint.chars().take(80).collect();
        Self::not_found(format!(
            "no device '{name}'; see: tinsmith device list (GET /api/v1/devices)"
        ))
    }

    /// A device that is asked something is not registered.
    pub fn not_registered(endpoint: &str) -> Self {
        let name: String = endpoint.chars().take(80).collect();
        Self::not_found(format!(
            "no device '{name}' is registered now; ?later=SECONDS lets a request wait for it"
        ))
    }

    /// No device of that name has been seen, and nobody said that one will come.
    pub fn unexpected_device(endpoint: &str) -> Self {
        let name: String = endpoint.chars().take(80).collect();
        Self::not_found(format!(
            "no device '{name}' has been seen; for one that is still to come: --expect \
             (\"expect\": true)"
        ))
    }

    /// The device did not do what it was asked.
    pub fn device(mut outcome: Outcome) -> Self {
        // Of a unit the last one is what ended it.
        while let Outcome::Unit(all) = &mut outcome {
            outcome = all.pop().unwrap_or(Outcome::Done);
        }
        let (status, code, message) = match outcome {
            Outcome::Rejected { code, diagnostic } => {
                let text = format!("the device answered {}.{:02}", code >> 5, code & 31);
                let text = if diagnostic.is_empty() {
                    text
                } else {
                    text + ": " + &diagnostic
                };
                (StatusCode::BAD_GATEWAY, "device_refused", text)
            }
            Outcome::Unavailable { after, diagnostic } => {
                let text = format!("the device can't do that now; ask again after {after} s");
                let text = if diagnostic.is_empty() {
                    text
                } else {
                    text + ": " + &diagnostic
                };
                (StatusCode::BAD_GATEWAY, "device_refused", text)
            }
            Outcome::NotObserved(_) => (
                StatusCode::BAD_GATEWAY,
                "device_refused",
                "the device answered, but does not observe that".to_owned(),
            ),
            Outcome::Malformed(text) => (
                StatusCode::BAD_GATEWAY,
                "device_malformed",
                format!("the device's answer can't be understood: {text}"),
            ),
            Outcome::Reset => (
                StatusCode::BAD_GATEWAY,
                "device_reset",
                "the device answered with a Reset".to_owned(),
            ),
            Outcome::TimedOut { .. } | Outcome::Expired => (
                StatusCode::GATEWAY_TIMEOUT,
                "device_timeout",
                "the device did not answer in time".to_owned(),
            ),
            Outcome::NotRegistered => (
                StatusCode::NOT_FOUND,
                "not_found",
                "the device is not registered".to_owned(),
            ),
            Outcome::Cancelled(why) => (
                StatusCode::CONFLICT,
                "cancelled",
                format!("the request was cancelled: {why}"),
            ),
            Outcome::Content(_) | Outcome::Links(_) | Outcome::Done | Outcome::Unit(_) => (
                StatusCode::BAD_GATEWAY,
                "device_unexpected",
                "the device gave an answer of another kind than the request's".to_owned(),
            ),
        };
        Self::new(status, code, message)
    }
}

/// What an extractor refuses, in its words.
macro_rules! refused {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for ApiError {
            fn from(rejection: $rejection) -> Self {
                Self::refused(rejection.status(), &rejection.body_text())
            }
        }
    )*};
}

refused!(
    QueryRejection,
    JsonRejection,
    PathRejection,
    MultipartRejection,
    MultipartError
);

impl ApiError {
    fn refused(status: StatusCode, text: &str) -> Self {
        let code = match status {
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "media_type",
            StatusCode::NOT_FOUND => "not_found",
            status if status.is_server_error() => "internal",
            _ => "bad_request",
        };
        let message = match text {
            "" => status.canonical_reason().unwrap_or("refused").to_owned(),
            text => text.to_owned(),
        };
        Self::new(status, code, message)
    }
}

/// Most bytes of an error in plain text.
const TEXT: usize = 4096;

/// Errors that the router or an extractor answers in plain text, as ours.
pub(crate) async fn as_json(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(CONTENT_TYPE);
    if !is_error || kind.is_some_and(|kind| kind == "application/json") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let allow = parts.headers.get(ALLOW);
    let text = to_bytes(body, TEXT).await.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some(allow) = allow.and_then(|methods| methods.to_str().ok()) {
        text = format!("this path takes {allow}");
    }
    let mut answer = ApiError::refused(status, &text).into_response();
    if let Some(allow) = allow {
        answer.headers_mut().insert(ALLOW, allow.clone());
    }
    answer
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        response.extensions_mut().insert(Code(self.code));
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"tinsmith\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
