//! Mean over a window: record 7.

use super::reader::Reader;
use super::{Clamp, Operator, Problem, Span, Window};
use crate::format::record::Layout;
use crate::numerics::Multiplier;

/// Mean over a window as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct AveragePoolRecord<'m> {
    /// Input tensor.
    pub input: Span,
    /// Output tensor.
    pub output: Span,
    /// Window over the input.
    pub window: Window,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// The means of N9: for each count of valid elements its multiplier.
    pub means: Means<'m>,
}

/// Multipliers by count of valid elements.
#[derive(Debug, Clone, Copy)]
pub struct Means<'m> {
    entries: &'m [[u8; Means::ENTRY]],
    include_pad: bool,
}

impl<'m> Means<'m> {
    pub(crate) const ENTRY: usize = 12;

    fn entry(bytes: &[u8; Means::ENTRY]) -> (u32, Multiplier) {
        let [a, b, c, d, e, f, g, h, t, ..] = *bytes;
        let q = i32::from_le_bytes([e, f, g, h]);
        (u32::from_le_bytes([a, b, c, d]), Multiplier { q, t })
    }

    /// Count and multiplier, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Multiplier)> + 'm {
        self.entries.iter().map(Means::entry)
    }

    /// Whether padding counts as elements, so that there is one multiplier only.
    pub fn include_pad(&self) -> bool {
        self.include_pad
    }

    /// The multiplier of a window with `count` valid elements; zero if the table has none.
    #[inline]
    pub fn of(&self, count: usize) -> Multiplier {
        let found = if self.include_pad {
            self.iter().next()
        } else {
            self.iter().find(|&(n, _)| n as usize == count)
        };
        found.map_or(Multiplier::ZERO, |(_, m)| m)
    }
}

impl<'m> Operator<'m> for AveragePoolRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let window = r.window()?;
        let input_zero_point = r.i8()?;
        let clamp = r.clamp()?;
        let include_pad = match r.u16()? {
            0 => false,
            1 => true,
            _ => return Err(Problem::Reserved),
        };
        let count = r.u16()?;
        let table = r.constant(Layout::Table, u64::from(count) * Means::ENTRY as u64)?;
        let (entries, _) = table.as_chunks();
        let means = Means {
            entries,
            include_pad,
        };
        Ok(AveragePoolRecord {
            input,
            output,
            window,
            input_zero_point,
            clamp,
            means,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64 * self.window.reach(&self.input)
    }

    fn verify(&self) -> Result<(), Problem> {
        self.window.check(&self.output)?;
        self.clamp.check()?;
        if self.input.channels != self.output.channels {
            return Err(Problem::Shape);
        }
        // The sum of the valid elements fits 31 bits.
        if self.window.reach(&self.input) * 255 > i32::MAX as u64 {
            return Err(Problem::Window);
        }
        if !self.means.iter().all(|(_, m)| m.is_valid()) {
            return Err(Problem::Multiplier);
        }
        self.input.disjoint(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }
}
