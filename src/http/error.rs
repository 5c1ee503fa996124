//! Errors as clients see them.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::multipart::{MultipartError, MultipartRejection};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use tinsmith_build::ZooError;
use tinsmith_inference::InferenceError;
use tinsmith_lwm2m::Outcome;
use tinsmith_server::NoAnswer;
use tinsmith_store::StoreError;

/// An answer other than success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// The request can't be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "bad_request",
            message: message.into(),
        }
    }

    /// No such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "not_found",
            message: message.into(),
        }
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
        Self {
            status: StatusCode::MISDIRECTED_REQUEST,
            code: "unknown_host",
            message: format!(
                "this server is not called '{host}'; if it is, start it with --http-host {host}"
            ),
        }
    }

    /// A page of another site sent it.
    pub fn foreign() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "foreign_origin",
            message: "a page of another site can't change anything here".to_owned(),
        }
    }

    /// The body has more bytes than the route takes.
    pub fn too_large(limit: usize) -> Self {
        Self::part_too_large(format!("the body is longer than {limit} bytes"))
    }

    /// Part of the body has too many bytes.
    pub(crate) fn part_too_large(message: String) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "too_large",
            message,
        }
    }

    /// The body is of another kind.
    pub fn media_type(expected: &str) -> Self {
        Self {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code: "media_type",
            message: format!("the body must be sent with content-type: {expected}"),
        }
    }

    /// The body does not come.
    pub fn slow() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            code: "slow",
            message: "the body did not come in time".to_owned(),
        }
    }

    /// What is promised now can't be kept.
    pub fn unready(message: String) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "not_ready",
            message,
        }
    }

    /// The disk failed.
    pub fn disk(error: &std::io::Error) -> Self {
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        Self {
            status: if full {
                StatusCode::INSUFFICIENT_STORAGE
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            },
            code: "storage",
            message: format!("cannot be kept: {error}"),
        }
    }

    /// It can't be done as things stand.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            code: "conflict",
            message: message.into(),
        }
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
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "storage",
            message: error.to_string(),
        }
    }

    /// What is stored of a device can't be read, so nothing can be decided about it.
    pub fn unreadable(endpoint: &str, reason: &str) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            code: "unreadable",
            message: format!(
                "what is stored of the updates of '{endpoint}' can't be read and is left as it \
                 is: {reason}"
            ),
        }
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
        Self {
            status,
            code,
            message,
        }
    }
}

impl From<NoAnswer> for ApiError {
    fn from(error: NoAnswer) -> Self {
        let (status, code) = match error {
            NoAnswer::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            NoAnswer::Full => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
            NoAnswer::NotStored => (StatusCode::SERVICE_UNAVAILABLE, "not_stored"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        };
        Self {
            status,
            code,
            message: error.to_string(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => NoAnswer::Full.into(),
            error => ApiError::storage(&error),
        }
    }
}

impl From<InferenceError> for ApiError {
    fn from(error: InferenceError) -> Self {
        match error {
            InferenceError::NoAnswer(error) => error.into(),
            InferenceError::Device { outcome, .. } => ApiError::device(outcome),
            InferenceError::Size(_) => ApiError::bad_request(error.to_string()),
            InferenceError::NoModel | InferenceError::Changed => {
                ApiError::conflict(error.to_string())
            }
            InferenceError::Descriptor(_)
            | InferenceError::Tensors { .. }
            | InferenceError::Missing(_) => ApiError::device(Outcome::Malformed(error.to_string())),
        }
    }
}

impl From<ZooError> for ApiError {
    fn from(error: ZooError) -> Self {
        let (status, code) = match &error {
            ZooError::Unknown { .. } => (StatusCode::NOT_FOUND, "unknown_model"),
            ZooError::Unreadable { .. } => (StatusCode::CONFLICT, "unreadable"),
            ZooError::Damaged { .. } => (StatusCode::CONFLICT, "damaged"),
            ZooError::Immutable { .. } => (StatusCode::CONFLICT, "version_exists"),
            ZooError::Shipped(_) => (StatusCode::CONFLICT, "shipped_model"),
            ZooError::Card(_) | ZooError::Data { .. } | ZooError::Model(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "bad_model")
            }
            ZooError::Full => (StatusCode::INSUFFICIENT_STORAGE, "zoo_full"),
            ZooError::Store(StoreError::Full) | ZooError::NoRoom => {
                (StatusCode::INSUFFICIENT_STORAGE, "disk_full")
            }
            ZooError::Store(_) | ZooError::File(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "storage")
            }
        };
        Self {
            status,
            code,
            message: error.to_string(),
        }
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
        Self {
            status,
            code,
            message,
        }
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
        (self.status, Json(self.body())).into_response()
    }
}
