//! Maximum over a window: record 6.

use super::reader::Reader;
use super::{Operator, Problem, Span, Window};

/// Maximum over a window as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct MaxPoolRecord {
    /// Input tensor.
    pub input: Span,
    /// Output tensor.
    pub output: Span,
    /// Window over the input.
    pub window: Window,
    /// Lowest stored value.
    pub low: i8,
    /// Highest stored value.
    pub high: i8,
}

impl<'m> Operator<'m> for MaxPoolRecord {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let window = r.window()?;
        Ok(MaxPoolRecord {
            input,
            output,
            window,
            low: r.i8()?,
            high: r.i8()?,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64 * self.window.reach(&self.input)
    }

    fn verify(&self) -> Result<(), Problem> {
        self.window.check(&self.output)?;
        if self.input.channels != self.output.channels {
            return Err(Problem::Shape);
        }
        if self.low > self.high {
            return Err(Problem::Clamp);
        }
        self.input.disjoint(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }
}
