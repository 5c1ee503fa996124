//! The record of a durable request: what a restarted server must know to send it.

use lwm2m_objects::{OwnedValue, Path};
use serde::{Deserialize, Serialize};

use super::target::{PathValue, Target};
use super::types::{DeviceRequest, Endpoint, Operation, RequestId};
use tinsmith_store::{Key, Kind, MAX_RECORD, Op, RecordError, decode, encode, schema};

mod v1;

/// Of the record below; schema 1 is read too.
const SCHEMA: u16 = 2;

#[derive(Serialize, Deserialize)]
struct Record {
    expires: u64,
    operation: StoredOperation,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredOperation {
    Read {
        paths: Vec<Path>,
    },
    Write {
        paths: Vec<Path>,
        values: Vec<StoredValue>,
        replace: bool,
    },
    Execute {
        path: Path,
        arguments: String,
    },
    Observe {
        paths: Vec<Path>,
    },
    CancelObserve {
        paths: Vec<Path>,
    },
    Discover {
        path: Path,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredValue {
    path: Path,
    value: OwnedValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
}

impl From<PathValue> for StoredValue {
    fn from(PathValue { path, value, time }: PathValue) -> Self {
        StoredValue { path, value, time }
    }
}

impl From<StoredValue> for PathValue {
    fn from(StoredValue { path, value, time }: StoredValue) -> Self {
        PathValue { path, value, time }
    }
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
pub(super) fn write(request: &DeviceRequest) -> Result<Op, RecordError> {
    let operation = match request.operation.clone() {
        Operation::Read { target } => StoredOperation::Read {
            paths: target.paths().to_vec(),
        },
        Operation::Write {
            target,
            values,
            replace,
        } => StoredOperation::Write {
            paths: target.paths().to_vec(),
            values: values.into_iter().map(StoredValue::from).collect(),
            replace,
        },
        Operation::Execute { path, arguments } => StoredOperation::Execute { path, arguments },
        Operation::Observe { target } => StoredOperation::Observe {
            paths: target.paths().to_vec(),
        },
        Operation::CancelObserve { target } => StoredOperation::CancelObserve {
            paths: target.paths().to_vec(),
        },
        Operation::Discover { path } => StoredOperation::Discover { path },
        Operation::Push { .. } => {
            return Err(RecordError::Content("a push has no room in it".into()));
        }
        Operation::Unit(_) => {
            return Err(RecordError::Content("a unit is not kept".into()));
        }
    };
    let expires = request.expires;
    let bytes = encode(SCHEMA, &Record { expires, operation })?;
    if bytes.len() > MAX_RECORD {
        return Err(RecordError::Content(format!(
            "{} bytes are over the limit",
            bytes.len()
        )));
    }
    Ok(Op::Put(request_key(&request.endpoint, request.id), bytes))
}

/// A request from its record.
pub(super) fn read(key: &Key, bytes: &[u8]) -> Result<DeviceRequest, RecordError> {
    let (endpoint, id) =
        request_of(key).ok_or_else(|| RecordError::Content("the key is malformed".into()))?;
    let record = match schema(bytes)? {
        1 => v1::parse(bytes)?,
        _ => decode(SCHEMA..=SCHEMA, bytes)?,
    };
    let target = |paths: Vec<Path>| {
        Target::new(&paths).ok_or_else(|| RecordError::Content("it is about nothing".into()))
    };
    let operation = match record.operation {
        StoredOperation::Read { paths } => Operation::read(target(paths)?),
        StoredOperation::Write {
            paths,
            values,
            replace,
        } => Operation::Write {
            target: target(paths)?,
            values: values.into_iter().map(PathValue::from).collect(),
            replace,
        },
        StoredOperation::Execute { path, arguments } => Operation::Execute { path, arguments },
        StoredOperation::Observe { paths } => Operation::observe(target(paths)?),
        StoredOperation::CancelObserve { paths } => Operation::cancel_observe(target(paths)?),
        StoredOperation::Discover { path } => Operation::Discover { path },
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
    use lwm2m_objects::{Objlnk, hex};

    fn request(endpoint: &str, id: u64, expires: u64, operation: Operation) -> DeviceRequest {
        DeviceRequest {
            id: RequestId(id),
            endpoint: endpoint.into(),
            operation,
            expires,
            durable: true,
        }
    }

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
        let both = Target::new(&[path, Path::object(3)]).unwrap();
        let timed = PathValue {
            time: Some(1.5e9),
            ..(path, OwnedValue::Boolean(true)).into()
        };
        for operation in [
            Operation::read(Path::ROOT),
            Operation::read(both.clone()),
            Operation::write(path, values, true),
            Operation::Write {
                target: both.clone(),
                values: vec![timed],
                replace: false,
            },
            Operation::Execute { path, arguments },
            Operation::observe(path),
            Operation::observe(both),
            Operation::cancel_observe(path),
            Operation::Discover { path },
        ] {
            let request = request("dev1", u64::MAX - 1, 77, operation);
            let Op::Put(key, bytes) = write(&request).unwrap() else {
                panic!("not a write");
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
        assert!(write(&request("dev1", 1, 1, push)).is_err());
        let long = Operation::Execute {
            path,
            arguments: "x".repeat(MAX_RECORD),
        };
        assert!(write(&request("dev1", 1, 1, long)).is_err());
        assert_eq!(request_of(&Key::new(Kind::REQUEST, "short")), None);
    }

    /// What the version before schema 2 wrote for these.
    const OLD: [&str; 2] = [
        "0001a2001b0000048056312d5101a1674578656375746582662f332f302f3465303d277827",
        "0001a2001b0000048056312d5101a165577269746583662f312f302f318182662f312f302f31a167696e7465676572184df5",
    ];
    const NEW: [&str; 2] = [
        "0002a267657870697265731b000004805630bd51696f7065726174696f6ea16765786563757465a26470617468662f332f302f3469617267756d656e747365303d277827",
        "0002a267657870697265731b000004805630bd51696f7065726174696f6ea1657772697465a365706174687381662f312f302f316676616c75657381a26470617468662f312f302f316576616c7565a167696e7465676572184d677265706c616365f5",
    ];

    #[test]
    fn the_bytes_of_both_schemas() {
        let path = Path::resource(1, 0, 1);
        let operations = [
            Operation::Execute {
                path: Path::resource(3, 0, 4),
                arguments: "0='x'".into(),
            },
            Operation::write(path, vec![(path, OwnedValue::Integer(77))], true),
        ];
        let expires = 4_949_248_359_761;
        for ((operation, old), new) in operations.into_iter().zip(OLD).zip(NEW) {
            let request = request("steady", 1 << 63 | 1, expires, operation);
            let Op::Put(key, bytes) = write(&request).unwrap() else {
                panic!("not a write");
            };
            assert_eq!(key.to_bytes(), b"\0\0\x02steady\x80\0\0\0\0\0\0\x01");
            assert_eq!(hex::encode(&bytes), new);
            let old = read(&key, &hex::decode(old).unwrap()).unwrap();
            assert_eq!(old.operation, request.operation);
        }
    }
}
