//! The record of a durable request: what a restarted server must know to send it.

use lwm2m_objects::{OwnedValue, Path};
use serde::{Deserialize, Serialize};

use super::types::{DeviceRequest, Endpoint, Operation, RequestId};
use tinsmith_store::{Key, Kind, MAX_RECORD, Op, RecordError, decode, encode};

/// Of the record below.
const SCHEMA: u16 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    expires: u64,
    operation: StoredOperation,
}

#[derive(Serialize, Deserialize)]
enum StoredOperation {
    Read(Path),
    Write(Path, Vec<(Path, OwnedValue)>, bool),
    Execute(Path, String),
    Observe(Path),
    CancelObserve(Path),
    Discover(Path),
}

/// The key of a durable request: the endpoint, then the id (8 bytes, big endian).
pub fn request_key(endpoint: &str, id: RequestId) -> Key {
    let mut bytes = Vec::with_capacity(endpoint.len() + 8);
    bytes.extend_from_slice(endpoint.as_bytes());
    bytes.extend_from_slice(&id.0.to_be_bytes());
    Key::new(Kind::REQUEST, bytes)
}

/// The inverse of [`request_key`].
pub fn request_of(key: &Key) -> Option<(Endpoint, RequestId)> {
    let (endpoint, id) = key.id.split_last_chunk::<8>()?;
    let endpoint = std::str::from_utf8(endpoint).ok()?;
    Some((endpoint.into(), RequestId(u64::from_be_bytes(*id))))
}

/// The record of a request, to be written.
pub(super) fn write(
    endpoint: &str,
    id: RequestId,
    expires: u64,
    operation: &Operation,
) -> Result<Op, RecordError> {
    let operation = match operation.clone() {
        Operation::Read { path } => StoredOperation::Read(path),
        Operation::Write {
            path,
            values,
            replace,
        } => StoredOperation::Write(path, values, replace),
        Operation::Execute { path, arguments } => StoredOperation::Execute(path, arguments),
        Operation::Observe { path } => StoredOperation::Observe(path),
        Operation::CancelObserve { path } => StoredOperation::CancelObserve(path),
        Operation::Discover { path } => StoredOperation::Discover(path),
        Operation::Push { .. } => {
            return Err(RecordError::Content("a push has no room in it".into()));
        }
    };
    let bytes = encode(SCHEMA, &Record { expires, operation })?;
    if bytes.len() > MAX_RECORD {
        return Err(RecordError::Content(format!(
            "{} bytes are over the limit",
            bytes.len()
        )));
    }
    Ok(Op::Put(request_key(endpoint, id), bytes))
}

/// A request from its record.
pub(super) fn read(key: &Key, bytes: &[u8]) -> Result<DeviceRequest, RecordError> {
    let (endpoint, id) =
        request_of(key).ok_or_else(|| RecordError::Content("the key is malformed".into()))?;
    let record: Record = decode(SCHEMA, bytes)?;
    let operation = match record.operation {
        StoredOperation::Read(path) => Operation::Read { path },
        StoredOperation::Write(path, values, replace) => Operation::Write {
            path,
            values,
            replace,
        },
        StoredOperation::Execute(path, arguments) => Operation::Execute { path, arguments },
        StoredOperation::Observe(path) => Operation::Observe { path },
        StoredOperation::CancelObserve(path) => Operation::CancelObserve { path },
        StoredOperation::Discover(path) => Operation::Discover { path },
    };
    Ok(DeviceRequest {
        id,
        endpoint,
        operation,
        expires: record.expires,
        durable: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_objects::Objlnk;

    #[test]
    fn every_operation_but_push_goes_both_ways() {
        let path = Path::resource(5, 0, 1);
        let values = vec![
            (path, OwnedValue::String("coap://x".into())),
            (Path::resource(5, 0, 2), OwnedValue::Opaque(vec![0, 255])),
            (Path::resource(5, 0, 3), OwnedValue::Time(-1)),
            (
                Path::resource(5, 0, 4),
                OwnedValue::UnsignedInteger(u64::MAX),
            ),
            (Path::resource(5, 0, 5), OwnedValue::Float(0.1)),
            (
                Path::resource(5, 0, 6),
                OwnedValue::Objlnk(Objlnk {
                    object: 1,
                    instance: 2,
                }),
            ),
        ];
        let arguments = "0='x'".to_owned();
        for operation in [
            Operation::Read { path: Path::ROOT },
            Operation::Write {
                path,
                values,
                replace: true,
            },
            Operation::Execute { path, arguments },
            Operation::Observe { path },
            Operation::CancelObserve { path },
            Operation::Discover { path },
        ] {
            let id = RequestId(u64::MAX - 1);
            let Op::Put(key, bytes) = write("dev1", id, 77, &operation).unwrap() else {
                panic!("not a write");
            };
            let request = DeviceRequest {
                id,
                endpoint: "dev1".into(),
                operation,
                expires: 77,
                durable: true,
            };
            assert_eq!(read(&key, &bytes).unwrap(), request);
            assert!(read(&key, &bytes[..bytes.len() - 1]).is_err());
        }
        let push = Operation::Push {
            path,
            body: vec![1].into(),
            from: 0,
            tag: [0; 8],
        };
        assert!(write("dev1", RequestId(1), 1, &push).is_err());
        let long = Operation::Execute {
            path,
            arguments: "x".repeat(MAX_RECORD),
        };
        assert!(write("dev1", RequestId(1), 1, &long).is_err());
        assert_eq!(request_of(&Key::new(Kind::REQUEST, "short")), None);
    }
}
