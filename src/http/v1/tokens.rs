//! `/api/v1/tokens`.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tinsmith_access::{Named, Role, Secret, Token};

use crate::{ApiError, App};

/// The longest that a token may last, if it is to end (days).
const LONGEST: u32 = 36_500;
const DAY: u64 = 86_400_000;

/// All tokens; their secrets are not known here.
pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    let now = app.server.now().wall;
    let tokens = app.doors.tokens.list();
    let tokens: Vec<Value> = tokens.iter().map(|token| describe(token, now)).collect();
    Json(json!({ "tokens": tokens }))
}

/// A token to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    name: String,
    role: Role,
    expires_days: Option<u32>,
}

/// Makes a token. Its secret is in this answer and nowhere else.
pub(crate) async fn make(
    State(app): State<App>,
    body: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Json(new) = body?;
    if new
        .expires_days
        .is_some_and(|days| !(1..=LONGEST).contains(&days))
    {
        let text = format!("expires_days must be 1 to {LONGEST}");
        return Err(ApiError::bad_request(text));
    }
    let random = tinsmith_server::random().map_err(|error| ApiError::storage(&error))?;
    let secret = Secret::new(&random);
    let now = app.server.now().wall;
    let named = Named {
        name: new.name,
        role: new.role,
        expires: new.expires_days.map(|days| now + u64::from(days) * DAY),
    };
    let token = app.doors.tokens.make(now, &secret, named).await?;
    let mut value = describe(&token, now);
    value["token"] = json!(secret.reveal());
    Ok((StatusCode::CREATED, Json(value)))
}

/// Removes a token, and ends what was begun with it.
pub(crate) async fn remove(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(name) = name?;
    let removed = app
        .doors
        .tokens
        .remove(app.server.now().wall, &name)
        .await?;
    Ok(Json(json!({ "removed": removed.name })))
}

fn describe(token: &Token, now: u64) -> Value {
    let mut value = json!(token);
    value["expired"] = json!(token.expires.is_some_and(|at| at <= now));
    value
}
