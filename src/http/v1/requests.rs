//! `/api/v1/requests/{id}`: what became of a request that waits for its device.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::outcome::answer;
use crate::{ApiError, App};
use tinsmith_lwm2m::RequestId;
use tinsmith_server::{Later, SHELL_REQUESTS};

fn unknown(id: &str) -> ApiError {
    let id: String = id.chars().take(40).collect();
    ApiError::not_found(format!(
        "no request '{id}'; what became of one is kept for an hour, and not over the end of the server"
    ))
}

fn parse(text: &str) -> Result<RequestId, ApiError> {
    let number: Option<u64> = text.parse().ok();
    let number = number.filter(|number| number & SHELL_REQUESTS == 0);
    let id = number.map(|number| RequestId(number | SHELL_REQUESTS));
    id.ok_or_else(|| unknown(text))
}

fn name(id: RequestId) -> String {
    (id.0 & !SHELL_REQUESTS).to_string()
}

/// What is known of a request once it has ended, or after that time.
async fn result(app: &App, id: RequestId, wait: Duration) -> Result<Later, ApiError> {
    let later = app.server.result(id, wait).await;
    later.ok_or_else(|| unknown(&name(id)))
}

/// To whoever asked: what the device answered, if it did so in time, else where that will be.
pub(super) async fn first_answer(
    app: &App,
    id: RequestId,
    wait: Duration,
) -> Result<Response, ApiError> {
    let later = result(app, id, wait).await?;
    if let Some(outcome) = later.outcome {
        return Ok(answer(&later.endpoint, outcome)?.into_response());
    }
    let location = format!("/api/v1/requests/{}", name(id));
    let body = Json(describe(id, later));
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
}

/// What became of a request.
pub(crate) async fn show(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(text) = id?;
    let id = parse(&text)?;
    let later = result(&app, id, Duration::ZERO).await?;
    Ok(Json(describe(id, later)))
}

/// Takes a request back.
pub(crate) async fn withdraw(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(text) = id?;
    let id = parse(&text)?;
    let later = result(&app, id, Duration::ZERO).await?;
    if later.outcome.is_none() {
        app.server.withdraw(&later.endpoint, id).await?;
    }
    let later = result(&app, id, WITHDRAWN).await?;
    Ok(Json(describe(id, later)))
}

/// How long the end of a request that is taken back may take.
const WITHDRAWN: Duration = Duration::from_secs(5);

/// `state` is `waiting` or `ended`; then `status` and `answer` are what a request that waited
/// would have been answered with.
fn describe(id: RequestId, later: Later) -> Value {
    let mut value = json!({
        "request": name(id),
        "endpoint": &*later.endpoint,
        "state": "waiting",
        "until": later.until,
        "result": format!("/api/v1/requests/{}", name(id)),
    });
    if let Some(outcome) = later.outcome {
        value["state"] = json!("ended");
        match answer(&later.endpoint, outcome) {
            Ok(Json(answer)) => {
                value["status"] = json!(200);
                value["answer"] = answer;
            }
            Err(error) => {
                value["status"] = json!(error.status().as_u16());
                value["answer"] = error.body();
            }
        }
    }
    value
}
