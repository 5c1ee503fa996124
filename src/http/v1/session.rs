//! `/api/v1/session`: who asks, and how browsers get in and out.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use tinsmith_access::CODE_LIFE;

use crate::doors::Caller;
use crate::login::Cookie;
use crate::{ApiError, App};

/// Who asks.
pub(crate) async fn show(Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(json!({
        "name": caller.name,
        "role": caller.role,
        "browser": caller.cookie.is_some(),
    }))
}

/// Ends the session of a browser.
pub(crate) async fn end(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(own): Extension<Cookie>,
) -> Result<Response, ApiError> {
    let Some(cookie) = caller.cookie else {
        return Err(ApiError::conflict("a token has no session that could end"));
    };
    app.doors.sessions().leave(&cookie);
    let gone = own.set("", 0);
    let mut response = Json(json!({ "ended": true })).into_response();
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        response.headers_mut().insert(SET_COOKIE, gone);
    }
    Ok(response)
}

/// A link that lets a browser in, once, as who asks for it.
pub(crate) async fn link(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    if caller.cookie.is_some() {
        // Else one could go on for ever.
        return Err(ApiError::conflict(
            "a link is made with a token, not with a session",
        ));
    }
    let random = tinsmith_server::random().map_err(|error| ApiError::storage(&error))?;
    let now = app.server.now();
    let link = app.doors.ask_link(now.mono, caller.token, &random)?;
    let seconds = CODE_LIFE / 1000;
    Ok(Json(
        json!({ "link": link, "role": caller.role, "seconds": seconds }),
    ))
}
