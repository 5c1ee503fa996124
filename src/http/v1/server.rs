//! `/api/v1/server`.

use axum::Json;
use axum::extract::State;
use lwm2m_objects::hex;
use serde_json::{Value, json};

use crate::App;

/// Version, addresses, and for DTLS the public key and whose certificates are believed.
pub(crate) async fn show(State(app): State<App>) -> Json<Value> {
    let addresses = app.server.addresses();
    let authorities = app.server.authorities().into_iter();
    let authorities: Vec<_> = authorities
        .map(|one| json!({ "subject": one.subject, "digest": hex::encode(&one.digest) }))
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "coap": addresses.coap.to_string(),
        "bootstrap": addresses.bootstrap.map(|a| a.to_string()),
        "coaps": addresses.coaps.map(|a| a.to_string()),
        "coaps_bootstrap": addresses.coaps_bootstrap.map(|a| a.to_string()),
        "public_key": app.server.public_key().map(|key| hex::encode(&key)),
        "authorities": authorities,
    }))
}
