//! `/api/v1/credentials/import`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use lwm2m_objects::hex;
use serde::Deserialize;
use serde_json::{Value, json};
use tinsmith_security::{Added, Entry, KeyError, Origin, Purpose};
use zeroize::Zeroizing;

use crate::v1::credentials::keys;
use crate::{ApiError, App};

/// Keys of one request.
const MOST: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    /// Where they are from, for the audit log.
    #[serde(default)]
    #[expect(dead_code, reason = "the audit log reads it")]
    source: Option<String>,
    /// Nothing is added, it is only told what would be.
    #[serde(default)]
    dry_run: bool,
    credentials: Vec<One>,
}

/// A pre-shared key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    endpoints: String,
    identity: Option<String>,
    purpose: Purpose,
    /// Hexadecimal digits.
    key: Zeroizing<String>,
}

impl One {
    fn entry(self, made: u64) -> Entry {
        Entry {
            identity: self.identity.unwrap_or_else(|| self.endpoints.clone()),
            endpoints: self.endpoints,
            purpose: self.purpose,
            origin: Origin::Given,
            made,
            // One that is none has no length that a key has.
            key: Zeroizing::new(hex::decode(self.key.trim()).unwrap_or_default()),
        }
    }
}

/// Adds keys that devices have already, all that can be added at once; says of each other why not.
pub(crate) async fn import(
    State(app): State<App>,
    body: Result<Json<Import>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Json(import) = body?;
    if import.credentials.len() > MOST {
        let wrong = format!("at most {MOST} credentials at a time");
        return Err(ApiError::bad_request(wrong));
    }
    let now = app.server.now().wall;
    let entries = import.credentials.into_iter().map(|one| one.entry(now));
    let told = keys(&app)?
        .add_all(entries.collect(), import.dry_run)
        .await?;
    Ok(Json(answer(&told)))
}

fn answer(told: &[Result<Added, KeyError>]) -> Value {
    let count = |what| told.iter().filter(|one| **one == Ok(what)).count();
    let refused = told.iter().enumerate().filter_map(|(index, one)| {
        let error = one.as_ref().err()?;
        Some(json!({ "index": index, "message": error.to_string() }))
    });
    json!({
        "added": count(Added::New),
        "unchanged": count(Added::Unchanged),
        "refused": refused.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_each() {
        let told = [
            Ok(Added::New),
            Err(KeyError::Differs("two".into())),
            Ok(Added::Unchanged),
            Ok(Added::New),
        ];
        let answer = answer(&told);
        assert_eq!(
            (&answer["added"], &answer["unchanged"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(answer["refused"][0]["index"], 1);
        let message = answer["refused"][0]["message"].as_str().unwrap();
        assert!(message.contains("'two'"), "{message}");
    }
}
