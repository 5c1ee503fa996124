//! All models by name: those shipped inside the program, and those added.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use tinsmith_build_job::Facts;
use tinsmith_digest::Digest;
use tinsmith_store::{self as store, Batch, Files, Key, Kind, RecordError, Store};

use crate::error::MAX_MODELS;
use crate::{Card, Model, ZooError, shipped};

/// Version of [`Record`] as stored; schema 1 is read too.
const SCHEMA: u16 = 2;

/// As stored; the files are in the file store. The names of the fields are keys; their order is
/// that of schema 1.
#[derive(Serialize, Deserialize)]
struct Record {
    card: String,
    onnx: Digest,
    calibration: Digest,
    test: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    allow_low_sqnr: bool,
}

fn restore(name: &str, record: &[u8], files: &Files) -> Result<Model, ZooError> {
    let file = |error: &dyn std::fmt::Display| ZooError::File(error.to_string());
    let unreadable = |error: RecordError| ZooError::Unreadable {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    let record: Record = store::decode(1..=SCHEMA, record).map_err(unreadable)?;
    let get = |digest: &Digest| files.get(digest).map_err(|e| file(&e));
    let card = Card::parse(record.card.as_bytes())?;
    let test = record.test.as_ref().map(get).transpose()?;
    let mut model = Model::new(card, get(&record.onnx)?, get(&record.calibration)?, test)?;
    model.allow_low_sqnr = record.allow_low_sqnr;
    if let Some(facts) = record.facts {
        model.learn(facts);
    }
    Ok(model)
}

/// All models by name.
pub struct Zoo {
    models: RwLock<BTreeMap<String, Arc<Model>>>,
    /// Added models whose records can't be read, and why.
    unreadable: BTreeMap<String, String>,
    /// Added models whose files are gone or damaged, and how.
    damaged: RwLock<BTreeMap<String, String>>,
    keep: Option<(Arc<dyn Store>, Files)>,
}

impl Zoo {
    /// The shipped models only.
    pub fn shipped() -> Self {
        let models = shipped::models().into_iter();
        let models = models
            .map(|model| (model.card.name.clone(), Arc::new(model)))
            .collect();
        Self {
            models: RwLock::new(models),
            unreadable: BTreeMap::new(),
            damaged: RwLock::default(),
            keep: None,
        }
    }

    /// The shipped models and those in the store.
    pub async fn open(store: Arc<dyn Store>, files: Files) -> Result<Self, ZooError> {
        let mut zoo = Self::shipped();
        for (key, stored) in store.load(Kind::MODEL).await? {
            let name = String::from_utf8_lossy(&key.id).into_owned();
            match restore(&name, &stored.bytes, &files) {
                Ok(model) => {
                    zoo.lock_mut().insert(name, Arc::new(model));
                }
                Err(error) => {
                    tracing::warn!(name, %error, "an added model can't be read");
                    match error {
                        ZooError::Unreadable { name, reason } => {
                            zoo.unreadable.insert(name, reason);
                        }
                        error => {
                            zoo.damaged_mut().insert(name, error.to_string());
                        }
                    }
                }
            }
        }
        zoo.keep = Some((store, files));
        Ok(zoo)
    }

    /// The model of that name.
    pub fn find(&self, name: &str) -> Result<Arc<Model>, ZooError> {
        self.check_readable(name)?;
        if let Some(reason) = self.damaged().get(name) {
            return Err(ZooError::Damaged {
                name: name.to_owned(),
                reason: reason.clone(),
            });
        }
        let models = self.lock();
        models.get(name).cloned().ok_or_else(|| ZooError::Unknown {
            name: name.chars().take(80).collect(),
            known: models
                .keys()
                .take(50)
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// The model with this ONNX file.
    pub fn by_source(&self, name: &str, source: &Digest) -> Result<Arc<Model>, ZooError> {
        let model = self.find(name)?;
        if model.source == *source {
            return Ok(model);
        }
        let known = format!("version {} with another ONNX file", model.card.version);
        Err(ZooError::Unknown {
            name: format!("{name} ({})", source.short()),
            known,
        })
    }

    /// All models in the order of their names.
    pub fn list(&self) -> Vec<Arc<Model>> {
        self.lock().values().cloned().collect()
    }

    /// Names of added models whose records can't be read, and why; they are left as they are.
    pub fn unreadable(&self) -> &BTreeMap<String, String> {
        &self.unreadable
    }

    /// Names of added models whose files are gone or damaged, and how; they can be added again.
    pub fn damaged(&self) -> BTreeMap<String, String> {
        let damaged = self.damaged.read();
        damaged.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn damaged_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, String>> {
        self.damaged.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_readable(&self, name: &str) -> Result<(), ZooError> {
        match self.unreadable.get(name) {
            Some(reason) => Err(ZooError::Unreadable {
                name: name.to_owned(),
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Adds a model, or replaces one that was added before. Durable when this returns.
    pub async fn add(&self, model: Model) -> Result<Arc<Model>, ZooError> {
        let name = model.card.name.clone();
        self.check_readable(&name)?;
        {
            let models = self.lock();
            if models.get(&name).is_some_and(|old| old.shipped) {
                return Err(ZooError::Shipped(name));
            }
            if models.len() >= MAX_MODELS && !models.contains_key(&name) {
                return Err(ZooError::Full);
            }
        }
        self.keep(&model).await?;
        let model = Arc::new(model);
        self.damaged_mut().remove(&name);
        self.lock_mut().insert(name, model.clone());
        Ok(model)
    }

    /// Stores a model as it is now. Durable when this returns.
    pub(crate) async fn keep(&self, model: &Model) -> Result<(), ZooError> {
        if let Some((store, files)) = &self.keep {
            let put = |bytes: &[u8]| {
                files.put(bytes).map_err(|error| match error.kind() {
                    std::io::ErrorKind::StorageFull => ZooError::NoRoom,
                    _ => ZooError::File(error.to_string()),
                })
            };
            let record = Record {
                card: model.card.to_json(),
                onnx: put(&model.onnx)?,
                calibration: put(&model.calibration)?,
                test: model.test.as_deref().map(put).transpose()?,
                facts: model.facts().cloned(),
                allow_low_sqnr: model.allow_low_sqnr,
            };
            let record =
                store::encode(SCHEMA, &record).map_err(|e| ZooError::File(e.to_string()))?;
            let key = Key::new(Kind::MODEL, model.card.name.as_bytes());
            store.commit(Batch::put(key, record)).await?;
        }
        Ok(())
    }

    fn lock(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Model>>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Model>>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_executor::block_on;
    use lwm2m_objects::hex;

    #[test]
    fn every_shipped_model_has_readable_data_that_fits_its_card() {
        let zoo = Zoo::shipped();
        assert!(zoo.list().len() >= 3);
        for model in zoo.list() {
            let calibration = model.calibration().unwrap();
            assert_eq!(
                calibration.arrays[0].shape, model.card.inputs[0].shape,
                "{}",
                model.card.name
            );
            let test = model.test().unwrap().unwrap();
            assert_eq!(test.x.arrays, calibration.arrays);
            assert!(test.x.len() >= 800);
        }
    }

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let error = Zoo::shipped().find("moton").unwrap_err().to_string();
        assert!(
            error.contains("'moton'") && error.contains("motion"),
            "{error}"
        );
    }

    /// `{0: "{}", 1: 32 bytes, 2: 32 bytes, 3: null}`, as the version before schema 2 wrote it.
    const OLD: &str = "0001a400627b7d015820\
        0101010101010101010101010101010101010101010101010101010101010101025820\
        020202020202020202020202020202020202020202020202020202020202020203f6";
    const NEW: &str = "\
        0002a46463617264627b7d646f6e6e785820010101010101010101010101010101010101010101010101\
        01010101010101016b63616c6962726174696f6e58200202020202020202020202020202020202020202\
        0202020202020202020202026474657374f6";

    #[test]
    fn the_bytes_of_both_schemas() {
        let record = Record {
            card: "{}".into(),
            onnx: Digest([1; 32]),
            calibration: Digest([2; 32]),
            test: None,
            facts: None,
            allow_low_sqnr: false,
        };
        let bytes = store::encode(SCHEMA, &record).unwrap();
        assert_eq!(hex::encode(&bytes), NEW);
        let old: Record = store::decode(1..=SCHEMA, &hex::decode(OLD).unwrap()).unwrap();
        assert_eq!(store::encode(SCHEMA, &old).unwrap(), bytes);
    }

    #[test]
    fn an_unreadable_model_is_shown_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let store = Arc::new(store::MemoryStore::new());
        let key = Key::new(Kind::MODEL, "mine");
        let foreign = vec![0, 9, 0xa0];
        let batch = Batch::put(key.clone(), foreign.clone());
        store.commit_now(&batch).unwrap();
        let zoo = block_on(Zoo::open(store.clone(), files)).unwrap();
        assert!(zoo.unreadable()["mine"].contains("schema 9"));
        assert!(matches!(zoo.find("mine"), Err(ZooError::Unreadable { .. })));
        let mut model = (*zoo.find("motion").unwrap()).clone();
        model.card.name = "mine".into();
        let added = block_on(zoo.add(model.clone()));
        assert!(matches!(added, Err(ZooError::Unreadable { .. })));
        assert_eq!(store.records(Kind::MODEL)[0].1.bytes, foreign);
        model.card.name = "other".into();
        block_on(zoo.add(model)).unwrap();
    }

    #[test]
    fn a_damaged_model_stays_listed_until_it_is_added_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let store = Arc::new(store::MemoryStore::new());
        let zoo = block_on(Zoo::open(store.clone(), files.clone())).unwrap();
        let mut model = (*zoo.find("motion").unwrap()).clone();
        model.card.name = "mine".into();
        model.shipped = false;
        block_on(zoo.add(model.clone())).unwrap();
        // As long as before.
        let path = files.path(&model.source);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).unwrap();

        let zoo = block_on(Zoo::open(store.clone(), files.clone())).unwrap();
        assert!(
            zoo.damaged()["mine"].contains("content"),
            "{:?}",
            zoo.damaged()
        );
        assert!(matches!(zoo.find("mine"), Err(ZooError::Damaged { .. })));
        block_on(zoo.add(model)).unwrap();
        assert!(zoo.damaged().is_empty());
        let zoo = block_on(Zoo::open(store, files)).unwrap();
        assert!(zoo.find("mine").is_ok());
    }
}
