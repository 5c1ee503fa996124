//! `/login`: a link that lets a browser in, once.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;
use tinsmith_access::{Entry, Outcome, SESSION_LIFE, Who};

use crate::doors::{Connection, LOGIN};
use crate::{ApiError, App};

/// Where a browser is sent when it is in.
const INSIDE: &str = "/api/v1/session";

/// What a link has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    code: String,
}

/// The cookie of sessions.
#[derive(Clone, Debug)]
pub(crate) struct Cookie(Arc<str>);

impl Cookie {
    /// Of a server on a port: cookies do not know ports, and there may be several servers on a
    /// machine.
    pub(crate) fn of(port: u16) -> Self {
        Cookie(format!("tinsmith_{port}").into())
    }

    pub(crate) fn name(&self) -> Arc<str> {
        self.0.clone()
    }

    /// The header that sets it, for so many seconds.
    pub(crate) fn set(&self, value: &str, seconds: u64) -> String {
        let name = &self.0;
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
    }
}

/// Exchanges the code of a link for a session.
pub(crate) async fn enter(
    State(app): State<App>,
    Extension(connection): Extension<Connection>,
    Extension(cookie): Extension<Cookie>,
    method: Method,
    headers: HeaderMap,
    link: Result<Query<Link>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(link) = link?;
    if method != Method::GET {
        // A preview does not use the code up.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let random = tinsmith_server::random().map_err(|error| ApiError::storage(&error))?;
    let now = app.server.now();
    let entered = app.doors.sessions().enter(now.mono, &link.code, &random);
    let opened = entered.and_then(|(value, token)| {
        let token = app.doors.tokens.of(now.wall, &token)?;
        Some((value, token))
    });
    let Some((value, token)) = opened else {
        let why = "this link was used or is too old; another one: tinsmith login";
        return Err(app.doors.refuse(now.mono, connection.peer, why));
    };
    let entry = Entry {
        at: now.wall,
        who: Who {
            name: token.name,
            role: Some(token.role),
        },
        from: connection.peer.to_string(),
        operation: "session.open".to_owned(),
        target: LOGIN.to_owned(),
        detail: Default::default(),
        outcome: Some(Outcome {
            at: now.wall,
            done: true,
            answer: "303".to_owned(),
        }),
    };
    if let Err(error) = app.doors.audit.begin(&entry).await {
        app.doors.sessions().leave(&value);
        return Err(error.into());
    }
    let forwarded = headers.get("x-forwarded-proto");
    let secure = connection.tls || forwarded.is_some_and(|proto| proto == "https");
    let mut cookie = cookie.set(&value, SESSION_LIFE / 1000);
    if secure {
        cookie.push_str("; Secure");
    }
    let headers = [
        (SET_COOKIE, cookie.as_str()),
        (LOCATION, INSIDE),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let body = Json(json!({ "session": INSIDE }));
    Ok((StatusCode::SEE_OTHER, headers, body).into_response())
}
