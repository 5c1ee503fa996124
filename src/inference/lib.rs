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

/// How long one exchange with the device may take (ms).
const WAIT: u64 = 30_000;
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
}

/// A device whose descriptors were read.
pub struct Session {
    server: ServerHandle,
    endpoint: String,
    input: TensorDescriptor,
    output: TensorDescriptor,
}

impl Session {
    /// Reads what the model that is in use takes and gives.
    pub async fn open(server: &ServerHandle, endpoint: &str) -> Result<Self, InferenceError> {
        let read = |path: Path| ask(server, endpoint, "Read", Operation::read(path));
        let link = content(read(at(id::MODEL)).await?)?;
        let model = link
            .iter()
            .find_map(|found| found.value.as_objlnk())
            .filter(|link| link.object == ids::ML_MODEL)
            .ok_or(InferenceError::NoModel)?;
        let descriptor = async |what, resource| {
            let path = Path::resource(ids::ML_MODEL, model.instance, resource);
            let values = content(read(path).await?)?;
            let bytes = values
                .iter()
                .find_map(|found| found.value.as_bytes().map(<[u8]>::to_vec));
            let bytes = bytes
                .filter(|b| !b.is_empty())
                .ok_or(InferenceError::NoModel)?;
            let mut all = read_descriptors(&bytes)?;
            if all.len() != 1 {
                let count = all.len();
                return Err(InferenceError::Tensors { what, count });
            }
            Ok(all.remove(0))
        };
        let input = descriptor("inputs", ml_model::INPUTS).await?;
        let output = descriptor("outputs", ml_model::OUTPUTS).await?;
        Ok(Self {
            server: server.clone(),
            endpoint: endpoint.to_owned(),
            input,
            output,
        })
    }

    /// What goes in.
    pub fn input(&self) -> &TensorDescriptor {
        &self.input
    }

    /// What comes out.
    pub fn output(&self) -> &TensorDescriptor {
        &self.output
    }

    /// Runs a sample of real numbers in ONNX order.
    pub async fn run(&self, sample: &[f32]) -> Result<Answer, InferenceError> {
        let stored = self.input.quantize(sample)?;
        let mut answer = self.run_stored(&stored).await?;
        if self.output.task == Some(Task::Reconstruct) && answer.output.len() == sample.len() {
            answer.reconstruction_error = Some(squared_error(sample, &answer.output));
        }
        Ok(answer)
    }

    /// Runs a sample of stored bytes.
    pub async fn run_stored(&self, stored: &[u8]) -> Result<Answer, InferenceError> {
        let path = at(id::INPUT);
        let write = if stored.len() <= BLOCK {
            let value = OwnedValue::Opaque(stored.to_vec());
            Operation::write(path, vec![(path, value)], true)
        } else {
            let tag = Digest::of(stored).tag();
            Operation::Push {
                path,
                body: Body::from(stored),
                from: 0,
                tag,
            }
        };
        done(
            "Write /27304/0/5",
            self.ask("Write /27304/0/5", write).await?,
        )?;
        let path = at(id::RUN);
        let run = Operation::Execute {
            path,
            arguments: String::new(),
        };
        done(
            "Execute /27304/0/4",
            self.ask("Execute /27304/0/4", run).await?,
        )?;
        let path = Path::instance(ids::INFERENCE, PIPELINE);
        let values = content(self.ask("Read /27304/0", Operation::read(path)).await?)?;
        let find = |resource| {
            let path = at(resource);
            values
                .iter()
                .find(|found| found.path == path)
                .map(|found| &found.value)
        };
        let stored = find(id::OUTPUT)
            .and_then(OwnedValue::as_bytes)
            .ok_or(InferenceError::Missing("Output (/27304/0/6)"))?
            .to_vec();
        Ok(Answer {
            class: find(id::CLASS).and_then(OwnedValue::as_u64),
            label: find(id::LABEL)
                .and_then(OwnedValue::as_str)
                .map(str::to_owned),
            score: find(id::SCORE).and_then(OwnedValue::as_f64),
            output: self.output.dequantize(&stored)?,
            stored,
            reconstruction_error: None,
            latency_us: find(id::LATENCY_LAST).and_then(OwnedValue::as_u64),
        })
    }

    async fn ask(
        &self,
        request: &'static str,
        operation: Operation,
    ) -> Result<Outcome, InferenceError> {
        ask(&self.server, &self.endpoint, request, operation).await
    }
}

async fn ask(
    server: &ServerHandle,
    endpoint: &str,
    request: &'static str,
    operation: Operation,
) -> Result<Outcome, InferenceError> {
    let outcome = server.request(endpoint, operation, WAIT).await?;
    match outcome {
        Outcome::Content(_) | Outcome::Done => Ok(outcome),
        outcome => Err(InferenceError::Device { request, outcome }),
    }
}

fn content(outcome: Outcome) -> Result<Vec<PathValue>, InferenceError> {
    match outcome {
        Outcome::Content(values) => Ok(values),
        outcome => Err(InferenceError::Device {
            request: "Read",
            outcome,
        }),
    }
}

fn done(request: &'static str, outcome: Outcome) -> Result<(), InferenceError> {
    match outcome {
        Outcome::Done => Ok(()),
        outcome => Err(InferenceError::Device { request, outcome }),
    }
}
