//! What devices answer, as HTTP has it.

use axum::Json;
use lwm2m_objects::OwnedValue;
use serde_json::{Value, json};

use crate::ApiError;
use tinsmith_digest::encode_hex;
use tinsmith_lwm2m::{Outcome, PathValue};

/// The answer of a device, as HTTP has it.
pub(super) fn answer(endpoint: &str, outcome: Outcome) -> Result<Json<Value>, ApiError> {
    match outcome {
        Outcome::Content(values) => {
            let values: Vec<Value> = values.iter().map(read_value).collect();
            Ok(Json(json!({ "values": values })))
        }
        Outcome::Done => Ok(Json(json!({ "done": true }))),
        Outcome::NotRegistered => Err(ApiError::not_registered(endpoint)),
        other => Err(ApiError::device(other)),
    }
}

fn read_value(found: &PathValue) -> Value {
    let mut shown = json!({ "path": found.path.to_string(), "value": to_json(&found.value) });
    if let Some(time) = found.time {
        shown["time"] = json!(time);
    }
    shown
}

fn to_json(value: &OwnedValue) -> Value {
    match value {
        OwnedValue::String(text) | OwnedValue::Corelnk(text) => json!(text),
        OwnedValue::Integer(n) | OwnedValue::Time(n) => json!(n),
        OwnedValue::UnsignedInteger(n) => json!(n),
        OwnedValue::Float(n) => json!(n),
        OwnedValue::Boolean(b) => json!(b),
        OwnedValue::Opaque(bytes) => json!({ "hex": encode_hex(bytes) }),
        OwnedValue::Objlnk(link) => json!(link.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_objects::Path;

    #[test]
    fn a_value_is_shown_with_the_time_that_the_device_gave_it() {
        let mut found = PathValue::from((Path::resource(3303, 0, 5700), OwnedValue::Float(1.5)));
        let shown = json!({ "path": "/3303/0/5700", "value": 1.5 });
        assert_eq!(read_value(&found), shown);
        found.time = Some(1.6e9);
        assert_eq!(read_value(&found)["time"], json!(1.6e9));
    }
}
