//! `/healthz` and `/readyz`: what a supervisor asks.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::{ApiError, App};
use tinsmith_server::NoAnswer;

/// How long a server that is ready takes at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process runs and answers.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The shards answer and the store can be read.
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let asked = tokio::time::timeout(PATIENCE, app.server.devices(None, 1)).await;
    asked.unwrap_or(Err(NoAnswer::Busy))?;
    Ok(Json(json!({ "status": "ready" })))
}
