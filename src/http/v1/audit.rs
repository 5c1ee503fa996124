//! `/api/v1/audit`: what was changed, by whom, page by page.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tinsmith_access::audit::MAX_ENTRIES;

use crate::{ApiError, App};

/// Which part of the log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// At most so many entries.
    limit: Option<usize>,
    /// Those behind this number.
    after: Option<u64>,
    /// Only the last so many.
    last: Option<u64>,
    /// Only those of this wall time (ms) or later.
    since: Option<u64>,
}

/// A page, oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(part) = part?;
    let limit = part.limit.unwrap_or(100);
    if !(1..=MAX_ENTRIES).contains(&limit) {
        let text = format!("limit must be 1 to {MAX_ENTRIES}");
        return Err(ApiError::bad_request(text));
    }
    let audit = &app.doors.audit;
    let after = part
        .after
        .max(part.last.and_then(|last| audit.before_last(last)));
    let page = audit.page(after, part.since.unwrap_or(0), limit).await?;
    let entries = page.entries.into_iter().map(|(number, entry)| {
        let mut value = match entry {
            Ok(entry) => json!(entry),
            Err(error) => json!({ "unreadable": error.to_string() }),
        };
        value["number"] = json!(number);
        value
    });
    let entries: Vec<Value> = entries.collect();
    Ok(Json(json!({ "entries": entries, "next": page.next })))
}
