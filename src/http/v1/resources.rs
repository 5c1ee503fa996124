//! `/api/v1/devices/{endpoint}/resources/{path}`: read, write and execute single nodes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path as UrlPath, Query, State};
use axum::response::{IntoResponse, Response};
use lwm2m_objects::model::Builtin;
use lwm2m_objects::{OwnedValue, Path, ValueType};
use serde::Deserialize;
use serde_json::Value;

use super::{outcome, requests};
use crate::{ApiError, App};
use tinsmith_digest::decode_hex;
use tinsmith_lwm2m::{Models, Operation};

/// How long an HTTP request waits for a device, unless it says so (s).
const WAIT: u64 = 60;
/// The longest of that.
const LONGEST_WAIT: u64 = 600;
/// The longest that a request may wait for its device (s).
const LONGEST_LATER: u64 = 30 * 86_400;

/// What is done about a device that does not answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patience {
    /// Seconds until this request is answered.
    timeout: Option<u64>,
    /// Seconds that what is asked waits for the device: then the answer is 202, with where the
    /// result will be.
    later: Option<u64>,
}

type Place = Result<UrlPath<(String, String)>, PathRejection>;
type HowLong = Result<Query<Patience>, QueryRejection>;

/// Reads an object, an instance or a resource.
pub(crate) async fn read(
    State(app): State<App>,
    place: Place,
    how_long: HowLong,
) -> Result<Response, ApiError> {
    let UrlPath((endpoint, path)) = place?;
    let operation = Operation::read(parse(&path)?);
    ask(&app, &endpoint, operation, how_long).await
}

/// A value to write.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    value: Value,
}

/// Writes a resource. The type is that of the object definition.
pub(crate) async fn write(
    State(app): State<App>,
    place: Place,
    how_long: HowLong,
    body: Result<Json<Write>, JsonRejection>,
) -> Result<Response, ApiError> {
    let UrlPath((endpoint, path)) = place?;
    let path = parse(&path)?;
    let Json(body) = body?;
    let registration = app.server.registration(&endpoint).await?;
    let models: Models = match &registration {
        Some(registration) => app.server.models(registration),
        None => Arc::new(Builtin),
    };
    let value = from_json(&models, &path, &body.value)?;
    let operation = Operation::write(path, vec![(path, value)], true);
    ask(&app, &endpoint, operation, how_long).await
}

/// Arguments of an Execute.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Execute {
    #[serde(default)]
    arguments: String,
}

/// Executes a resource.
pub(crate) async fn execute(
    State(app): State<App>,
    place: Place,
    how_long: HowLong,
    body: Result<Option<Json<Execute>>, JsonRejection>,
) -> Result<Response, ApiError> {
    let UrlPath((endpoint, path)) = place?;
    let path = parse(&path)?;
    let arguments = body?.map(|Json(body)| body.arguments).unwrap_or_default();
    let operation = Operation::Execute { path, arguments };
    ask(&app, &endpoint, operation, how_long).await
}

/// How long an HTTP request waits for a device that is given so many seconds.
pub(crate) fn wait(timeout: Option<u64>) -> Result<Duration, ApiError> {
    bounded("timeout", timeout.unwrap_or(WAIT), LONGEST_WAIT).map(Duration::from_secs)
}

fn bounded(name: &str, value: u64, longest: u64) -> Result<u64, ApiError> {
    match value {
        value if (1..=longest).contains(&value) => Ok(value),
        _ => Err(ApiError::bad_request(format!(
            "{name} must be 1 to {longest} seconds"
        ))),
    }
}

async fn ask(
    app: &App,
    endpoint: &str,
    operation: Operation,
    how_long: HowLong,
) -> Result<Response, ApiError> {
    let Query(Patience { timeout, later }) = how_long?;
    let wait = wait(timeout)?;
    let millis = wait.as_millis() as u64;
    let Some(later) = later else {
        let outcome = app.server.request(endpoint, operation, millis).await?;
        return Ok(outcome::answer(endpoint, outcome)?.into_response());
    };
    let later = bounded("later", later, LONGEST_LATER)?;
    let known = app.server.device(endpoint).await?;
    let known = known.ok_or_else(|| ApiError::unknown_device(endpoint))?;
    // Nobody waits for one that is not there.
    let there = known.presence.is_some_and(|presence| presence.reachable);
    let wait = if there { wait } else { Duration::ZERO };
    let id = app
        .server
        .ask_later(endpoint, operation, later * 1000)
        .await?;
    requests::first_answer(app, id, wait).await
}

fn parse(path: &str) -> Result<Path, ApiError> {
    format!("/{path}")
        .parse()
        .map_err(|error| ApiError::bad_request(format!("'/{path}' is not a path: {error}")))
}

fn from_json(models: &Models, path: &Path, value: &Value) -> Result<OwnedValue, ApiError> {
    let resource = path.resource_id().ok_or_else(|| {
        ApiError::bad_request(format!(
            "{path} is not a resource; write one resource at a time"
        ))
    })?;
    let definition = path
        .object_id()
        .and_then(|object| models.resource(object, resource))
        .ok_or_else(|| ApiError::bad_request(format!("{path} has no known definition")))?;
    let wanted = definition.value_type();
    let found = match (wanted, value) {
        (ValueType::String, Value::String(text)) => Some(OwnedValue::String(text.clone())),
        (ValueType::Corelnk, Value::String(text)) => Some(OwnedValue::Corelnk(text.clone())),
        (ValueType::Integer, value) => value.as_i64().map(OwnedValue::Integer),
        (ValueType::Time, value) => value.as_i64().map(OwnedValue::Time),
        (ValueType::UnsignedInteger, value) => value.as_u64().map(OwnedValue::UnsignedInteger),
        (ValueType::Float, value) => value.as_f64().map(OwnedValue::Float),
        (ValueType::Boolean, Value::Bool(b)) => Some(OwnedValue::Boolean(*b)),
        (ValueType::Opaque, value) => value["hex"]
            .as_str()
            .and_then(decode_hex)
            .map(OwnedValue::Opaque),
        (ValueType::Objlnk, Value::String(text)) => {
            lwm2m_objects::Objlnk::parse(text).map(OwnedValue::Objlnk)
        }
        _ => None,
    };
    found.ok_or_else(|| {
        ApiError::bad_request(format!(
            "{path} takes a value of type {wanted:?}, not {value}"
        ))
    })
}
