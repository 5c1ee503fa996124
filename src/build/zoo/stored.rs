//! Models as they are stored: a record for each version, and its files.

use serde::{Deserialize, Serialize};
use tinsmith_build_job::Facts;
use tinsmith_digest::Digest;
use tinsmith_store::{self as store, Batch, Files, Key, Kind, Op, RecordError};

use crate::{Card, Model, ZooError};

/// Version of [`Stored`] as stored; schema 1 is read too.
pub(super) const SCHEMA: u16 = 2;
/// Between name and version in a key; no name has it.
const BETWEEN: char = '@';

/// As stored; the files are in the file store. The names of the fields are keys; their order is
/// that of schema 1.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) card: String,
    pub(super) onnx: Digest,
    pub(super) calibration: Digest,
    pub(super) test: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) facts: Option<Facts>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) allow_low_sqnr: bool,
}

impl Stored {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        store::decode(1..=SCHEMA, bytes)
    }

    pub(super) fn files(&self) -> Vec<Digest> {
        let test = self.test.into_iter();
        [self.onnx, self.calibration]
            .into_iter()
            .chain(test)
            .collect()
    }

    /// Of its card; empty if that can't be read.
    pub(super) fn version(&self) -> String {
        let card = Card::parse(self.card.as_bytes());
        card.map_or_else(|_| String::new(), |card| card.version)
    }
}

/// What the key of a record says. A record of the version before this one has only the name.
pub(super) struct Id {
    pub(super) name: String,
    pub(super) version: String,
}

impl Id {
    pub(super) fn of(key: &Key) -> Self {
        let id = String::from_utf8_lossy(&key.id);
        let (name, version) = id.split_once(BETWEEN).unwrap_or((&id, ""));
        Id {
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }

    pub(super) fn key(name: &str, version: &str) -> Key {
        Key::new(Kind::MODEL, format!("{name}{BETWEEN}{version}"))
    }

    pub(super) fn old_key(name: &str) -> Key {
        Key::new(Kind::MODEL, name)
    }
}

/// The model of a record; else its version, as far as that is known, and why not.
pub(super) fn restore(
    key: &Key,
    record: &[u8],
    files: &Files,
) -> Result<Model, (Option<String>, ZooError)> {
    let name = || String::from_utf8_lossy(&key.id).into_owned();
    let record = Stored::read(record).map_err(|error| {
        let reason = error.to_string();
        let name = name();
        (None, ZooError::Unreadable { name, reason })
    })?;
    let card = Card::parse(record.card.as_bytes()).map_err(|error| (None, error.into()))?;
    let version = card.version.clone();
    let damaged = |error| (Some(version), error);
    let old = Id::of(key).version.is_empty();
    build(record, card, old, files).map_err(damaged)
}

fn build(record: Stored, card: Card, old: bool, files: &Files) -> Result<Model, ZooError> {
    let get = |digest: &Digest| files.get(digest).map_err(|e| ZooError::File(e.to_string()));
    let test = record.test.as_ref().map(get).transpose()?;
    let mut model = Model::new(card, get(&record.onnx)?, get(&record.calibration)?, test)?;
    model.old_key = old;
    model.allow_low_sqnr = record.allow_low_sqnr;
    if let Some(facts) = record.facts {
        model.learn(facts);
    }
    Ok(model)
}

/// What makes a model durable; its files are put now.
pub(super) fn batch(model: &Model, files: &Files) -> Result<Batch, ZooError> {
    let put = |bytes: &[u8]| {
        files.put(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => ZooError::NoRoom,
            _ => ZooError::File(error.to_string()),
        })
    };
    let record = Stored {
        card: model.card.to_json(),
        onnx: put(&model.onnx)?,
        calibration: put(&model.calibration)?,
        test: model.test.as_deref().map(put).transpose()?,
        facts: model.facts().cloned(),
        allow_low_sqnr: model.allow_low_sqnr,
    };
    let record = store::encode(SCHEMA, &record).map_err(|e| ZooError::File(e.to_string()))?;
    let Card { name, version, .. } = &model.card;
    let mut ops = vec![Op::Put(Id::key(name, version), record)];
    if model.old_key {
        ops.push(Op::Delete(Id::old_key(name)));
    }
    let expect = Vec::new();
    Ok(Batch { expect, ops })
}
