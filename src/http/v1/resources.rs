//! `/api/v1/devices/{endpoint}/resources/{path}`: read, write and execute single nodes.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path as UrlPath, State};
use lwm2m_objects::{OwnedValue, Path, ValueType};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ApiError, App};
use tinsmith_digest::{decode_hex, encode_hex};
use tinsmith_lwm2m::{Models, Operation, Outcome, PathValue};

/// How long an HTTP request waits for a device (ms).
const WAIT: u64 = 60_000;

/// Reads an object, an instance or a resource.
pub(super) async fn read(
    State(app): State<App>,
    place: Result<UrlPath<(String, String)>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let UrlPath((endpoint, path)) = place?;
    let path = parse(&path)?;
    match app
        .server
        .request(&endpoint, Operation::read(path), WAIT)
        .await?
    {
        Outcome::Content(values) => {
            let values: Vec<Value> = values.iter().map(read_value).collect();
            Ok(Json(json!({ "values": values })))
        }
        Outcome::NotRegistered => Err(ApiError::unknown_device(&endpoint)),
        other => Err(ApiError::device(other)),
    }
}

/// A value to write.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Write {
    value: Value,
}

/// Writes a resource. The type is that of the object definition.
pub(super) async fn write(
    State(app): State<App>,
    place: Result<UrlPath<(String, String)>, PathRejection>,
    body: Result<Json<Write>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let UrlPath((endpoint, path)) = place?;
    let path = parse(&path)?;
    let Json(body) = body?;
    let registration = app.server.registration(&endpoint).await?;
    let registration = registration.ok_or_else(|| ApiError::unknown_device(&endpoint))?;
    let models = app.server.models(&registration);
    let value = from_json(&models, &path, &body.value)?;
    let operation = Operation::write(path, vec![(path, value)], true);
    done(&app, &endpoint, operation).await
}

/// Arguments of an Execute.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Execute {
    #[serde(default)]
    arguments: String,
}

/// Executes a resource.
pub(super) async fn execute(
    State(app): State<App>,
    place: Result<UrlPath<(String, String)>, PathRejection>,
    body: Result<Option<Json<Execute>>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let UrlPath((endpoint, path)) = place?;
    let path = parse(&path)?;
    let arguments = body?.map(|Json(body)| body.arguments).unwrap_or_default();
    done(&app, &endpoint, Operation::Execute { path, arguments }).await
}

async fn done(app: &App, endpoint: &str, operation: Operation) -> Result<Json<Value>, ApiError> {
    match app.server.request(endpoint, operation, WAIT).await? {
        Outcome::Done => Ok(Json(json!({ "done": true }))),
        Outcome::NotRegistered => Err(ApiError::unknown_device(endpoint)),
        other => Err(ApiError::device(other)),
    }
}

fn parse(path: &str) -> Result<Path, ApiError> {
    format!("/{path}")
        .parse()
        .map_err(|error| ApiError::bad_request(format!("'/{path}' is not a path: {error}")))
}

fn read_value(found: &PathValue) -> Value {
    let mut shown = json!({ "path": found.path.to_string(), "value": to_json(&found.value) });
    if let Some(time) = found.time {
        shown["time"] = json!(time);
    }
    shown
}

fn to_json(value: &OwnedValue) -> Value {
    match value {
        OwnedValue::String(text) | OwnedValue::Corelnk(text) => json!(text),
        OwnedValue::Integer(n) | OwnedValue::Time(n) => json!(n),
        OwnedValue::UnsignedInteger(n) => json!(n),
        OwnedValue::Float(n) => json!(n),
        OwnedValue::Boolean(b) => json!(b),
        OwnedValue::Opaque(bytes) => json!({ "hex": encode_hex(bytes) }),
        OwnedValue::Objlnk(link) => json!(link.to_string()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_with_the_time_that_the_device_gave_it() {
        let mut found = PathValue::from((Path::resource(3303, 0, 5700), OwnedValue::Float(1.5)));
        let shown = json!({ "path": "/3303/0/5700", "value": 1.5 });
        assert_eq!(read_value(&found), shown);
        found.time = Some(1.6e9);
        assert_eq!(read_value(&found)["time"], json!(1.6e9));
    }
}
