//! Padding with zeros fuses into the window that reads it.

use crate::ir::{Graph, Node, NodeId, Op, Patch, Rule, Window};

/// See the module.
pub(super) struct FusePad;

impl Rule for FusePad {
    fn name(&self) -> &'static str {
        "fuse-pad"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let x = *node.inputs.first()?;
        let (pad_id, pad) = graph.producer(x)?;
        let Op::Pad {
            before,
            after,
            value: 0.0,
        } = &pad.op
        else {
            return None;
        };
        let (&[0, top, left, 0], &[0, bottom, right, 0]) = (before.as_slice(), after.as_slice())
        else {
            return None;
        };
        if !graph.is_private(x) {
            return None;
        }
        let grow = |window: &mut Window| {
            window.before[0] += top;
            window.before[1] += left;
            window.after[0] += bottom;
            window.after[1] += right;
        };
        let mut fused = node.clone();
        match &mut fused.op {
            Op::Conv { window, .. } | Op::DepthwiseConv { window, .. } => grow(window),
            Op::AveragePool {
                window,
                include_pad,
            } if *include_pad || !window.is_padded() => {
                *include_pad = true;
                grow(window);
            }
            _ => return None,
        }
        fused.inputs[0] = pad.inputs[0];
        fused.sources = pad.sources.iter().chain(&node.sources).cloned().collect();
        let mut patch = Patch::new(graph);
        patch.remove(pad_id);
        patch.remove(id);
        patch.node(fused);
        Some(patch)
    }
}
