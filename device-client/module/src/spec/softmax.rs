//! Softmax (N11).

use super::Tensor;

/// `e = T[max - x]`, `E = sum(e)`, `y = min(127, (256 * e + (E >> 1)) / E - 128)` over the channels
/// of each element.
pub fn softmax(input: &Tensor, table: &[u32]) -> Tensor {
    let mut output = Tensor::new(input.height, input.width, input.channels);
    for y in 0..input.height {
        for x in 0..input.width {
            let row: Vec<i64> = (0..input.channels).map(|c| input.at(y, x, c)).collect();
            let highest = row.iter().copied().max().unwrap_or(0);
            let e: Vec<i64> = row
                .iter()
                .map(|x| i64::from(table[(highest - x) as usize]))
                .collect();
            let sum: i64 = e.iter().sum();
            for (c, e) in e.iter().enumerate() {
                let share = (256 * e + (sum >> 1)) / sum - 128;
                output.set(y, x, c, share.min(127) as i8);
            }
        }
    }
    output
}
