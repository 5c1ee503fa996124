//! `/api/v1/credentials`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use lwm2m_objects::hex;
use serde::Deserialize;
use serde_json::{Value, json};
use tinsmith_security::{Entry, KEY, Keys, Origin, Purpose};
use zeroize::Zeroizing;

use crate::{ApiError, App};

/// Entries of a page.
const PAGE: usize = 1000;
/// Bytes of a key that is made here.
const MADE: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

/// Whose keys there are; the keys themselves are never told.
pub(crate) async fn list(
    State(app): State<App>,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(from) = from?;
    let most = from.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let page = keys(&app)?.page(&from.after, most);
    let next = page.last().filter(|_| page.len() == most);
    let next = next.map(|entry| entry.identity.clone());
    let entries: Vec<Value> = page.iter().map(describe).collect();
    Ok(Json(json!({ "credentials": entries, "next": next })))
}

/// A key to be added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    endpoints: String,
    identity: Option<String>,
    purpose: Purpose,
    /// Hexadecimal digits; without it a key is made.
    key: Option<Zeroizing<String>>,
}

/// Adds a key. One that is made here is in this answer and nowhere else.
pub(crate) async fn add(
    State(app): State<App>,
    body: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Json(new) = body?;
    let is_made = new.key.is_none();
    let key = match new.key {
        Some(digits) => Zeroizing::new(hex::decode(digits.trim()).ok_or_else(|| {
            let (least, most) = (KEY.start() * 2, KEY.end() * 2);
            ApiError::bad_request(format!("key must be {least} to {most} hexadecimal digits"))
        })?),
        None => {
            let random = tinsmith_server::random().map_err(|error| ApiError::storage(&error))?;
            Zeroizing::new(random[..MADE].to_vec())
        }
    };
    let entry = Entry {
        identity: new.identity.unwrap_or_else(|| new.endpoints.clone()),
        endpoints: new.endpoints,
        purpose: new.purpose,
        origin: Origin::Given,
        made: app.server.now().wall,
        key,
    };
    let mut answer = describe(&entry);
    if is_made {
        answer["key"] = json!(hex::encode(&entry.key));
    }
    keys(&app)?.add(entry).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Removes a key, and ends what was begun with it.
pub(crate) async fn remove(
    State(app): State<App>,
    identity: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(identity) = identity?;
    keys(&app)?.remove(&identity).await?;
    Ok(Json(json!({ "removed": identity })))
}

fn keys(app: &App) -> Result<&Arc<Keys>, ApiError> {
    let keys = app.server.keys();
    keys.ok_or_else(|| ApiError::conflict("this server has no DTLS".to_owned()))
}

fn describe(entry: &Entry) -> Value {
    json!({
        "identity": entry.identity,
        "endpoints": entry.endpoints,
        "purpose": entry.purpose,
        "origin": entry.origin,
        "made": entry.made,
    })
}
