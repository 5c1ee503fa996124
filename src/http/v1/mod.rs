//! `/api/v1`.

mod builds;
mod devices;
mod models;
mod outcome;
mod requests;
mod resources;
mod server;
mod store;
mod upload;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

use super::body::{SAMPLE, SMALL, Turns, read_json, take_turn};
use super::{ApiError, App};

/// Samples that are run at once, on all devices.
const INFERENCES: usize = 16;
/// Models that are taken in at once.
const UPLOADS: usize = 2;

/// All paths.
pub fn router() -> Router<App> {
    let infer = Router::new()
        .route("/api/v1/devices/{endpoint}/infer", post(devices::infer))
        .layer(from_fn_with_state(SAMPLE, read_json))
        .layer(from_fn_with_state(Turns::new(INFERENCES), take_turn));
    let upload = Router::new()
        .route("/api/v1/models", post(models::add))
        .layer(from_fn_with_state(Turns::new(UPLOADS), take_turn))
        .layer(DefaultBodyLimit::max(upload::FORM));
    let others = Router::new()
        .route("/api/v1/server", get(server::show))
        .route("/api/v1/store/backup", get(store::backup))
        .route("/api/v1/devices", get(devices::list))
        .route(
            "/api/v1/devices/{endpoint}",
            get(devices::show).delete(devices::delete),
        )
        .route(
            "/api/v1/devices/{endpoint}/model",
            put(devices::want).delete(devices::forget),
        )
        .route("/api/v1/devices/{endpoint}/history", get(devices::history))
        .route("/api/v1/devices/{endpoint}/retry", post(devices::retry))
        .route(
            "/api/v1/devices/{endpoint}/rollback",
            post(devices::rollback),
        )
        .route(
            "/api/v1/devices/{endpoint}/resources/{*path}",
            get(resources::read)
                .put(resources::write)
                .post(resources::execute),
        )
        .route(
            "/api/v1/builds",
            get(builds::list).delete(builds::remove_all),
        )
        .route("/api/v1/builds/{key}", delete(builds::remove))
        .route(
            "/api/v1/requests/{id}",
            get(requests::show).delete(requests::withdraw),
        )
        .route("/api/v1/models", get(models::list))
        .route("/api/v1/models/{name}", get(models::show))
        .route(
            "/api/v1/models/{name}/versions/{version}",
            get(models::show_version).delete(models::remove),
        )
        .layer(from_fn_with_state(SMALL, read_json));
    infer.merge(upload).merge(others).fallback(|| async {
        ApiError::not_found("no such path; the API is described in docs/http-api.md")
    })
}
