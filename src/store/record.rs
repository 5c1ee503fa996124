//! Records: a schema version, then CBOR.
//!
//! Maps have names for keys: a reader skips those it does not know and takes an optional one that
//! is absent as empty, so a new optional field needs no new schema version. Schema 1 of every kind
//! had small integers instead, by the place of the field (and of a variant without fields) in its type. serde
//! reads those as well, as it reads a list for a type with fields, so one type serves both as long as
//! its fields stay in their order; new ones come last.

use std::ops::RangeInclusive;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a stored record can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Shorter than a schema version.
    #[error("the record is truncated")]
    Truncated,
    /// Written by another version of this program.
    #[error("the record has schema {found}, this program reads up to {expected}")]
    Schema {
        /// The newest schema the caller reads.
        expected: u16,
        /// The schema of the record.
        found: u16,
    },
    /// Not what the schema says.
    #[error("the record does not fit its schema: {0}")]
    Content(String),
}

/// Schema version (big endian), then `value` as CBOR with the names of fields as keys.
pub fn encode<T: Serialize>(schema: u16, value: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&schema.to_be_bytes());
    serde_cbor::to_writer(&mut bytes, value).map_err(|e| RecordError::Content(e.to_string()))?;
    Ok(bytes)
}

/// The inverse of [`encode`], for records of the schemas that `T` stands for.
pub fn decode<T: DeserializeOwned>(
    schemas: RangeInclusive<u16>,
    bytes: &[u8],
) -> Result<T, RecordError> {
    let found = schema(bytes)?;
    if !schemas.contains(&found) {
        let expected = *schemas.end();
        return Err(RecordError::Schema { expected, found });
    }
    serde_cbor::from_slice(&bytes[2..]).map_err(|e| RecordError::Content(e.to_string()))
}

/// The schema version of a record.
pub fn schema(bytes: &[u8]) -> Result<u16, RecordError> {
    let (schema, _) = bytes
        .split_first_chunk::<2>()
        .ok_or(RecordError::Truncated)?;
    Ok(u16::from_be_bytes(*schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Thing {
        name: String,
        bytes: Vec<u8>,
        maybe: Option<u64>,
        what: What,
    }

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum What {
        Nothing,
        Something { size: u8 },
    }

    fn thing() -> Thing {
        Thing {
            name: "x".into(),
            bytes: vec![1, 2],
            maybe: Some(7),
            what: What::Something { size: 3 },
        }
    }

    #[test]
    fn round_trip_and_foreign_schema() {
        let bytes = encode(3, &thing()).unwrap();
        assert_eq!(&bytes[..2], &[0, 3]);
        assert_eq!(decode::<Thing>(2..=3, &bytes).unwrap(), thing());
        for (schemas, expected) in [(4..=4, 4), (1..=2, 2)] {
            let found = 3;
            let error = RecordError::Schema { expected, found };
            assert_eq!(decode::<Thing>(schemas, &bytes), Err(error));
        }
        assert_eq!(decode::<Thing>(3..=3, &[0]), Err(RecordError::Truncated));
        assert!(matches!(
            decode::<Thing>(3..=3, &bytes[..6]),
            Err(RecordError::Content(_))
        ));
    }

    #[test]
    fn fields_have_names_or_in_schema_1_places() {
        let bytes = encode(2, &thing()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for name in ["name", "bytes", "maybe", "what", "something", "size"] {
            assert!(text.contains(name), "{name}");
        }
        // What the program before wrote: {0: "x", 1: [1, 2], 2: 7, 3: {1: {0: 3}}}.
        let old = b"\0\x01\xa4\0\x61x\x01\x82\x01\x02\x02\x07\x03\xa1\x01\xa1\0\x03";
        assert_eq!(decode::<Thing>(1..=2, old).unwrap(), thing());
        // {"name": "x", "bytes": [], "new": 5, "what": "nothing"}
        let newer = b"\0\x02\xa4\x64name\x61x\x65bytes\x80\x63new\x05\x64what\x67nothing";
        let read: Thing = decode(1..=2, newer).unwrap();
        assert_eq!((read.maybe, read.what), (None, What::Nothing));
    }
}
