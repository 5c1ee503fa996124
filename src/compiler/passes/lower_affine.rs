//! An affine map that nothing could take in becomes a depthwise convolution of one tap.

use crate::ir::{Clamp, Graph, Node, NodeId, Patch, Rule, Tensor, Window};
use crate::operators::{Affine, DepthwiseConv, Reshape};

/// See the module.
pub(super) struct LowerAffine;

impl Rule for LowerAffine {
    fn name(&self) -> &'static str {
        "lower-affine"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        if !node.op.is::<Affine>() {
            return None;
        }
        let (x, y) = (graph.tensor(node.inputs[0]), graph.tensor(node.outputs[0]));
        let (s, o) = (graph.tensor(node.inputs[1]), graph.tensor(node.inputs[2]));
        let channels = s.elements();
        let rows = x.elements().checked_div(channels)?;
        let flat = vec![1, 1, rows, channels];
        let mut patch = Patch::new(graph);
        patch.remove(id);
        let input = patch.tensor(Tensor {
            shape: flat.clone(),
            ..x.clone()
        });
        let output = patch.tensor(Tensor {
            shape: flat,
            ..y.clone()
        });
        let shape = vec![1, 1, channels];
        let weights = patch.tensor(Tensor::constant(&s.name, shape, s.f32s()?.to_vec()));
        let bias = patch.tensor(Tensor::constant(
            &o.name,
            vec![channels],
            o.f32s()?.to_vec(),
        ));
        let reshape = |from, to| Node {
            op: Reshape.into(),
            inputs: vec![from],
            outputs: vec![to],
            sources: Vec::new(),
        };
        patch.node(reshape(node.inputs[0], input));
        let window = Window::plain([1, 1]);
        patch.node(Node {
            op: DepthwiseConv {
                window,
                multiplier: 1,
                clamp: Clamp::NONE,
            }
            .into(),
            inputs: vec![input, weights, bias],
            outputs: vec![output],
            sources: node.sources.clone(),
        });
        patch.node(reshape(output, node.outputs[0]));
        Some(patch)
    }
}
