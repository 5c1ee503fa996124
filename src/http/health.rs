//! `/healthz` and `/readyz`: what a supervisor asks.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::{ApiError, App};
use tinsmith_server::NoAnswer;
use tinsmith_store::Health;

/// How long a server that is ready takes at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process runs and answers.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The shards answer, and what is promised can be kept.
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let problem = match app.server.store().health() {
        Health::Good => None,
        Health::Full => Some("the disk of the server is full".to_owned()),
        Health::Failed(reason) => Some(format!("the store failed: {reason}")),
    };
    if let Some(problem) = problem {
        return Err(ApiError::unready(problem));
    }
    let asked = tokio::time::timeout(PATIENCE, app.server.devices(None, 1)).await;
    asked.unwrap_or(Err(NoAnswer::Busy))?;
    Ok(Json(json!({ "status": "ready" })))
}
