//! A model with its data.

use std::sync::{Arc, OnceLock};

use lwm2m_objects::capability::Capability;
use tinsmith_build_job::{Array, NUMERICS_VERSION, Options, Request, Samples, Task, TestSet};
use tinsmith_build_job::{build_key, choices};
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
    /// The ONNX file.
    pub onnx: Arc<[u8]>,
    pub(crate) calibration: Arc<[u8]>,
    pub(crate) test: Option<Arc<[u8]>>,
    /// Of [`Model::choices`], which unpacks the calibration samples.
    choices: OnceLock<Digest>,
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
        let test = test.map(Into::into);
        let model = Self::unchecked(card, onnx.into(), calibration.into(), test);
        // A card has one input.
        let input = &model.card.inputs[0];
        let expected = &input.shape;
        let test = model.test()?.map(|test| ("test", test.x));
        for (file, samples) in [("calibration", model.calibration()?)]
            .into_iter()
            .chain(test)
        {
            let found = match samples.arrays.as_slice() {
                [only] => Some(only),
                arrays => [input.name.as_str(), "x"].iter().find_map(|name| {
                    let named = |array: &&Array| array.name == *name;
                    arrays.iter().find(named)
                }),
            };
            let found = found.map_or(&[][..], |array| array.shape.as_slice());
            if found != *expected {
                let text = format!("its samples have shape {found:?}, the card says {expected:?}");
                return Err(ZooError::Data {
                    file,
                    error: SamplesError::Shape(text),
                });
            }
        }
        Ok(model)
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
            onnx,
            calibration,
            test,
            card,
            choices: OnceLock::new(),
        }
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

    /// What the compiler is asked for this model and a device.
    pub fn request(&self, capability: Capability) -> Result<Request, ZooError> {
        Ok(Request {
            name: self.card.name.clone(),
            version: self.card.version.clone(),
            onnx: self.onnx.to_vec(),
            task: self.card.task,
            labels: self.classes(),
            capability,
            options: Options::new(self.calibration()?),
            test: None,
        })
    }

    /// The key of that request, without making it; see [`Request::build_key`].
    pub fn build_key(&self, capability: &Capability, compiler: &str) -> Result<Digest, ZooError> {
        let choices = match self.choices.get() {
            Some(choices) => *choices,
            None => {
                let options = Options::new(self.calibration()?).digest();
                let choices = choices(&options, self.card.task, &self.classes());
                *self.choices.get_or_init(|| choices)
            }
        };
        let capability = capability.digest();
        Ok(build_key(
            &self.source,
            &capability,
            &choices,
            NUMERICS_VERSION,
            compiler,
        ))
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
            let key = model.build_key(&capability, "tinsmith 1").unwrap();
            assert_eq!(key, request.build_key("tinsmith 1"));
        }
        let other = model.build_key(&capability, "tinsmith 2").unwrap();
        assert_ne!(other, request.build_key("tinsmith 1"));
    }
}
