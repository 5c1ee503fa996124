//! Samples of a model.

/// What a sample has values for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Name of the model's input; that of an only array need not be.
    pub name: String,
    /// Shape in ONNX order, without the batch.
    pub shape: Vec<usize>,
}

impl Array {
    /// Number of values.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Samples of a model's inputs, all of the same shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// The arrays of a sample, in the order of its values.
    pub arrays: Vec<Array>,
    /// All samples, one after the other.
    pub data: Vec<f32>,
}

impl Samples {
    /// Samples of one array.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Self {
        let name = "x".into();
        Self {
            arrays: vec![Array { name, shape }],
            data,
        }
    }

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
        self.arrays.iter().map(Array::size).sum()
    }

    /// One after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.size().max(1))
    }

    /// The same samples with these of their arrays, in this order.
    pub fn select(&self, arrays: &[usize]) -> Self {
        let starts: Vec<usize> = self
            .arrays
            .iter()
            .scan(0, |end, array| {
                let start = *end;
                *end += array.size();
                Some(start)
            })
            .collect();
        let chosen = || {
            let known = arrays.iter().filter(|&&index| index < starts.len());
            known.map(|&index| (&self.arrays[index], starts[index]))
        };
        let parts = |sample| chosen().map(move |(array, at)| part(sample, at, array.size()));
        Self {
            data: self.iter().flat_map(parts).flatten().copied().collect(),
            arrays: chosen().map(|(array, _)| array.clone()).collect(),
        }
    }
}

fn part(sample: &[f32], at: usize, length: usize) -> &[f32] {
    sample.get(at..at + length).unwrap_or_default()
}

/// Samples with what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSet {
    /// Inputs.
    pub x: Samples,
    /// The class, or 0 (normal) and 1 (anomalous), or the value for each sample.
    pub y: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_selected_sample_by_sample() {
        let array = |name: &str, shape: &[usize]| Array {
            name: name.into(),
            shape: shape.into(),
        };
        let samples = Samples {
            arrays: vec![array("a", &[2]), array("b", &[1]), array("c", &[1, 2])],
            data: (0..10).map(|v| v as f32).collect(),
        };
        assert_eq!((samples.len(), samples.size()), (2, 5));
        let turned = samples.select(&[2, 0]);
        assert_eq!(turned.arrays, [array("c", &[1, 2]), array("a", &[2])]);
        assert_eq!(turned.data, [3., 4., 0., 1., 8., 9., 5., 6.]);
    }
}
