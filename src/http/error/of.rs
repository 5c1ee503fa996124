//! What went wrong elsewhere, as clients see it.

use axum::http::StatusCode;
use tinsmith_access::TokenError;
use tinsmith_build::ZooError;
use tinsmith_inference::InferenceError;
use tinsmith_lwm2m::Outcome;
use tinsmith_security::KeyError;
use tinsmith_server::NoAnswer;
use tinsmith_store::StoreError;

use super::ApiError;

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let message = error.to_string();
        match error {
            TokenError::Name => Self::bad_request(message),
            TokenError::Exists(_) => Self::new(StatusCode::CONFLICT, "token_exists", message),
            TokenError::Unknown(_) => Self::not_found(message),
            TokenError::LastAdmin(_) => Self::used(message),
            TokenError::Full => Self::conflict(message),
            TokenError::Store(error) => error.into(),
            error => Self::storage(&error),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        let message = error.to_string();
        match error {
            KeyError::Entry(_) => Self::bad_request(message),
            KeyError::Exists(_) => Self::new(StatusCode::CONFLICT, "credential_exists", message),
            KeyError::Unknown(_) => Self::not_found(message),
            KeyError::Full => Self::conflict(message),
            KeyError::Store(error) => error.into(),
            error => Self::storage(&error),
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
        Self::new(status, code, error.to_string())
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
        Self::new(status, code, error.to_string())
    }
}
