//! A positive factor that nothing took in is another scale of the same bytes.

use crate::ir::{Graph, Node, NodeId, Patch, Rule};
use crate::operators::{Linear, Rescale};

/// See the module.
pub(super) struct LowerLinear;

impl Rule for LowerLinear {
    fn name(&self) -> &'static str {
        "lower-linear"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let linear = node.op.get::<Linear>()?;
        let fixed = |&id| graph.tensor(id).is_imported() || graph.tensor(id).is_state();
        let ends = node.inputs.iter().chain(&node.outputs);
        if !linear.is_positive_factor() || ends.into_iter().any(fixed) {
            return None;
        }
        let mut patch = Patch::new(graph);
        patch.remove(id);
        let factor = linear.scale as f32;
        patch.node(Node {
            op: Rescale { factor }.into(),
            ..node.clone()
        });
        Some(patch)
    }
}
