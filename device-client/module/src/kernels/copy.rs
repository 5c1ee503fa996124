//! Copy between two orders of elements.

use super::split;
use crate::plan::copy::CopyRecord;

impl CopyRecord {
    pub(crate) fn execute(&self, memory: &mut [u8]) {
        let (input, output) = split(memory, &self.input, &self.output);
        let [n0, n1, n2, n3] = self.shape;
        let [s0, s1, s2, s3] = self.input_strides;
        let mut lines = output[..self.output.bytes()].chunks_exact_mut(n3);
        for i0 in 0..n0 {
            for i1 in 0..n1 {
                for i2 in 0..n2 {
                    let Some(line) = lines.next() else { return };
                    let start = self.input_start + i0 * s0 + i1 * s1 + i2 * s2;
                    if s3 == 1 {
                        line.copy_from_slice(&input[start..start + n3]);
                    } else {
                        for (i3, out) in line.iter_mut().enumerate() {
                            *out = input[start + i3 * s3];
                        }
                    }
                }
            }
        }
    }
}
