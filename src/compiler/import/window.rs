//! The attributes that convolutions and pools share: kernel, strides, dilations, pads, auto_pad.

use super::node::NodeView;
use crate::ir::Window;
use tinsmith_build_job::Problem;

/// Reads the window of a node over an input of the given spatial extents (one or two). The output's
/// extents are those that shape inference found, if it did.
pub(super) fn read(
    node: &NodeView<'_>,
    input: &[usize],
    kernel: &[usize],
    output: Option<&[usize]>,
) -> Result<Window, Problem> {
    let rank = input.len();
    let list = |name: &str, count: usize, default: usize| -> Result<Vec<usize>, Problem> {
        let Some(values) = node.ints(name) else {
            return Ok(vec![default; count]);
        };
        if values.len() != count {
            return Err(Problem::Attribute {
                attribute: name.into(),
                value: format!("{values:?}"),
                rule: format!("it must have {count} values"),
            });
        }
        Ok(values
            .iter()
            .map(|&v| usize::try_from(v).unwrap_or(0))
            .collect())
    };
    let (strides, dilations) = (list("strides", rank, 1)?, list("dilations", rank, 1)?);
    let pads = list("pads", 2 * rank, 0)?;
    let auto = node.string("auto_pad");
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for axis in 0..rank {
        let span = (kernel[axis] - 1) * dilations[axis] + 1;
        match auto.as_str() {
            "SAME_UPPER" | "SAME_LOWER" => {
                let wanted = (input[axis].div_ceil(strides[axis]) - 1) * strides[axis] + span;
                let total = wanted.saturating_sub(input[axis]);
                let small = total / 2;
                let large = total - small;
                let upper = auto == "SAME_UPPER";
                before.push(if upper { small } else { large });
                after.push(if upper { large } else { small });
            }
            "VALID" => {
                before.push(0);
                after.push(0);
            }
            _ => {
                before.push(pads[axis]);
                after.push(pads[rank + axis]);
            }
        }
    }
    let two = |values: &[usize], fill: usize| match *values {
        [x] => [fill, x],
        [y, x] => [y, x],
        _ => [fill; 2],
    };
    let mut window = Window {
        kernel: two(kernel, 1),
        stride: two(&strides, 1),
        dilation: two(&dilations, 1),
        before: two(&before, 0),
        after: two(&after, 0),
    };
    let input = two(input, 1);
    let output = output.map(|output| two(output, 1));
    let ceil = node.int("ceil_mode", 0) == 1;
    for axis in 0..2 {
        let Some(found) = window.output(axis, input[axis]) else {
            let (kernel, input) = (window.kernel[axis], input[axis]);
            return Err(Problem::Attribute {
                attribute: "kernel_shape".into(),
                value: kernel.to_string(),
                rule: format!("with its dilation it must fit the padded input of {input}"),
            });
        };
        let wanted = match output {
            Some(output) => output[axis],
            None => {
                let span = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
                let room = input[axis] + window.before[axis] + window.after[axis] - span;
                // The last window must begin before the padding after the input.
                let last = room.div_ceil(window.stride[axis]);
                let inside = last * window.stride[axis] < input[axis] + window.before[axis];
                if ceil && inside { last + 1 } else { found }
            }
        };
        if found < wanted && ceil {
            // The last window hangs over the end.
            window.after[axis] += (wanted - found) * window.stride[axis];
        } else if found != wanted {
            let detail = format!("the window gives {found} elements, not {wanted}");
            return Err(Problem::Shapes { detail });
        }
    }
    Ok(window)
}

/// Output rows and columns of a window over rows and columns of input.
pub(super) fn output(window: &Window, input: [usize; 2]) -> Result<[usize; 2], Problem> {
    match (window.output(0, input[0]), window.output(1, input[1])) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => Err(Problem::Shapes {
            detail: format!("the window does not fit {input:?}"),
        }),
    }
}

/// The kernel extents of a pool.
pub(super) fn kernel(node: &NodeView<'_>, rank: usize) -> Result<Vec<usize>, Problem> {
    match node.ints("kernel_shape") {
        Some(values) if values.len() == rank => Ok(values
            .iter()
            .map(|&v| usize::try_from(v).unwrap_or(1))
            .collect()),
        other => Err(Problem::Attribute {
            attribute: "kernel_shape".into(),
            value: format!("{:?}", other.unwrap_or_default()),
            rule: format!("it must have {rank} values"),
        }),
    }
}
