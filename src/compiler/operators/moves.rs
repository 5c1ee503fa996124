//! Moves between ONNX order and channels last.

use tinsmith_build_job::Problem;

use super::reshape::Reshape;
use super::transpose::Transpose;
use crate::import::Importer;
use crate::ir::TensorId;

impl Importer<'_> {
    /// The same elements in another shape; nothing if the shape is the same.
    pub(super) fn reshape(&mut self, x: TensorId, shape: Vec<usize>) -> Result<TensorId, Problem> {
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        if self.shape(x) == shape {
            return Ok(x);
        }
        if elements(self.shape(x)) != elements(&shape) {
            let detail = format!("{:?} can't become {shape:?}", self.shape(x));
            return Err(Problem::Shapes { detail });
        }
        self.emit_as(Reshape, vec![x], vec![shape])
    }

    /// A transposition; nothing if it moves no axis.
    pub(super) fn transpose(&mut self, x: TensorId, perm: Vec<usize>) -> Result<TensorId, Problem> {
        if perm.iter().enumerate().all(|(i, &p)| i == p) {
            return Ok(x);
        }
        self.emit(Transpose { perm }, vec![x])
    }

    /// Moves `axis` to the end.
    pub(super) fn axis_last(&mut self, x: TensorId, axis: usize) -> Result<TensorId, Problem> {
        let rank = self.shape(x).len();
        let perm = (0..rank).filter(|&a| a != axis).chain([axis]).collect();
        self.transpose(x, perm)
    }

    /// Moves the last axis to `axis`.
    pub(super) fn axis_from_last(&mut self, x: TensorId, axis: usize) -> Result<TensorId, Problem> {
        let rank = self.shape(x).len();
        let mut perm: Vec<usize> = (0..rank.saturating_sub(1)).collect();
        perm.insert(axis, rank.saturating_sub(1));
        self.transpose(x, perm)
    }

    /// ONNX `[n, c, l]` or `[n, c, h, w]` to `[n, h, w, c]`.
    pub(super) fn channels_last(&mut self, x: TensorId) -> Result<TensorId, Problem> {
        let moved = match self.shape(x).len() {
            3 | 4 => self.axis_last(x, 1)?,
            rank => {
                let what = format!(
                    "its input has rank {rank}; only rank 3 (1-D) and rank 4 (2-D) are supported"
                );
                return Err(Problem::Unsupported { what });
            }
        };
        match *self.shape(moved) {
            [n, l, c] => self.reshape(moved, vec![n, 1, l, c]),
            _ => Ok(moved),
        }
    }

    /// Back to ONNX order, of rank 3 if `rank` is 3.
    pub(super) fn onnx_order(&mut self, y: TensorId, rank: usize) -> Result<TensorId, Problem> {
        let flat = match *self.shape(y) {
            [n, 1, w, c] if rank == 3 => self.reshape(y, vec![n, w, c])?,
            _ => y,
        };
        self.axis_from_last(flat, 1)
    }
}
