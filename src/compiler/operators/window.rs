//! The attributes that convolutions and pools share: kernel, strides, dilations, pads, auto_pad.

use tinsmith_build_job::Problem;

use crate::import::NodeView;
use crate::ir::Window;

/// Reads the window of a node over an input of the given spatial extents (one or two).
pub(super) fn read(
    node: &NodeView<'_>,
    input: &[usize],
    kernel: &[usize],
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
        let span = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let room = input[axis] + window.before[axis] + window.after[axis] - span;
        // The last window may hang over the end, but must begin before the padding after the input.
        let last = room.div_ceil(window.stride[axis]);
        let inside = last * window.stride[axis] < input[axis] + window.before[axis];
        if ceil && inside && last + 1 > found {
            window.after[axis] += (last + 1 - found) * window.stride[axis];
        }
    }
    Ok(window)
}

/// Shape of a channels-last tensor after a window has slid over it.
pub(super) fn shapes(
    window: &Window,
    inputs: &[&[usize]],
    channels: usize,
) -> Result<Option<Vec<Vec<usize>>>, Problem> {
    let Some(&[batch, h, w, _]) = inputs.first().copied() else {
        return Err(not_spatial());
    };
    match (window.output(0, h), window.output(1, w)) {
        (Some(rows), Some(columns)) => Ok(Some(vec![vec![batch, rows, columns, channels]])),
        _ => Err(Problem::Shapes {
            detail: format!("the window does not fit {:?}", [h, w]),
        }),
    }
}

/// An input that has no height and width.
pub(super) fn not_spatial() -> Problem {
    Problem::Shapes {
        detail: "not a tensor of rank 4".into(),
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
