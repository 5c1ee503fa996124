//! `/api/v1/server`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use tinsmith_store::Health;

use crate::App;

/// Version and addresses.
pub(super) async fn show(State(app): State<App>) -> Json<Value> {
    let addresses = app.server.addresses();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "coap": addresses.coap.to_string(),
        "bootstrap": addresses.bootstrap.map(|a| a.to_string()),
    }))
}

/// 200 while what is promised can be kept, else 503 and why not.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let problem = match app.server.store().health() {
        Health::Good => return (StatusCode::OK, Json(json!({ "ready": true }))),
        Health::Full => "the disk of the server is full".to_owned(),
        Health::Failed(reason) => format!("the store failed: {reason}"),
    };
    let answer = json!({ "ready": false, "problem": problem });
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer))
}
