//! Records: a schema version, then CBOR.

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
    #[error("the record has schema {found}, this program reads {expected}")]
    Schema {
        /// The schema the caller reads.
        expected: u16,
        /// The schema of the record.
        found: u16,
    },
    /// Not what the schema says.
    #[error("the record does not fit its schema: {0}")]
    Content(String),
}

/// Schema version (big endian), then `value` as CBOR with map keys as small integers.
pub fn encode<T: Serialize>(schema: u16, value: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = Vec::with_capacity(192);
    bytes.extend_from_slice(&schema.to_be_bytes());
    let mut serializer =
        serde_cbor::Serializer::new(serde_cbor::ser::IoWrite::new(&mut bytes)).packed_format();
    value
        .serialize(&mut serializer)
        .map_err(|e| RecordError::Content(e.to_string()))?;
    Ok(bytes)
}

/// The inverse of [`encode`].
pub fn decode<T: DeserializeOwned>(schema: u16, bytes: &[u8]) -> Result<T, RecordError> {
    let (found, body) = bytes
        .split_first_chunk::<2>()
        .ok_or(RecordError::Truncated)?;
    let found = u16::from_be_bytes(*found);
    if found != schema {
        return Err(RecordError::Schema {
            expected: schema,
            found,
        });
    }
    serde_cbor::from_slice(body).map_err(|e| RecordError::Content(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Thing {
        name: String,
        bytes: Vec<u8>,
        maybe: Option<u64>,
    }

    #[test]
    fn round_trip_and_foreign_schema() {
        let thing = Thing {
            name: "x".into(),
            bytes: vec![1, 2],
            maybe: Some(7),
        };
        let bytes = encode(3, &thing).unwrap();
        assert_eq!(&bytes[..2], &[0, 3]);
        assert_eq!(decode::<Thing>(3, &bytes).unwrap(), thing);
        assert_eq!(
            decode::<Thing>(4, &bytes),
            Err(RecordError::Schema {
                expected: 4,
                found: 3
            })
        );
        assert_eq!(decode::<Thing>(3, &[0]), Err(RecordError::Truncated));
        assert!(matches!(
            decode::<Thing>(3, &bytes[..6]),
            Err(RecordError::Content(_))
        ));
    }
}
