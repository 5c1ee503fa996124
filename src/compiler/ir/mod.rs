//! The intermediate representation: tensors, nodes, and patches that rewrite them.
//!
//! A tensor has a shape, a layout, an element type, a quantization and a role; a node has n inputs
//! and n outputs and names the ONNX nodes it came from; what it does is an [`Operator`]. Spatial
//! operators read and write channels-last tensors of rank 4 (`[batch, height, width, channel]`); a
//! 1-D model has height 1. Moves between ONNX order and that order are explicit nodes, which the
//! layout passes cancel or absorb.

mod clamp;
pub(crate) mod eval;
mod graph;
mod operator;
mod patch;
mod range;
mod tensor;
mod window;

pub(crate) use clamp::Clamp;
#[cfg(test)]
pub(crate) use graph::State;
pub(crate) use graph::{Graph, Node, NodeId, Port, Steps, TensorId};
pub(crate) use operator::{Filters, Move, Op, Operands, Operator, Prepared, ScaleRule};
pub(crate) use patch::{Patch, Rule, rewrite};
pub(crate) use range::Range;
pub(crate) use tensor::{DType, Data, Layout, Origin, Quantization, Role, Tensor};
pub(crate) use window::Window;
