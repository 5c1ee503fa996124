//! Concatenation: each input is copied or requantized to its place in the output.

use super::requantize::requantize;
use super::split;
use crate::plan::Axis;
use crate::plan::concat::{ConcatRecord, ConcatSource};

impl ConcatRecord<'_> {
    pub(crate) fn execute(&self, memory: &mut [u8]) {
        let mut before = 0;
        for ConcatSource {
            input,
            requantize: factor,
        } in self.inputs()
        {
            let (bytes, output) = split(memory, &input, &self.output);
            let place = |from: &[u8], to: &mut [u8]| match factor {
                Some((zero_point, m)) => requantize(from, zero_point, m, self.clamp, to),
                None => to.copy_from_slice(from),
            };
            for y in 0..input.height {
                let row = input.row_of(bytes, y);
                match self.axis {
                    Axis::Height => place(row, self.output.row_of_mut(output, before + y)),
                    Axis::Width => {
                        let at = before * input.channels;
                        let target = self.output.row_of_mut(output, y);
                        place(row, &mut target[at..at + row.len()]);
                    }
                    Axis::Channels => {
                        let targets = self
                            .output
                            .row_of_mut(output, y)
                            .chunks_exact_mut(self.output.channels);
                        for (element, target) in row.chunks_exact(input.channels).zip(targets) {
                            place(element, &mut target[before..before + element.len()]);
                        }
                    }
                }
            }
            before += self.axis.length(&input);
        }
    }
}
