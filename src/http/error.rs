//! Errors as clients see them.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

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

    /// It can't be done as things stand.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            code: "conflict",
            message: message.into(),
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

    /// The device did not do what it was asked.
    pub fn device(outcome: Outcome) -> Self {
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
            Outcome::Content(_) | Outcome::Links(_) | Outcome::Done => (
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

impl From<InferenceError> for ApiError {
    fn from(error: InferenceError) -> Self {
        match error {
            InferenceError::NoAnswer(error) => error.into(),
            InferenceError::Device { outcome, .. } => ApiError::device(outcome),
            InferenceError::Size(_) => ApiError::bad_request(error.to_string()),
            InferenceError::NoModel => ApiError::conflict(error.to_string()),
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

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self {
            status: rejection.status(),
            code: "bad_request",
            message: rejection.body_text(),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self {
            status: rejection.status(),
            code: "bad_request",
            message: rejection.body_text(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}
