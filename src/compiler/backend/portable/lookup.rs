//! Elementwise function as a table of 256 bytes (numerics N10).

use tinsmith_module::build;

use super::Lowered;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.function(0.0).is_some(),
    tenths: 87,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
    let ((s_in, z_in), (s_out, z_out)) = (cx.scale(input)?, cx.scale(output)?);
    let mut table = [0_i8; 256];
    for (stored, entry) in (-128_i32..128).zip(&mut table) {
        let x = f64::from(stored - i32::from(z_in)) * f64::from(s_in);
        let y = node.op.function(x).unwrap_or(f64::NAN);
        let y = (y / f64::from(s_out)).round_ties_even() + f64::from(z_out);
        *entry = y.clamp(-128.0, 127.0) as i8;
    }
    let record = build::Lookup {
        input: cx.view(input)?,
        output: cx.view(output)?,
        table,
    };
    Ok(vec![Piece::of(output, record)])
}
