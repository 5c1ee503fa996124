//! Dense weights for the float evaluator: one output pixel at a time, 16 output channels at a time,
//! taps in order.

const LANES: usize = 16;

/// Weights as `[channel block][tap][input][16]`, so that the inner loop runs over channels and
/// each channel is summed in the order bias, first tap, .., last tap.
pub(super) struct Packed {
    weights: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
    inner: usize,
}

impl Packed {
    /// Packs weights `[outputs][taps * inputs]`.
    pub(super) fn new(weights: &[f32], bias: &[f32], outputs: usize) -> Self {
        let inner = weights.len().checked_div(outputs).unwrap_or(0);
        let blocks = outputs.div_ceil(LANES);
        let mut packed = vec![[0.0; LANES]; blocks * inner];
        let mut biases = vec![[0.0; LANES]; blocks];
        for out in 0..outputs {
            let (block, lane) = (out / LANES, out % LANES);
            biases[block][lane] = bias.get(out).copied().unwrap_or(0.0);
            for index in 0..inner {
                packed[block * inner + index][lane] = weights[out * inner + index];
            }
        }
        Self {
            weights: packed,
            bias: biases,
            inner,
        }
    }

    /// One pixel from the runs of input that its taps read; an empty run stands for padding.
    pub(super) fn pixel(&self, runs: &[&[f32]], out: &mut [f32]) {
        let per_run = self.inner.checked_div(runs.len()).unwrap_or(0);
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            let mut sum = self.bias[block];
            let weights = &self.weights[block * self.inner..(block + 1) * self.inner];
            for (run, weights) in runs.iter().zip(weights.chunks(per_run.max(1))) {
                for (x, lanes) in run.iter().zip(weights) {
                    for (sum, w) in sum.iter_mut().zip(lanes) {
                        *sum += x * w;
                    }
                }
            }
            out.copy_from_slice(&sum[..out.len()]);
        }
    }
}
