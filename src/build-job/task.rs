//! What models are for.

pub use lwm2m_objects::compute::Task;

/// Mean squared difference of a sample and its reconstruction: the anomaly score.
pub fn squared_error(sample: &[f32], output: &[f32]) -> f64 {
    let sum: f64 = sample
        .iter()
        .zip(output)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)) * (f64::from(a) - f64::from(b)))
        .sum();
    sum / sample.len().max(1) as f64
}
