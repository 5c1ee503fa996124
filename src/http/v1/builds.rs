//! `/api/v1/builds`: the modules that are kept, by build key.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

use crate::{ApiError, App};
use tinsmith_digest::Digest;

/// The most builds of a page.
const MAX_BUILDS: usize = 1000;

/// Which part of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// At most so many builds.
    limit: Option<usize>,
    /// Those behind this key.
    after: Option<String>,
}

fn key(text: &str) -> Result<Digest, ApiError> {
    text.parse()
        .map_err(|error| ApiError::bad_request(format!("{error}")))
}

/// A page of the builds that are kept.
pub(crate) async fn list(
    State(app): State<App>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(part) = part?;
    let limit = part.limit.unwrap_or(MAX_BUILDS);
    if !(1..=MAX_BUILDS).contains(&limit) {
        let text = format!("limit must be 1 to {MAX_BUILDS}");
        return Err(ApiError::bad_request(text));
    }
    let after = part.after.as_deref().map(key).transpose()?;
    let builds = app.builder.builds(after, limit).await?;
    let next = builds.last().filter(|_| builds.len() == limit);
    let next = next.map(|build| build.key);
    Ok(Json(json!({ "builds": builds, "next": next })))
}

/// Removes all builds: what is needed again is built again.
pub(crate) async fn remove_all(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let count = app.builder.remove(None).await?;
    info!(count, "all builds are removed");
    Ok(Json(json!({ "removed": count })))
}

/// Removes a build.
pub(crate) async fn remove(
    State(app): State<App>,
    place: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(text) = place?;
    let key = key(&text)?;
    match app.builder.remove(Some(key)).await? {
        0 => Err(ApiError::not_found(format!("no build {key}"))),
        count => Ok(Json(json!({ "removed": count }))),
    }
}
