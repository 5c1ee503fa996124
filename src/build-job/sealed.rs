//! A build whose data files nobody has opened: the child does, under its limits.

use std::sync::Arc;

use lwm2m_objects::capability::Capability;
use serde::{Deserialize, Serialize};
use tinsmith_digest::Digest;

use crate::{Array, Samples, Task};

/// A build whose data files nobody has opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// Name of the model, for messages and the report.
    pub name: String,
    /// Version of the model, for the report.
    pub version: String,
    /// The ONNX file.
    pub onnx: Arc<[u8]>,
    /// What the output is for.
    pub task: Task,
    /// Class names, none or as many as the output has elements.
    pub labels: Vec<String>,
    /// The device; `None`: nothing is compiled, the data files are read only.
    pub capability: Option<Capability>,
    /// The file of calibration samples.
    pub calibration: Arc<[u8]>,
    /// The file of labelled samples; it is read, and nothing is measured on it.
    pub test: Option<Arc<[u8]>>,
    /// See [`crate::Options::allow_low_sqnr`].
    pub allow_low_sqnr: bool,
}

/// What the data files of a model have in them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Of the options with these calibration samples; see [`crate::Options::digest`].
    pub options: Digest,
    /// Of the calibration samples.
    pub calibration: SamplesFacts,
    /// Of the labelled samples, if there are any.
    pub test: Option<SamplesFacts>,
}

/// What samples are like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplesFacts {
    /// Name and shape of each array of a sample.
    pub arrays: Vec<(String, Vec<usize>)>,
    /// How many samples there are.
    pub samples: u64,
}

impl SamplesFacts {
    /// Of these samples.
    pub fn of(samples: &Samples) -> Self {
        let array = |array: &Array| (array.name.clone(), array.shape.clone());
        Self {
            arrays: samples.arrays.iter().map(array).collect(),
            samples: samples.len() as u64,
        }
    }
}
