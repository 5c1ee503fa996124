//! Samples of a model.

/// Samples of a model's input, all of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Shape of one sample in ONNX order, without the batch.
    pub shape: Vec<usize>,
    /// All samples, one after the other.
    pub data: Vec<f32>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.data.len() / self.size().max(1)
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Number of values of one sample.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// One after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.size().max(1))
    }
}

/// Samples with what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSet {
    /// Inputs.
    pub x: Samples,
    /// The class, or 0 (normal) and 1 (anomalous), or the value for each sample.
    pub y: Vec<f64>,
}
