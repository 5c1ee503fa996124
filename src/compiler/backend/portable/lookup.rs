//! Elementwise function as a table of 256 bytes (numerics N10).

use tinsmith_module::build;

use super::{BackendError, Context};
use crate::ir::{Function, Node};

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    function: &Function,
) -> Result<build::Op, BackendError> {
    let ((s_in, z_in), (s_out, z_out)) = (cx.scale(node.inputs[0])?, cx.scale(node.outputs[0])?);
    let mut table = [0_i8; 256];
    for (stored, entry) in (-128_i32..128).zip(&mut table) {
        let x = f64::from(stored - i32::from(z_in)) * f64::from(s_in);
        let y = (function.apply(x) / f64::from(s_out)).round_ties_even() + f64::from(z_out);
        *entry = y.clamp(-128.0, 127.0) as i8;
    }
    let input = cx.view(node.inputs[0])?;
    Ok(build::Op::Lookup(build::Lookup {
        input,
        output: cx.view(node.outputs[0])?,
        table,
    }))
}
