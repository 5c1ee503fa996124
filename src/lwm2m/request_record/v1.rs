//! Schema 1: keys and operations by place.

use lwm2m_objects::{OwnedValue, Path};
use serde::Deserialize;

use super::{Record, StoredOperation, StoredValue};
use tinsmith_store::{RecordError, decode};

#[derive(Deserialize)]
struct Old {
    expires: u64,
    operation: OldOperation,
}

/// In the order of its numbers.
#[derive(Deserialize)]
enum OldOperation {
    Read(Path),
    Write(Path, Vec<(Path, OwnedValue)>, bool),
    Execute(Path, String),
    Observe(Path),
    CancelObserve(Path),
    Discover(Path),
}

pub(super) fn parse(bytes: &[u8]) -> Result<Record, RecordError> {
    let old: Old = decode(1..=1, bytes)?;
    let operation = match old.operation {
        OldOperation::Read(path) => StoredOperation::Read { paths: vec![path] },
        OldOperation::Write(path, values, replace) => StoredOperation::Write {
            paths: vec![path],
            values: values
                .into_iter()
                .map(|(path, value)| StoredValue {
                    path,
                    value,
                    time: None,
                })
                .collect(),
            replace,
        },
        OldOperation::Execute(path, arguments) => StoredOperation::Execute { path, arguments },
        OldOperation::Observe(path) => StoredOperation::Observe { paths: vec![path] },
        OldOperation::CancelObserve(path) => StoredOperation::CancelObserve { paths: vec![path] },
        OldOperation::Discover(path) => StoredOperation::Discover { path },
    };
    Ok(Record {
        expires: old.expires,
        operation,
    })
}
