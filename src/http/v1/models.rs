//! `/api/v1/models`.

use axum::Json;
use axum::extract::multipart::Multipart;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tracing::info;

use super::upload::Upload;
use crate::metered::Meter;
use crate::{ApiError, App};
use tinsmith_build::{Card, Model, ZooError};
use tinsmith_server::MAX_DEVICES;

/// What an upload is.
const FORM: &str = "multipart/form-data";

/// All models, without their data; `unreadable` names those whose records can't be read,
/// `damaged` those whose files are gone or damaged.
pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
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
pub(crate) async fn show(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(name) = name?;
    card(&app, app.zoo.find(&name)?).await
}

/// One version of a model with its card.
pub(crate) async fn show_version(
    State(app): State<App>,
    place: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path((name, version)) = place?;
    card(&app, app.zoo.find_version(&name, Some(&version))?).await
}

async fn card(app: &App, model: Arc<Model>) -> Result<Json<Value>, ApiError> {
    app.builder.read(&model).await?;
    let facts = model.facts();
    let mut value = describe(&model);
    value["card"] = json!(model.card);
    value["versions"] = json!(app.zoo.versions(&model.card.name));
    value["calibration_samples"] = json!(facts.map(|facts| facts.calibration.samples));
    value["test_samples"] = json!(facts.and_then(|facts| Some(facts.test.as_ref()?.samples)));
    Ok(Json(value))
}

/// How an added model is built.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choices {
    /// Even if layers and outputs have a low signal to noise.
    #[serde(default)]
    allow_low_sqnr: bool,
}

/// Adds a model: multipart/form-data with the files `card` (JSON), `onnx`, `calibration` (.npz or
/// .npy) and, if there is one, `test` (.npz).
pub(crate) async fn add(
    State(app): State<App>,
    choices: Result<Query<Choices>, QueryRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map(|kind| kind.as_bytes());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    if !kind.starts_with(FORM.as_bytes()) {
        return Err(ApiError::media_type(FORM));
    }
    let Query(choices) = choices?;
    let (request, meter) = Meter::put(request);
    let form = Multipart::from_request(request, &()).await?;
    let mut upload = Upload::receive(form, &meter, &app.scratch).await?;
    let card = Card::parse(&upload.need("card")?).map_err(ZooError::Card)?;
    let (onnx, calibration) = (upload.need("onnx")?, upload.need("calibration")?);
    let test = upload.take("test")?;
    let mut model = Model::new(card, onnx, calibration, test)?;
    model.allow_low_sqnr = choices.allow_low_sqnr;
    let model = app.builder.check(model).await?;
    let _turn = app.zoo_turn.write().await;
    let (model, new) = app.zoo.add(model).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(describe(&model))))
}

/// Removes a version of a model that no device wants.
pub(crate) async fn remove(
    State(app): State<App>,
    place: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path((name, version)) = place?;
    let _turn = app.zoo_turn.write().await;
    let users = users(&app, &name, &version).await?;
    if let Some((first, count)) = users {
        let others = match count {
            1 => String::new(),
            2 => " and by another device".to_owned(),
            count => format!(" and by {} other devices", count - 1),
        };
        return Err(ApiError::used(format!(
            "model '{name}' {version} is wanted by '{first}'{others}"
        )));
    }
    app.zoo.remove(&name, &version).await?;
    info!(name, version, "a model is removed");
    Ok(Json(
        json!({ "removed": { "name": name, "version": version } }),
    ))
}

/// The first device that wants a version of a model, and how many do.
async fn users(app: &App, name: &str, version: &str) -> Result<Option<(String, usize)>, ApiError> {
    let mut users: Option<(String, usize)> = None;
    let mut after = None;
    loop {
        let page = app.server.devices(after.as_deref(), MAX_DEVICES).await?;
        for known in &page.devices {
            let status = known.status.as_ref();
            let desired = status.and_then(|status| status.record.desired.as_ref());
            if desired.is_some_and(|d| d.model == name && d.version == version) {
                let (_, count) = users.get_or_insert_with(|| (known.endpoint.to_string(), 0));
                *count += 1;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(users),
        }
    }
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
