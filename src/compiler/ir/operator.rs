//! What is known of an operation: one trait, each of whose defaults means "no opinion".

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tinsmith_build_job::Problem;

use super::{Clamp, Layout, Range};

/// An operation of the intermediate representation. It knows no backend.
pub(crate) trait Operator: Any + fmt::Debug + Send + Sync + Same {
    /// Name for reports and for the names of tensors.
    fn name(&self) -> &'static str;

    /// Computes the outputs, which hold zeros, in floats.
    fn evaluate(&self, prepared: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]);

    /// What can be computed once per node from its constants, for [`Self::evaluate`].
    fn prepare(&self, _: &Operands<'_>) -> Prepared {
        Box::new(())
    }

    /// The outputs' shapes; none if they don't follow from the inputs' shapes.
    fn shapes(&self, _: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        Ok(None)
    }

    /// The output, of constant integers: shapes, axes.
    fn integers(&self, _: &[(&[i64], &[usize])]) -> Option<Vec<i64>> {
        None
    }

    /// In which layout it reads activations and writes results, if it must be a certain one.
    fn layout(&self) -> Option<Layout> {
        None
    }

    /// Multiply-accumulates.
    fn macs(&self, _inputs: &[&[usize]], _outputs: &[&[usize]]) -> u64 {
        0
    }

    /// Where the scales of the outputs come from.
    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::Calibrated
    }

    /// The range of an output with a scale of its own, given what calibration saw of it.
    fn range(&self, _output: usize, seen: Range) -> Range {
        seen
    }

    /// The function, of an operation that maps each element of its only input alike.
    fn function(&self, _: f64) -> Option<f64> {
        None
    }

    /// Inputs whose memory the first output may take, element by element.
    fn in_place(&self) -> &'static [usize] {
        &[]
    }

    /// Whether the output is the first input under another shape.
    fn is_view(&self) -> bool {
        false
    }

    /// The operation that does the same on the elements as they were before a move.
    fn before_move(&self, _: &Move<'_>) -> Option<Op> {
        None
    }

    /// The fused limits, of an operation that can have some.
    fn clamp(&self) -> Option<Clamp> {
        None
    }

    /// The operation with other limits fused into it.
    fn with_clamp(&self, _: Clamp) -> Option<Op> {
        None
    }

    /// Whether limiting the output is the same as limiting the input.
    fn passes_limits(&self) -> bool {
        false
    }

    /// The operation with rows and columns of zeros before and after its input taken in.
    fn with_padding(&self, _before: [usize; 2], _after: [usize; 2]) -> Option<Op> {
        None
    }

    /// Whether it reads padding besides its input.
    fn is_padded(&self) -> bool {
        false
    }

    /// How its weights are arranged, of an operation with the inputs x, weights, bias that is linear
    /// in all of them before its limits.
    fn filters(&self) -> Option<Filters> {
        None
    }
}

/// What [`Operator::prepare`] made.
pub(crate) type Prepared = Box<dyn Any + Send + Sync>;

/// The values and shapes that a node works on.
#[derive(Debug)]
pub(crate) struct Operands<'a> {
    /// Values and shape of each input.
    pub inputs: Vec<(&'a [f32], &'a [usize])>,
    /// Shape of each output.
    pub outputs: Vec<&'a [usize]>,
}

impl<'a> Operands<'a> {
    /// Values of an input, empty if there is none.
    pub(crate) fn values(&self, input: usize) -> &'a [f32] {
        self.inputs.get(input).map_or(&[], |(values, _)| values)
    }

    /// Shape of an input.
    pub(crate) fn shape(&self, input: usize) -> &'a [usize] {
        self.inputs.get(input).map_or(&[], |(_, shape)| shape)
    }

    /// Shape of an output.
    pub(crate) fn output(&self, output: usize) -> &'a [usize] {
        self.outputs.get(output).copied().unwrap_or_default()
    }
}

/// Where a scale comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ScaleRule {
    /// From the range seen in calibration.
    Calibrated,
    /// That of an input.
    OfInput(usize),
    /// That of an input times a factor.
    Scaled {
        /// The input.
        input: usize,
        /// The factor.
        factor: f32,
    },
    /// From the operation.
    Fixed {
        /// Real value of one step.
        scale: f32,
        /// Stored value of 0.
        zero: i32,
    },
}

/// A move of elements that stands before an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move<'a> {
    /// Output axis i is input axis `perm[i]`; none for a change of shape.
    pub perm: Option<&'a [usize]>,
    /// Shape before the move, of the first input.
    pub from: &'a [usize],
    /// Shape after the move.
    pub to: &'a [usize],
    /// Whether every input is moved alike, or only the first, while the others are constant.
    pub all: bool,
}

impl Move<'_> {
    /// For each axis after the move the axis before it that it is; none for an added axis of extent
    /// 1. A change of shape that does more than add or remove such axes has no answer.
    pub(crate) fn axes(&self) -> Option<Vec<Option<usize>>> {
        if let Some(perm) = self.perm {
            return Some(perm.iter().map(|&p| Some(p)).collect());
        }
        let mut sources = self
            .from
            .iter()
            .enumerate()
            .filter(|&(_, &extent)| extent != 1);
        let axes = self
            .to
            .iter()
            .map(|&extent| match extent {
                1 => Some(None),
                _ => {
                    let (axis, &source) = sources.next()?;
                    (source == extent).then_some(Some(axis))
                }
            })
            .collect::<Option<Vec<_>>>()?;
        sources.next().is_none().then_some(axes)
    }

    /// Whether the last axis is the last before and after.
    pub(crate) fn keeps_last(&self) -> bool {
        match self.perm {
            Some(perm) => perm.last() == Some(&(perm.len().saturating_sub(1))),
            None => self.from.last() == self.to.last(),
        }
    }
}

/// How weights are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filters {
    /// The output channel is the first axis, the input channel the last.
    OutputFirst,
    /// The last axis is the output channel; output channel c reads input channel c / multiplier.
    OutputLast {
        /// Output channels per input channel.
        multiplier: usize,
    },
}

impl Filters {
    /// The axis of the output channels.
    pub(crate) fn axis(&self, rank: usize) -> usize {
        match self {
            Self::OutputFirst => 0,
            Self::OutputLast { .. } => rank.saturating_sub(1),
        }
    }

    /// Number of input channels.
    pub(crate) fn inputs(&self, shape: &[usize]) -> usize {
        let last = shape.last().copied().unwrap_or(1);
        match self {
            Self::OutputFirst => last,
            Self::OutputLast { multiplier } => last.checked_div(*multiplier).unwrap_or(0),
        }
    }

    /// The output channel of a weight.
    pub(crate) fn output(&self, shape: &[usize], index: usize) -> usize {
        match self {
            Self::OutputFirst => index / shape.iter().skip(1).product::<usize>().max(1),
            Self::OutputLast { .. } => index % shape.last().copied().unwrap_or(1).max(1),
        }
    }

    /// The input channel of a weight.
    pub(crate) fn input(&self, shape: &[usize], index: usize) -> usize {
        let last = index % shape.last().copied().unwrap_or(1).max(1);
        match self {
            Self::OutputFirst => last,
            Self::OutputLast { multiplier } => last / (*multiplier).max(1),
        }
    }
}

/// An operation, shared by all copies of a graph.
#[derive(Clone)]
pub(crate) struct Op(Arc<dyn Operator>);

impl Op {
    /// The operation as what it is, if it is a `T`.
    pub(crate) fn get<T: Operator>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }

    /// The operation with a change.
    pub(crate) fn changed<T: Operator + Clone>(operator: &T, change: impl FnOnce(&mut T)) -> Self {
        let mut operator = operator.clone();
        change(&mut operator);
        operator.into()
    }

    /// Whether the operation is a `T`.
    pub(crate) fn is<T: Operator>(&self) -> bool {
        self.get::<T>().is_some()
    }
}

impl<T: Operator> From<T> for Op {
    fn from(operator: T) -> Self {
        Self(Arc::new(operator))
    }
}

impl Deref for Op {
    type Target = dyn Operator;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Op {
    fn eq(&self, other: &Self) -> bool {
        (*self.0).same(&*other.0)
    }
}

/// Equality between operators of any type.
pub(crate) trait Same {
    /// Whether the other is of this type and equal.
    fn same(&self, other: &dyn Any) -> bool;
}

impl<T: Any + PartialEq> Same for T {
    fn same(&self, other: &dyn Any) -> bool {
        other.downcast_ref().is_some_and(|other| self == other)
    }
}
