//! Running a device's model on a sample: the device gets and gives stored bytes, this side
//! permutes, quantizes and dequantizes by the descriptors in 27303.

use lwm2m_objects::compute::{
    DescriptorError, Task, TensorDescriptor, WrongLength, read_descriptors,
};
use lwm2m_objects::ids::{self, inference as id, ml_model};
use lwm2m_objects::{OwnedValue, Path};
use serde::Serialize;
use tinsmith_build_job::squared_error;
use tinsmith_digest::Digest;
use tinsmith_lwm2m::{Body, Operation, Outcome, PathValue};
use tinsmith_server::ServerHandle;

/// How often a sample is run again because the device's model changed meanwhile.
const TRIES: usize = 3;
/// Inputs up to this size fit one block.
const BLOCK: usize = 1024;
/// Instance of Inference that is used.
const PIPELINE: u16 = 0;

/// A resource of it.
const fn at(resource: u16) -> Path {
    Path::resource(ids::INFERENCE, PIPELINE, resource)
}

/// What one inference gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Index of the class, of a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<u64>,
    /// Its name, where the module has names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The output in ONNX order, dequantized.
    pub output: Vec<f32>,
    /// The bytes of the output as the device gave them.
    #[serde(skip)]
    pub stored: Vec<u8>,
    /// Mean squared difference of input and output, of an autoencoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconstruction_error: Option<f64>,
    /// Microseconds the device took.
    pub latency_us: Option<u64>,
}

/// Why a sample could not be run.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The server gave no answer.
    #[error(transparent)]
    NoAnswer(#[from] tinsmith_server::NoAnswer),
    /// The device did not do it.
    #[error("{request}: {outcome:?}")]
    Device {
        /// What was asked.
        request: &'static str,
        /// What it answered.
        outcome: Outcome,
    },
    /// No module is in use.
    #[error("the device runs no model")]
    NoModel,
    /// The descriptors can't be understood.
    #[error("the device describes its model wrongly: {0}")]
    Descriptor(#[from] DescriptorError),
    /// A device takes and gives all tensors of a model, but samples and answers here are of one.
    #[error("the model has {count} {what}; a sample is run by the server on a model with one")]
    Tensors {
        /// Inputs or outputs.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// The sample does not fit the model.
    #[error(transparent)]
    Size(#[from] WrongLength),
    /// The answer misses something.
    #[error("the device gave no {0}")]
    Missing(&'static str),
    /// Another model came into use while the sample was run, again and again.
    #[error("the device's model changes; try again when its update is over")]
    Changed,
}

/// Which module a device uses, and what it takes and gives.
#[derive(Clone, Debug, PartialEq)]
struct Used {
    /// Instance of ML Model.
    instance: u16,
    /// SHA-256 of the module, as the device says.
    digest: Vec<u8>,
    input: TensorDescriptor,
    output: TensorDescriptor,
}

/// A device whose descriptors were read.
pub struct Session {
    device: Asked,
    used: Used,
}

/// The device.
struct Asked {
    server: ServerHandle,
    endpoint: String,
    /// How long it may take to be asked and to answer (ms).
    wait_ms: u64,
}

impl Session {
    /// Reads what the model that is in use takes and gives. Each time that the device is asked may
    /// take `wait_ms`.
    ///
    /// # Errors
    /// It did not answer, runs no model, or describes it wrongly.
    pub async fn open(
        server: &ServerHandle,
        endpoint: &str,
        wait_ms: u64,
    ) -> Result<Self, InferenceError> {
        let device = Asked {
            server: server.clone(),
            endpoint: endpoint.to_owned(),
            wait_ms,
        };
        let used = device.used().await?;
        Ok(Self { device, used })
    }

    /// What goes in.
    pub fn input(&self) -> &TensorDescriptor {
        &self.used.input
    }

    /// What comes out.
    pub fn output(&self) -> &TensorDescriptor {
        &self.used.output
    }

    /// Runs a sample of real numbers in ONNX order. If another model came into use since the
    /// descriptors were read, they are read again.
    pub async fn run(&mut self, sample: &[f32]) -> Result<Answer, InferenceError> {
        for _ in 0..TRIES {
            let stored = self.used.input.quantize(sample)?;
            match self.attempt(&stored).await? {
                Some(mut answer) => {
                    let reconstructs = self.used.output.task == Some(Task::Reconstruct);
                    if reconstructs && answer.output.len() == sample.len() {
                        answer.reconstruction_error = Some(squared_error(sample, &answer.output));
                    }
                    return Ok(answer);
                }
                None => self.used = self.device.used().await?,
            }
        }
        Err(InferenceError::Changed)
    }

    /// Runs a sample of stored bytes, which only the model whose descriptors were read can take.
    pub async fn run_stored(&self, stored: &[u8]) -> Result<Answer, InferenceError> {
        let answer = self.attempt(stored).await?;
        answer.ok_or(InferenceError::Changed)
    }

    /// Writes, runs and reads as one unit of the device's queue, so that no other asker's sample
    /// comes in between. `None`: it was another model that did it, or refused it.
    async fn attempt(&self, stored: &[u8]) -> Result<Option<Answer>, InferenceError> {
        let write = if stored.len() <= BLOCK {
            let value = OwnedValue::Opaque(stored.to_vec());
            Operation::write(at(id::INPUT), vec![(at(id::INPUT), value)], true)
        } else {
            Operation::Push {
                path: at(id::INPUT),
                body: Body::from(stored),
                from: 0,
                tag: Digest::of(stored).tag(),
            }
        };
        let run = Operation::Execute {
            path: at(id::RUN),
            arguments: String::new(),
        };
        let used = &self.used;
        let steps = [
            ("Write /27304/0/5", write),
            ("Execute /27304/0/4", run),
            (
                "Read /27304/0",
                Operation::read(Path::instance(ids::INFERENCE, PIPELINE)),
            ),
            (
                "Read of the module's digest",
                Operation::read(slot(used.instance, ml_model::MODULE_DIGEST)),
            ),
        ];
        let outcomes = match self.device.ask(steps).await {
            Err(refused @ InferenceError::Device { .. }) => {
                // It may be that a model in use since then refused this one's input.
                return match self.device.used().await {
                    Ok(now) if now != *used => Ok(None),
                    _ => Err(refused),
                };
            }
            other => other?,
        };
        let values: Vec<&PathValue> = outcomes.iter().flatten().collect();
        let find = |path: Path| {
            let found = values.iter().find(|found| found.path == path);
            found.map(|found| &found.value)
        };
        let link = find(at(id::MODEL)).and_then(OwnedValue::as_objlnk);
        let digest = find(slot(used.instance, ml_model::MODULE_DIGEST));
        if link.is_none_or(|link| link.instance != used.instance)
            || digest.and_then(OwnedValue::as_bytes) != Some(used.digest.as_slice())
        {
            return Ok(None);
        }
        let stored = find(at(id::OUTPUT))
            .and_then(OwnedValue::as_bytes)
            .ok_or(InferenceError::Missing("Output (/27304/0/6)"))?
            .to_vec();
        let label = find(at(id::LABEL)).and_then(OwnedValue::as_str);
        Ok(Some(Answer {
            class: find(at(id::CLASS)).and_then(OwnedValue::as_u64),
            label: label.map(str::to_owned),
            score: find(at(id::SCORE)).and_then(OwnedValue::as_f64),
            output: used.output.dequantize(&stored)?,
            stored,
            reconstruction_error: None,
            latency_us: find(at(id::LATENCY_LAST)).and_then(OwnedValue::as_u64),
        }))
    }
}

/// A resource of an instance of ML Model.
const fn slot(instance: u16, resource: u16) -> Path {
    Path::resource(ids::ML_MODEL, instance, resource)
}

impl Asked {
    async fn used(&self) -> Result<Used, InferenceError> {
        let read = |resource| ("Read", Operation::read(resource));
        let link = self.ask([read(at(id::MODEL))]).await?;
        let link = link.iter().flatten().find_map(|v| v.value.as_objlnk());
        let model = link
            .filter(|link| link.object == ids::ML_MODEL)
            .ok_or(InferenceError::NoModel)?;
        let of = [ml_model::MODULE_DIGEST, ml_model::INPUTS, ml_model::OUTPUTS];
        let steps = of.map(|resource| read(slot(model.instance, resource)));
        let answers = self.ask(steps).await?;
        let bytes = |resource| {
            let path = slot(model.instance, resource);
            let found = answers.iter().flatten().find(|found| found.path == path);
            let bytes = found.and_then(|found| found.value.as_bytes());
            bytes
                .filter(|b| !b.is_empty())
                .ok_or(InferenceError::NoModel)
        };
        let descriptor = |what, resource| {
            let mut all = read_descriptors(bytes(resource)?)?;
            if all.len() != 1 {
                let count = all.len();
                return Err(InferenceError::Tensors { what, count });
            }
            Ok(all.remove(0))
        };
        Ok(Used {
            instance: model.instance,
            digest: bytes(ml_model::MODULE_DIGEST)?.to_vec(),
            input: descriptor("inputs", ml_model::INPUTS)?,
            output: descriptor("outputs", ml_model::OUTPUTS)?,
        })
    }

    /// Asks for all of `steps` as one unit. The values that were read, step by step; an error names
    /// the step that failed.
    async fn ask<const N: usize>(
        &self,
        steps: [(&'static str, Operation); N],
    ) -> Result<Vec<Vec<PathValue>>, InferenceError> {
        let names = steps.each_ref().map(|(name, _)| *name);
        let unit = Operation::Unit(Vec::from(steps.map(|(_, operation)| operation)));
        let failed = |request, outcome| Err(InferenceError::Device { request, outcome });
        let outcomes = match self
            .server
            .request(&self.endpoint, unit, self.wait_ms)
            .await?
        {
            Outcome::Unit(outcomes) => outcomes,
            outcome => return failed("the unit", outcome),
        };
        let mut answers = Vec::with_capacity(N);
        for (request, outcome) in names.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Content(values) => answers.push(values),
                Outcome::Done => answers.push(Vec::new()),
                outcome => return failed(request, outcome),
            }
        }
        Ok(answers)
    }
}
