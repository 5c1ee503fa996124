//! `/api/v1/models`.

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::upload::Upload;
use crate::{ApiError, App};
use tinsmith_build::{Card, Model, ZooError};

/// What an upload is.
const FORM: &str = "multipart/form-data";

/// All models, without their data; `unreadable` names those whose records can't be read,
/// `damaged` those whose files are gone or damaged.
pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let models: Vec<Value> = app.zoo.list().iter().map(|model| describe(model)).collect();
    let mut answer = json!({ "models": models });
    let unreadable = app.zoo.unreadable();
    if !unreadable.is_empty() {
        answer["unreadable"] = json!(unreadable);
    }
    let damaged = app.zoo.damaged();
    if !damaged.is_empty() {
        answer["damaged"] = json!(damaged);
    }
    Json(answer)
}

/// One model with its card.
pub(super) async fn show(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(name) = name?;
    let model = app.zoo.find(&name)?;
    app.builder.read(&model).await?;
    let facts = model.facts();
    let mut value = describe(&model);
    value["card"] = json!(model.card);
    value["calibration_samples"] = json!(facts.map(|facts| facts.calibration.samples));
    value["test_samples"] = json!(facts.and_then(|facts| Some(facts.test.as_ref()?.samples)));
    Ok(Json(value))
}

/// How an added model is built.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choices {
    /// Even if layers and outputs have a low signal to noise.
    #[serde(default)]
    allow_low_sqnr: bool,
}

/// Adds a model: multipart/form-data with the files `card` (JSON), `onnx`, `calibration` (.npz or
/// .npy) and, if there is one, `test` (.npz).
pub(super) async fn add(
    State(app): State<App>,
    choices: Result<Query<Choices>, QueryRejection>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    if !kind.starts_with(FORM.as_bytes()) {
        return Err(ApiError::media_type(FORM));
    }
    let Query(choices) = choices?;
    let mut upload = Upload::receive(form?, &app.scratch).await?;
    let card = Card::parse(&upload.need("card")?).map_err(ZooError::Card)?;
    let (onnx, calibration) = (upload.need("onnx")?, upload.need("calibration")?);
    let test = upload.take("test")?;
    let mut model = Model::new(card, onnx, calibration, test)?;
    model.allow_low_sqnr = choices.allow_low_sqnr;
    let model = app.builder.check(model).await?;
    let model = app.zoo.add(model).await?;
    Ok((StatusCode::CREATED, Json(describe(&model))))
}

fn describe(model: &Model) -> Value {
    json!({
        "name": model.card.name,
        "version": model.card.version,
        "task": model.card.task,
        "description": model.card.description,
        "metric": model.card.metric,
        "source": model.source,
        "onnx_bytes": model.onnx.len(),
        "shipped": model.shipped,
        "allow_low_sqnr": model.allow_low_sqnr,
    })
}
