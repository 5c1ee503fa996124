//! `/api/v1/server`.

use axum::Json;
use axum::extract::State;
use lwm2m_objects::hex;
use serde_json::{Value, json};

use crate::App;

/// Version, addresses and the public key for DTLS.
pub(crate) async fn show(State(app): State<App>) -> Json<Value> {
    let addresses = app.server.addresses();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "coap": addresses.coap.to_string(),
        "bootstrap": addresses.bootstrap.map(|a| a.to_string()),
        "coaps": addresses.coaps.map(|a| a.to_string()),
        "coaps_bootstrap": addresses.coaps_bootstrap.map(|a| a.to_string()),
        "public_key": app.server.public_key().map(hex::encode),
    }))
}
