//! Changes are written down before they begin, and how they ended before that is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;
use tinsmith_access::{Entry, Outcome, Who};
use tinsmith_server::ServerHandle;

use crate::ApiError;
use crate::body::SMALL;
use crate::doors::{Caller, Connection, Doors};
use crate::error::Code;

/// What a change is called, and which members of its body are written down: never a value that may
/// be a secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) details: &'static [&'static str],
}

/// What [`audited`] needs.
#[derive(Clone)]
pub(crate) struct Audited {
    pub(crate) doors: Arc<Doors>,
    pub(crate) server: ServerHandle,
    pub(crate) operation: Operation,
}

/// Writes a change down, makes it, and writes down how it ended; also if the caller leaves.
pub(crate) async fn audited(
    State(audited): State<Audited>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Audited {
        doors,
        server,
        operation,
    } = audited;
    let (request, detail) = details(request, operation.details).await?;
    let mut entry = entry(server.now().wall, operation.name, &request, detail);
    let number = doors.audit.begin(&entry).await?;
    let made = tokio::spawn(async move {
        let response = next.run(request).await;
        let status = response.status();
        let code = response.extensions().get::<Code>();
        let code = code.map_or_else(String::new, |Code(code)| format!(" {code}"));
        entry.outcome = Some(Outcome {
            at: server.now().wall,
            done: status.is_success(),
            answer: format!("{}{code}", status.as_u16()),
        });
        if let Err(error) = doors.audit.end(number, &entry).await {
            tracing::warn!(%error, number, "the outcome of a change can't be written down");
        }
        response
    });
    made.await.map_err(|error| ApiError::storage(&error))
}

fn entry(at: u64, name: &str, request: &Request, detail: BTreeMap<String, String>) -> Entry {
    let extensions = request.extensions();
    let caller = extensions.get::<Caller>();
    let from = extensions.get::<Connection>();
    let uri = request.uri();
    Entry {
        at,
        who: Who {
            name: caller.map_or_else(String::new, |caller| caller.name.clone()),
            role: caller.map(|caller| caller.role),
        },
        from: from.map_or_else(String::new, |from| from.peer.to_string()),
        operation: name.to_owned(),
        target: uri
            .path_and_query()
            .map_or("", |target| target.as_str())
            .to_owned(),
        detail,
        outcome: None,
    }
}

/// Some members of a JSON body, which has been read to its end.
async fn details(
    request: Request,
    names: &[&str],
) -> Result<(Request, BTreeMap<String, String>), ApiError> {
    let mut detail = BTreeMap::new();
    if names.is_empty() {
        return Ok((request, detail));
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, SMALL).await;
    let bytes = bytes.map_err(|_| ApiError::bad_request("the body ends too early"))?;
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    for name in names {
        let text = match &value[*name] {
            Value::String(text) => text.clone(),
            value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
            _ => continue,
        };
        detail.insert((*name).to_owned(), text);
    }
    Ok((Request::from_parts(parts, Body::from(bytes)), detail))
}
