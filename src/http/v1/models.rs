//! `/api/v1/models`.

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{ApiError, App};
use tinsmith_build::{Card, Model};

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
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let model = app.zoo.find(&name)?;
    app.builder.read(&model).await?;
    let facts = model.facts();
    let mut value = describe(&model);
    value["card"] = json!(model.card);
    value["calibration_samples"] = json!(facts.map(|facts| facts.calibration.samples));
    value["test_samples"] = json!(facts.and_then(|facts| Some(facts.test.as_ref()?.samples)));
    Ok(Json(value))
}

/// Adds a model: multipart/form-data with the files `card` (JSON), `onnx`, `calibration` (.npz or
/// .npy) and, if there is one, `test` (.npz).
pub(super) async fn add(
    State(app): State<App>,
    mut form: Multipart,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let wrong = |error: MultipartError| ApiError::bad_request(error.body_text());
    let (mut card, mut onnx, mut calibration, mut test) = (None, None, None, None);
    while let Some(field) = form.next_field().await.map_err(wrong)? {
        let name = field.name().unwrap_or_default().to_owned();
        let part = match name.as_str() {
            "card" => &mut card,
            "onnx" => &mut onnx,
            "calibration" => &mut calibration,
            "test" => &mut test,
            _ => {
                let text = format!("unknown part '{name}'; expected card, onnx, calibration, test");
                return Err(ApiError::bad_request(text));
            }
        };
        *part = Some(field.bytes().await.map_err(wrong)?.to_vec());
    }
    let missing = |name: &str| ApiError::bad_request(format!("part '{name}' is missing"));
    let card = Card::parse(&card.ok_or_else(|| missing("card"))?)
        .map_err(|error| ApiError::from(tinsmith_build::ZooError::Card(error)))?;
    let onnx = onnx.ok_or_else(|| missing("onnx"))?;
    let calibration = calibration.ok_or_else(|| missing("calibration"))?;
    let model = app
        .builder
        .check(Model::new(card, onnx, calibration, test)?)
        .await?;
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
    })
}
