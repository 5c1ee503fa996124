//! `/api/v1/server`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::App;

/// Version and addresses.
pub(crate) async fn show(State(app): State<App>) -> Json<Value> {
    let addresses = app.server.addresses();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "coap": addresses.coap.to_string(),
        "bootstrap": addresses.bootstrap.map(|a| a.to_string()),
    }))
}
