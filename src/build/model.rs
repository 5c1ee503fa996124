//! A model with its data.

use std::sync::{Arc, OnceLock};

use lwm2m_objects::capability::Capability;
use tinsmith_build_job::{Facts, NUMERICS_VERSION, Options, Request, Samples, SamplesFacts};
use tinsmith_build_job::{Sealed, Task, TestSet, build_key, choices};
use tinsmith_digest::Digest;
use tinsmith_samples::{self as samples, SamplesError};

use crate::{Card, ZooError};

/// A model with its data.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it is.
    pub card: Card,
    /// Name of its ONNX file.
    pub source: Digest,
    /// True for those inside the program.
    pub shipped: bool,
    /// Whether it is built even if layers and outputs have a low signal to noise.
    pub allow_low_sqnr: bool,
    /// The ONNX file.
    pub onnx: Arc<[u8]>,
    pub(crate) calibration: Arc<[u8]>,
    pub(crate) test: Option<Arc<[u8]>>,
    /// Its record is one of the version before, which had one version of a model.
    pub(crate) old_key: bool,
    /// What is in the data files, once they were opened.
    facts: OnceLock<Facts>,
}

impl Model {
    /// Puts a model together. Its data files are not opened: see [`crate::Builder::check`].
    ///
    /// # Errors
    /// The card is wrong.
    pub fn new<Bytes: Into<Arc<[u8]>>>(
        card: Card,
        onnx: Bytes,
        calibration: Bytes,
        test: Option<Bytes>,
    ) -> Result<Self, ZooError> {
        card.check()?;
        let test = test.map(Into::into);
        Ok(Self::unchecked(card, onnx.into(), calibration.into(), test))
    }

    /// A model whose data were checked before, or are by a test.
    pub(crate) fn unchecked(
        card: Card,
        onnx: Arc<[u8]>,
        calibration: Arc<[u8]>,
        test: Option<Arc<[u8]>>,
    ) -> Self {
        Self {
            source: Digest::of(&onnx),
            shipped: false,
            allow_low_sqnr: false,
            onnx,
            calibration,
            test,
            old_key: false,
            card,
            facts: OnceLock::new(),
        }
    }

    /// Whether another model is the same in every file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.card == other.card
            && self.source == other.source
            && self.calibration == other.calibration
            && self.test == other.test
            && self.allow_low_sqnr == other.allow_low_sqnr
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

    /// What is in the data files, if that is known. Those of a shipped model are opened here.
    pub fn facts(&self) -> Option<&Facts> {
        if self.shipped && self.facts.get().is_none() {
            let facts = self.read_facts().inspect_err(|error| {
                tracing::error!(%error, "bug: the data of a shipped model");
            });
            self.learn(facts.ok()?);
        }
        self.facts.get()
    }

    /// Keeps what was read in the data files.
    pub(crate) fn learn(&self, facts: Facts) {
        let _ = self.facts.set(facts);
    }

    fn read_facts(&self) -> Result<Facts, ZooError> {
        let calibration = self.calibration()?;
        Ok(Facts {
            calibration: SamplesFacts::of(&calibration),
            options: Options {
                allow_low_sqnr: self.allow_low_sqnr,
                ..Options::new(calibration)
            }
            .digest(),
            test: self.test()?.map(|test| SamplesFacts::of(&test.x)),
        })
    }

    /// Whether what is in the data files belongs to the card.
    pub(crate) fn fits_card(&self, facts: &Facts) -> Result<(), ZooError> {
        // A card has one input.
        let input = &self.card.inputs[0];
        let test = facts.test.as_ref().map(|test| ("test", test));
        for (file, samples) in [("calibration", &facts.calibration)]
            .into_iter()
            .chain(test)
        {
            let found = match samples.arrays.as_slice() {
                [only] => Some(only),
                arrays => [input.name.as_str(), "x"]
                    .iter()
                    .find_map(|name| arrays.iter().find(|(of, _)| of == name)),
            };
            let found = found.map_or(&[][..], |(_, shape)| shape.as_slice());
            if found != input.shape {
                let expected = &input.shape;
                let text = format!("its samples have shape {found:?}, the card says {expected:?}");
                return Err(ZooError::Data {
                    file,
                    error: SamplesError::Shape(text),
                });
            }
        }
        Ok(())
    }

    /// What the compiling child is asked: with a device to compile for, and with the test set if
    /// that is to be read too.
    pub(crate) fn sealed(&self, capability: Option<Capability>, test: bool) -> Sealed {
        Sealed {
            name: self.card.name.clone(),
            version: self.card.version.clone(),
            onnx: self.onnx.clone(),
            task: self.card.task,
            labels: self.classes(),
            capability,
            calibration: self.calibration.clone(),
            test: self.test.clone().filter(|_| test),
            allow_low_sqnr: self.allow_low_sqnr,
        }
    }

    /// The calibration samples, unpacked in this process: for models that are trusted.
    pub fn calibration(&self) -> Result<Samples, ZooError> {
        let data = |error| ZooError::Data {
            file: "calibration",
            error,
        };
        samples::samples(&self.calibration).map_err(data)
    }

    /// The held-out samples, if there are any, unpacked in this process.
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

    /// What the compiler is asked for this model and a device.
    pub fn request(&self, capability: Capability) -> Result<Request, ZooError> {
        Ok(Request {
            name: self.card.name.clone(),
            version: self.card.version.clone(),
            onnx: self.onnx.to_vec(),
            task: self.card.task,
            labels: self.classes(),
            capability,
            options: Options {
                allow_low_sqnr: self.allow_low_sqnr,
                ..Options::new(self.calibration()?)
            },
            test: None,
        })
    }

    /// The key of that request, without making it; see [`Request::build_key`].
    pub fn build_key(&self, facts: &Facts, capability: &Capability, compiler: &str) -> Digest {
        let choices = choices(&facts.options, self.card.task, &self.classes());
        let capability = capability.digest();
        build_key(
            &self.source,
            &capability,
            &choices,
            NUMERICS_VERSION,
            compiler,
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::Zoo;

    #[test]
    fn the_key_is_that_of_the_request() {
        let model = Zoo::shipped().find("motion").unwrap();
        let capability = tinsmith_targets::find("nrf52840").unwrap();
        let request = model.request(capability.clone()).unwrap();
        for _ in 0..2 {
            let key = model.build_key(model.facts().unwrap(), &capability, "tinsmith 1");
            assert_eq!(key, request.build_key("tinsmith 1"));
        }
        let other = model.build_key(model.facts().unwrap(), &capability, "tinsmith 2");
        assert_ne!(other, request.build_key("tinsmith 1"));
    }
}
