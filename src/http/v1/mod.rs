//! `/api/v1`.

mod devices;
mod models;
mod resources;
mod server;
mod store;

use axum::Router;
use axum::routing::{get, post, put};

use super::{ApiError, App};

/// The largest model that can be uploaded, with its data.
const MAX_UPLOAD: usize = 256 << 20;

/// All paths.
pub fn router() -> Router<App> {
    Router::new()
        .route("/readyz", get(server::ready))
        .route("/api/v1/server", get(server::show))
        .route("/api/v1/store/backup", get(store::backup))
        .route("/api/v1/devices", get(devices::list))
        .route("/api/v1/devices/{endpoint}", get(devices::show))
        .route(
            "/api/v1/devices/{endpoint}/model",
            put(devices::want).delete(devices::forget),
        )
        .route("/api/v1/devices/{endpoint}/retry", post(devices::retry))
        .route("/api/v1/devices/{endpoint}/infer", post(devices::infer))
        .route(
            "/api/v1/devices/{endpoint}/resources/{*path}",
            get(resources::read)
                .put(resources::write)
                .post(resources::execute),
        )
        .route("/api/v1/models", get(models::list).post(models::add))
        .route("/api/v1/models/{name}", get(models::show))
        .fallback(|| async {
            ApiError::not_found("no such path; the API is described in docs/http-api.md")
        })
        .layer(axum::extract::DefaultBodyLimit::max(MAX_UPLOAD))
}
