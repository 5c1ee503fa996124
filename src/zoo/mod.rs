//! The models that devices can be given: those shipped inside the program, and those added.

mod builder;
mod card;
mod compile;
mod shipped;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};

pub use builder::Builder;
pub use card::{Card, CardError, Metric, Task, Tensor};
#[cfg(feature = "compiler")]
pub(crate) use compile::request;

use crate::digest::Digest;
use crate::samples::{self, Samples, SamplesError, TestSet};
use crate::store::{self, Batch, Files, Key, Kind, Store, StoreError};

/// The most models that can be added.
const MAX_MODELS: usize = 10_000;
/// Version of [`Record`] as stored.
const SCHEMA: u16 = 1;

/// A model with its data.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it is.
    pub card: Card,
    /// Name of its ONNX file.
    pub source: Digest,
    /// True for those inside the program.
    pub shipped: bool,
    /// The ONNX file.
    pub onnx: Arc<[u8]>,
    calibration: Arc<[u8]>,
    test: Option<Arc<[u8]>>,
}

impl Model {
    /// Puts a model together and checks that its data can be read.
    pub fn new(
        card: Card,
        onnx: Vec<u8>,
        calibration: Vec<u8>,
        test: Option<Vec<u8>>,
    ) -> Result<Self, ZooError> {
        card.check()?;
        let source = Digest::of(&onnx);
        let model = Self {
            source,
            shipped: false,
            onnx: onnx.into(),
            calibration: calibration.into(),
            test: test.map(Into::into),
            card,
        };
        let expected = &model.card.inputs[0].shape;
        let test = model.test()?.map(|test| ("test", test.x));
        for (file, samples) in [("calibration", model.calibration()?)]
            .into_iter()
            .chain(test)
        {
            if samples.shape != *expected {
                let found = &samples.shape;
                let text = format!("its samples have shape {found:?}, the card says {expected:?}");
                return Err(ZooError::Data {
                    file,
                    error: SamplesError::Shape(text),
                });
            }
        }
        Ok(model)
    }

    /// Class names, if the output is classes; the labels of an autoencoder's card say what its
    /// test labels mean.
    pub fn classes(&self) -> Vec<String> {
        if self.card.task == Task::Classify {
            self.card.labels.clone()
        } else {
            Vec::new()
        }
    }

    /// The calibration samples.
    pub fn calibration(&self) -> Result<Samples, ZooError> {
        let data = |error| ZooError::Data {
            file: "calibration",
            error,
        };
        samples::samples(&self.calibration).map_err(data)
    }

    /// The held-out samples, if there are any.
    pub fn test(&self) -> Result<Option<TestSet>, ZooError> {
        let data = |error| ZooError::Data {
            file: "test",
            error,
        };
        self.test
            .as_deref()
            .map(samples::test_set)
            .transpose()
            .map_err(data)
    }
}

/// Why a model can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ZooError {
    /// Nothing of that name.
    #[error("no model '{name}' in the zoo; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The card is wrong.
    #[error("the model card is wrong: {0}")]
    Card(#[from] CardError),
    /// A data file is wrong.
    #[error("the {file} file can't be used: {error}")]
    Data {
        /// Which.
        file: &'static str,
        /// Why.
        error: SamplesError,
    },
    /// The compiler refuses it.
    #[error("{0}")]
    Model(String),
    /// The name is taken.
    #[error("'{0}' is a shipped model; choose another name")]
    Shipped(String),
    /// Too many models.
    #[error("the zoo is full: it takes {MAX_MODELS} models")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the zoo can't be read or written.
    #[error("a file of the zoo: {0}")]
    File(String),
}

/// As stored; the files are in the file store.
#[derive(Serialize, Deserialize)]
struct Record {
    card: String,
    onnx: Digest,
    calibration: Digest,
    test: Option<Digest>,
}

fn restore(record: &[u8], files: &Files) -> Result<Model, ZooError> {
    let file = |error: &dyn std::fmt::Display| ZooError::File(error.to_string());
    let record: Record = store::decode(SCHEMA, record).map_err(|e| file(&e))?;
    let get = |digest: &Digest| files.get(digest).map_err(|e| file(&e));
    let card = Card::parse(record.card.as_bytes())?;
    let test = record.test.as_ref().map(get).transpose()?;
    Model::new(card, get(&record.onnx)?, get(&record.calibration)?, test)
}

/// All models by name.
pub struct Zoo {
    models: RwLock<BTreeMap<String, Arc<Model>>>,
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
            keep: None,
        }
    }

    /// The shipped models and those in the store.
    pub async fn open(store: Arc<dyn Store>, files: Files) -> Result<Self, ZooError> {
        let mut zoo = Self::shipped();
        for (key, stored) in store.load(Kind::MODEL).await? {
            let name = String::from_utf8_lossy(&key.id).into_owned();
            match restore(&stored.bytes, &files) {
                Ok(model) => {
                    zoo.lock_mut().insert(name, Arc::new(model));
                }
                Err(error) => tracing::warn!(name, %error, "an added model can't be read"),
            }
        }
        zoo.keep = Some((store, files));
        Ok(zoo)
    }

    /// The model of that name.
    pub fn find(&self, name: &str) -> Result<Arc<Model>, ZooError> {
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

    /// Adds a model, or replaces one that was added before. Durable when this returns.
    pub async fn add(&self, model: Model) -> Result<Arc<Model>, ZooError> {
        let name = model.card.name.clone();
        {
            let models = self.lock();
            if models.get(&name).is_some_and(|old| old.shipped) {
                return Err(ZooError::Shipped(name));
            }
            if models.len() >= MAX_MODELS && !models.contains_key(&name) {
                return Err(ZooError::Full);
            }
        }
        if let Some((store, files)) = &self.keep {
            let put = |bytes: &[u8]| files.put(bytes).map_err(|e| ZooError::File(e.to_string()));
            let record = Record {
                card: model.card.to_json(),
                onnx: put(&model.onnx)?,
                calibration: put(&model.calibration)?,
                test: model.test.as_deref().map(put).transpose()?,
            };
            let record =
                store::encode(SCHEMA, &record).map_err(|e| ZooError::File(e.to_string()))?;
            let (done, stored) = tokio::sync::oneshot::channel();
            let batch = Batch::put(Key::new(Kind::MODEL, name.as_bytes()), record);
            store.commit_with(batch, Box::new(move |result| drop(done.send(result))));
            stored.await.unwrap_or(Err(StoreError::Closed))?;
        }
        let model = Arc::new(model);
        self.lock_mut().insert(name, model.clone());
        Ok(model)
    }

    fn lock(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Model>>> {
        self.models
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn lock_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Model>>> {
        self.models
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_model_has_readable_data_that_fits_its_card() {
        let zoo = Zoo::shipped();
        assert!(zoo.list().len() >= 3);
        for model in zoo.list() {
            let calibration = model.calibration().unwrap();
            assert_eq!(
                calibration.shape, model.card.inputs[0].shape,
                "{}",
                model.card.name
            );
            let test = model.test().unwrap().unwrap();
            assert_eq!(test.x.shape, calibration.shape);
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
}
