//! What a build is asked for, and its key.

use lwm2m_objects::capability::Capability;
use sha2::{Digest as _, Sha256};
use tinsmith_digest::Digest;
use tinsmith_module::NUMERICS_VERSION;

use crate::{Samples, Task, TestSet};

/// What may be chosen about a build.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Samples that the scales of activations are measured on.
    pub calibration: Samples,
    /// How many golden inputs from a seed the module carries, 0 to 2.
    pub golden_seeds: u8,
    /// Whether a calibration sample is a golden input too, if it is small enough.
    pub golden_sample: bool,
    /// Whether layers and outputs with a low signal to noise are built all the same.
    pub allow_low_sqnr: bool,
}

impl Options {
    /// The defaults with this calibration set.
    pub fn new(calibration: Samples) -> Self {
        Self {
            calibration,
            golden_seeds: 2,
            golden_sample: true,
            allow_low_sqnr: false,
        }
    }

    /// Digest of everything that has an influence on the module.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(b"tinsmith-options-1");
        hash.update([self.golden_seeds.min(2), u8::from(self.golden_sample)]);
        let shape = |hash: &mut Sha256, shape: &[usize]| {
            hash.update((shape.len() as u64).to_le_bytes());
            for &extent in shape {
                hash.update((extent as u64).to_le_bytes());
            }
        };
        match self.calibration.arrays.as_slice() {
            // Its name is not looked at.
            [only] => shape(&mut hash, &only.shape),
            arrays => {
                hash.update(u64::MAX.to_le_bytes());
                hash.update((arrays.len() as u64).to_le_bytes());
                for array in arrays {
                    hash.update((array.name.len() as u64).to_le_bytes());
                    hash.update(array.name.as_bytes());
                    shape(&mut hash, &array.shape);
                }
            }
        }
        for value in &self.calibration.data {
            hash.update(value.to_le_bytes());
        }
        // Digests without it are kept with models.
        if self.allow_low_sqnr {
            hash.update(b"allow-low-sqnr");
        }
        Digest(hash.finalize().into())
    }
}

/// One build.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Name of the model, for messages and the report.
    pub name: String,
    /// Version of the model, for the report.
    pub version: String,
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// What the output is for.
    pub task: Task,
    /// Class names, none or as many as the output has elements.
    pub labels: Vec<String>,
    /// The device: target file overridden by what the device reports.
    pub capability: Capability,
    /// Choices.
    pub options: Options,
    /// Labelled samples to measure float and int8 on.
    pub test: Option<TestSet>,
}

impl Request {
    /// The key under which the result may be cached: requests with one key give the same bytes.
    /// `compiler` is the name and version of the compiler.
    pub fn build_key(&self, compiler: &str) -> Digest {
        build_key(
            &Digest::of(&self.onnx),
            &self.capability.digest(),
            &choices(&self.options.digest(), self.task, &self.labels),
            NUMERICS_VERSION,
            compiler,
        )
    }
}

/// Digest of all that is chosen: options, and task and labels, which are written into the module.
pub fn choices(options: &Digest, task: Task, labels: &[String]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(options.0);
    hash.update([task as u8]);
    for label in labels {
        hash.update((label.len() as u64).to_le_bytes());
        hash.update(label.as_bytes());
    }
    Digest(hash.finalize().into())
}

/// hash(ONNX, effective capability, [`choices`], numerics version, compiler version).
pub fn build_key(
    onnx: &Digest,
    capability: &[u8],
    choices: &Digest,
    numerics: u16,
    compiler: &str,
) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"tinsmith-build-1");
    hash.update(onnx.0);
    hash.update((capability.len() as u64).to_le_bytes());
    hash.update(capability);
    hash.update(choices.0);
    hash.update(numerics.to_le_bytes());
    hash.update(compiler.as_bytes());
    Digest(hash.finalize().into())
}
