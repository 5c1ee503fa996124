//! What a build gives: the module, what it is made of and how good it is.

use serde::{Deserialize, Serialize};
use tinsmith_digest::Digest;

/// What a build gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The module's image.
    pub module: Vec<u8>,
    /// What it is made of and how good it is.
    pub report: Report,
}

/// Stage in which a finished module is measured on a test set.
pub const MEASURE: &str = "measure";

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Name of the stage that begins.
    pub stage: String,
    /// Share of the work done, 0 to 1.
    pub fraction: f32,
}

/// The report of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// Platform name of the device it was built for.
    pub target: String,
    /// Bytes of the module.
    pub module_bytes: u64,
    /// Bytes of weights and biases in it.
    pub weights_bytes: u64,
    /// Bytes of machine code in it.
    pub code_bytes: u64,
    /// Bytes of RAM that an inference needs.
    pub arena_bytes: u64,
    /// Multiply-accumulates of an inference.
    pub macs: u64,
    /// Name of the metric: accuracy, rmse or auc; none without a test set.
    pub metric: Option<String>,
    /// The float model's, 0 to 1 for accuracy and AUC.
    pub metric_float: Option<f64>,
    /// The module's, on the same samples.
    pub metric_int8: Option<f64>,
    /// Share of samples on which both give the same class.
    pub agreement: Option<f64>,
    /// Samples that were measured.
    pub samples: u64,
    /// Milliseconds from the file to the verified module, without measuring.
    pub compile_ms: u64,
    /// SHA-256 of the ONNX file.
    pub source_digest: Digest,
    /// SHA-256 of the module.
    pub module_digest: Digest,
    /// Key that equal builds share.
    pub build_key: Digest,
    /// Name and version of the compiler.
    pub compiler: String,
    /// Kernels that the device must have, as (id, version).
    pub kernels: Vec<(u16, u16)>,
    /// What the float model was compared with before it was quantized.
    #[serde(default)]
    pub float_check: FloatCheck,
    /// The model's inputs.
    #[serde(default)]
    pub inputs: Vec<PortReport>,
    /// The model's outputs.
    #[serde(default)]
    pub outputs: Vec<PortReport>,
    /// What is less precise than it should be, and was allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// One row per record of the plan.
    pub layers: Vec<LayerReport>,
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReport {
    /// Name in the ONNX file.
    pub name: String,
    /// Shape in the ONNX file, with batch.
    pub shape: Vec<usize>,
}

/// Who else computed the float model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum FloatCheck {
    /// tract, which agreed on this many tensors.
    Tract {
        /// Tensors compared, inner ones too.
        tensors: u64,
    },
    /// Nobody.
    None {
        /// Why tract could not.
        reason: String,
    },
}

impl Default for FloatCheck {
    fn default() -> Self {
        Self::None {
            reason: "not recorded".into(),
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Name of its result.
    pub name: String,
    /// Operator.
    pub op: String,
    /// ONNX nodes that it does the work of.
    pub nodes: Vec<String>,
    /// Shape of the result as stored.
    pub shape: Vec<usize>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of weights and biases.
    pub weights_bytes: u64,
    /// Bytes of arena in use while it runs.
    pub arena_bytes: u64,
    /// Signal to noise of the result against float, in dB; none if there is no noise.
    pub sqnr_db: Option<f64>,
    /// Who does its work on the device.
    #[serde(default)]
    pub backend: String,
    /// Cycles that it takes by the backend's reckoning, if it has one.
    #[serde(default)]
    pub cycles: Option<u64>,
}
