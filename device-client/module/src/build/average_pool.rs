//! Mean over a window, as the compiler gives it.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::BuildError;
use super::writer::Writer;
use crate::format::record::Layout;
use crate::numerics::{FactorError, Multiplier};
use crate::plan::average_pool::Means;
use crate::plan::{Clamp, Steps, View, Window};

/// Mean over a window (N9); also GlobalAveragePool and ReduceMean.
#[derive(Debug, Clone, PartialEq)]
pub struct AveragePool {
    /// Input tensor.
    pub input: View,
    /// Output tensor.
    pub output: View,
    /// Window over the input.
    pub window: Window,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// Divide by the size of the window everywhere, not by its valid elements.
    pub count_include_pad: bool,
    /// Scale of the input.
    pub input_scale: f32,
    /// Scale of the output.
    pub output_scale: f32,
}

fn counts(steps: Steps, outputs: u32, input: u32) -> BTreeSet<usize> {
    (0..outputs as usize)
        .map(|o| {
            let (first, end) = steps.valid(steps.origin(o), input as usize);
            end - first
        })
        .collect()
}

impl AveragePool {
    /// The multiplier of every count of valid elements that occurs, by count.
    pub fn means(&self) -> Result<Vec<(u32, Multiplier)>, FactorError> {
        let mean = |n: u32| Multiplier::mean(self.input_scale, self.output_scale, n);
        if self.count_include_pad {
            let n = self.window.kernel_height * self.window.kernel_width;
            return Ok(vec![(n, mean(n)?)]);
        }
        let rows = counts(self.window.rows(), self.output.height, self.input.height);
        let columns = counts(self.window.columns(), self.output.width, self.input.width);
        let counts: BTreeSet<usize> = rows
            .iter()
            .flat_map(|r| columns.iter().map(move |c| r * c))
            .collect();
        counts
            .into_iter()
            .filter(|&n| n > 0)
            .map(|n| Ok((n as u32, mean(n as u32)?)))
            .collect()
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        if self.window.dilation_x == 0 || self.window.dilation_y == 0 {
            return Err(BuildError::Shape("a dilation of zero"));
        }
        let means = self.means().map_err(BuildError::Factor)?;
        let mut table = Vec::with_capacity(means.len() * Means::ENTRY);
        for (count, m) in &means {
            table.extend_from_slice(&count.to_le_bytes());
            table.extend_from_slice(&m.q.to_le_bytes());
            table.extend_from_slice(&[m.t, 0, 0, 0]);
        }
        w.view(&self.input)?;
        w.view(&self.output)?;
        w.window(&self.window)?;
        w.i8(self.input_zero_point);
        w.clamp(&self.clamp);
        w.u16(u32::from(self.count_include_pad), "a flag")?;
        w.u16(means.len() as u32, "the means of a pool")?;
        w.constant(Layout::Table, &table)
    }
}
