//! Padding with zeros fuses into the window that reads it.

use crate::ir::{Graph, Node, NodeId, Patch, Rule};
use crate::operators::Pad;

/// See the module.
pub(super) struct FusePad;

impl Rule for FusePad {
    fn name(&self) -> &'static str {
        "fuse-pad"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let x = *node.inputs.first()?;
        let (pad_id, pad) = graph.producer(x)?;
        let Pad {
            before,
            after,
            value: 0.0,
        } = pad.op.get()?
        else {
            return None;
        };
        let (&[0, top, left, 0], &[0, bottom, right, 0]) = (before.as_slice(), after.as_slice())
        else {
            return None;
        };
        if !graph.is_private(x) || graph.tensor(x).is_imported() {
            return None;
        }
        let mut fused = node.clone();
        fused.op = node.op.with_padding([top, left], [bottom, right])?;
        fused.inputs[0] = pad.inputs[0];
        fused.sources = pad.sources.iter().chain(&node.sources).cloned().collect();
        let mut patch = Patch::new(graph);
        patch.remove(pad_id);
        patch.remove(id);
        patch.node(fused);
        Some(patch)
    }
}
