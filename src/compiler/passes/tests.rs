use super::*;
use crate::backend;
use crate::ir::eval::Evaluator;
use crate::ir::{Clamp, Node, Port, Tensor, TensorId, Window};
use crate::operators::{
    Add, Affine, AveragePool, Conv, FullyConnected, Limit, MaxPool, Pad, Reshape, Softmax,
    Transpose,
};

struct Build {
    graph: Graph,
}

impl Build {
    fn new(shape: &[usize]) -> (Self, TensorId) {
        let mut graph = Graph::default();
        let x = graph.add_tensor(Tensor::activation("x", shape.to_vec()));
        graph.inputs.push(port("x", shape, x));
        (Self { graph }, x)
    }

    fn constant(&mut self, shape: &[usize], seed: usize) -> TensorId {
        let count = shape.iter().product::<usize>();
        let data = (0..count)
            .map(|i| ((i * 37 + seed * 11) % 23) as f32 / 11.0 - 1.0)
            .collect();
        self.graph
            .add_tensor(Tensor::constant(format!("c{seed}"), shape.to_vec(), data))
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        let op = op.into();
        let y = self
            .graph
            .add_tensor(Tensor::activation(op.name(), shape.to_vec()));
        let sources = vec![op.name().to_owned()];
        self.graph.add_node(Node {
            op,
            inputs: inputs.to_vec(),
            outputs: vec![y],
            sources,
        });
        y
    }

    fn finish(mut self, y: TensorId) -> Graph {
        let shape = self.graph.tensor(y).shape.clone();
        self.graph.outputs.push(port("y", &shape, y));
        self.graph
    }
}

fn port(name: &str, shape: &[usize], tensor: TensorId) -> Port {
    Port::new(name, shape.to_vec(), tensor)
}

fn ops(graph: &Graph) -> Vec<&'static str> {
    graph
        .order()
        .into_iter()
        .filter_map(|id| graph.node(id))
        .map(|n| n.op.name())
        .collect()
}

/// Optimizes and checks that the result is the same; returns the operations left.
fn check(graph: &Graph) -> (Graph, Vec<&'static str>) {
    let mut after = graph.clone();
    let mut legalise = |graph: &mut Graph| backend::ALL[0].legalise(graph);
    optimize(&mut after, None, &mut legalise).unwrap();
    let elements = graph.inputs[0].shape.iter().product::<usize>();
    let (mut one, mut two) = (Evaluator::new(graph), Evaluator::new(&after));
    for seed in 0..3 {
        let x: Vec<f32> = (0..elements)
            .map(|i| ((i * 29 + seed * 7) % 31) as f32 / 9.0 - 1.7)
            .collect();
        one.run(&x);
        two.run(&x);
        for (a, b) in one.output().iter().zip(two.output()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
    let left = ops(&after);
    (after, left)
}

const NHWC: [usize; 4] = [0, 2, 3, 1];
const NCHW: [usize; 4] = [0, 3, 1, 2];

fn transpose(perm: &[usize]) -> Transpose {
    Transpose {
        perm: perm.to_vec(),
    }
}

fn conv(window: Window) -> Conv {
    Conv {
        window,
        clamp: Clamp::NONE,
    }
}

#[test]
fn layout_moves_vanish_between_convolutions() {
    let (mut b, x) = Build::new(&[1, 3, 4, 4]);
    let x1 = b.node(transpose(&NHWC), &[x], &[1, 4, 4, 3]);
    let (w, bias) = (b.constant(&[5, 1, 1, 3], 1), b.constant(&[5], 2));
    let y = b.node(conv(Window::plain([1, 1])), &[x1, w, bias], &[1, 4, 4, 5]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 5, 4, 4]);
    let y = b.node(Limit { clamp: Clamp::RELU }, &[y], &[1, 5, 4, 4]);
    let y = b.node(transpose(&NHWC), &[y], &[1, 4, 4, 5]);
    let (w, bias) = (b.constant(&[2, 1, 1, 5], 3), b.constant(&[2], 4));
    let y = b.node(conv(Window::plain([1, 1])), &[y, w, bias], &[1, 4, 4, 2]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 2, 4, 4]);
    let (after, left) = check(&b.finish(y));
    assert_eq!(left, ["conv", "conv"]);
    assert_eq!(
        permutation(&after.inputs[0].shape, &after.inputs[0].order),
        Some(NHWC.to_vec())
    );
    assert_eq!(
        permutation(&after.outputs[0].shape, &after.outputs[0].order),
        Some(NHWC.to_vec())
    );
}

/// As Keras and TensorFlow export: the input has its channels last, a transposition brings it into
/// the order of ONNX, and each convolution brings it back.
#[test]
fn an_input_with_its_channels_last_is_stored_as_it_comes() {
    let (mut b, x) = Build::new(&[1, 4, 4, 3]);
    let x1 = b.node(transpose(&NCHW), &[x], &[1, 3, 4, 4]);
    let x2 = b.node(transpose(&NHWC), &[x1], &[1, 4, 4, 3]);
    let (w, bias) = (b.constant(&[3, 1, 1, 3], 1), b.constant(&[3], 2));
    let y = b.node(conv(Window::plain([1, 1])), &[x2, w, bias], &[1, 4, 4, 3]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 3, 4, 4]);
    let y = b.node(Add { clamp: Clamp::NONE }, &[y, x1], &[1, 3, 4, 4]);
    let y = b.node(transpose(&NHWC), &[y], &[1, 4, 4, 3]);
    let (after, left) = check(&b.finish(y));
    assert_eq!(left, ["conv", "add"]);
    assert!(after.inputs[0].order.is_sorted());
}

/// As Keras exports Conv1D: an axis of one element comes and goes between two transpositions.
#[test]
fn transpositions_around_an_axis_of_one_element_cancel() {
    let (mut b, x) = Build::new(&[1, 6, 3]);
    let y = b.node(Reshape, &[x], &[1, 1, 6, 3]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 3, 1, 6]);
    let y = b.node(transpose(&NHWC), &[y], &[1, 1, 6, 3]);
    let (w, bias) = (b.constant(&[4, 1, 3, 3], 1), b.constant(&[4], 2));
    let y = b.node(conv(Window::plain([1, 3])), &[y, w, bias], &[1, 1, 4, 4]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 4, 1, 4]);
    let y = b.node(Reshape, &[y], &[1, 4, 4]);
    let y = b.node(transpose(&[0, 2, 1]), &[y], &[1, 4, 4]);
    let y = b.node(Limit { clamp: Clamp::RELU }, &[y], &[1, 4, 4]);
    let y = b.node(Reshape, &[y], &[1, 1, 4, 4]);
    let mean = AveragePool {
        window: Window::plain([1, 4]),
        include_pad: false,
    };
    let y = b.node(mean, &[y], &[1, 1, 1, 4]);
    let (after, left) = check(&b.finish(y));
    let left: Vec<_> = left.into_iter().filter(|op| *op != "reshape").collect();
    assert_eq!(left, ["conv", "average_pool"]);
    assert!(after.inputs[0].order.is_sorted());
}

/// As detectors export their heads: rows and columns become one axis between two transpositions.
#[test]
fn transpositions_around_joined_axes_cancel() {
    let (mut b, x) = Build::new(&[1, 2, 3, 2]);
    let (w, bias) = (b.constant(&[4, 1, 1, 2], 1), b.constant(&[4], 2));
    let y = b.node(conv(Window::plain([1, 1])), &[x, w, bias], &[1, 2, 3, 4]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 4, 2, 3]);
    let y = b.node(Reshape, &[y], &[1, 4, 6]);
    let y = b.node(transpose(&[0, 2, 1]), &[y], &[1, 6, 4]);
    let y = b.node(Softmax, &[y], &[1, 6, 4]);
    let (_, left) = check(&b.finish(y));
    let left: Vec<_> = left.into_iter().filter(|op| *op != "reshape").collect();
    assert_eq!(left, ["conv", "softmax"]);
}

#[test]
fn flatten_is_absorbed_into_weights() {
    let (mut b, x) = Build::new(&[1, 3, 4, 4]);
    let x1 = b.node(transpose(&NHWC), &[x], &[1, 4, 4, 3]);
    let window = Window {
        stride: [2, 2],
        ..Window::plain([2, 2])
    };
    let y = b.node(MaxPool { window }, &[x1], &[1, 2, 2, 3]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 3, 2, 2]);
    let y = b.node(Reshape, &[y], &[1, 12]);
    let (w, bias) = (b.constant(&[4, 12], 1), b.constant(&[4], 2));
    let y = b.node(
        FullyConnected { clamp: Clamp::NONE },
        &[y, w, bias],
        &[1, 4],
    );
    let (_, left) = check(&b.finish(y));
    assert_eq!(left, ["max_pool", "reshape", "fully_connected"]);
}

#[test]
fn affine_folds_backwards_and_forwards_but_not_into_padding() {
    for padded in [false, true] {
        let (mut b, x) = Build::new(&[1, 4, 4, 3]);
        let (s, o) = (b.constant(&[3], 1), b.constant(&[3], 2));
        let y = b.node(Affine, &[x, s, o], &[1, 4, 4, 3]);
        let pad = usize::from(padded);
        let window = Window {
            before: [pad; 2],
            after: [pad; 2],
            ..Window::plain([3, 3])
        };
        let extent = 2 + 2 * pad;
        let (w, bias) = (b.constant(&[5, 3, 3, 3], 3), b.constant(&[5], 4));
        let y = b.node(conv(window), &[y, w, bias], &[1, extent, extent, 5]);
        let (s, o) = (b.constant(&[5], 5), b.constant(&[5], 6));
        let y = b.node(Affine, &[y, s, o], &[1, extent, extent, 5]);
        let y = b.node(
            Limit {
                clamp: Clamp { lo: 0.0, hi: 6.0 },
            },
            &[y],
            &[1, extent, extent, 5],
        );
        let (after, left) = check(&b.finish(y));
        let convolutions: Vec<_> = left.iter().filter(|op| **op != "reshape").collect();
        if padded {
            assert_eq!(convolutions, [&"depthwise_conv", &"conv"]);
        } else {
            assert_eq!(convolutions, [&"conv"]);
        }
        let last = after.producer(after.outputs[0].tensor).unwrap().1;
        assert_eq!(last.op.clamp(), Some(Clamp { lo: 0.0, hi: 6.0 }));
        assert!(last.sources.len() >= 3);
    }
}

#[test]
fn zero_padding_fuses_into_windows() {
    let (mut b, x) = Build::new(&[1, 4, 4, 2]);
    let pad = Pad {
        before: vec![0, 1, 1, 0],
        after: vec![0, 1, 0, 0],
        value: 0.0,
    };
    let y = b.node(pad, &[x], &[1, 6, 5, 2]);
    let average = AveragePool {
        window: Window::plain([2, 2]),
        include_pad: false,
    };
    let y = b.node(average, &[y], &[1, 5, 4, 2]);
    let (_, left) = check(&b.finish(y));
    assert_eq!(left, ["average_pool"]);
}

#[test]
fn residual_sums_stay_channels_last() {
    let (mut b, x) = Build::new(&[1, 3, 4, 4]);
    let x1 = b.node(transpose(&NHWC), &[x], &[1, 4, 4, 3]);
    let (w, bias) = (b.constant(&[3, 1, 1, 3], 1), b.constant(&[3], 2));
    let y = b.node(conv(Window::plain([1, 1])), &[x1, w, bias], &[1, 4, 4, 3]);
    let y = b.node(transpose(&NCHW), &[y], &[1, 3, 4, 4]);
    let y = b.node(Add { clamp: Clamp::NONE }, &[y, x], &[1, 3, 4, 4]);
    let y = b.node(Limit { clamp: Clamp::RELU }, &[y], &[1, 3, 4, 4]);
    let (_, left) = check(&b.finish(y));
    assert_eq!(left, ["conv", "add"]);
}

#[test]
fn relu_after_a_pool_moves_before_it() {
    let (mut b, x) = Build::new(&[1, 4, 4, 2]);
    let (w, bias) = (b.constant(&[2, 1, 1, 2], 1), b.constant(&[2], 2));
    let y = b.node(conv(Window::plain([1, 1])), &[x, w, bias], &[1, 4, 4, 2]);
    let window = Window {
        stride: [2, 2],
        ..Window::plain([2, 2])
    };
    let y = b.node(MaxPool { window }, &[y], &[1, 2, 2, 2]);
    let y = b.node(Limit { clamp: Clamp::RELU }, &[y], &[1, 2, 2, 2]);
    let (_, left) = check(&b.finish(y));
    assert_eq!(left, ["conv", "max_pool"]);
}

#[test]
fn permutations_are_found() {
    let order: Vec<u32> = vec![0, 3, 1, 4, 2, 5];
    assert_eq!(permutation(&[1, 2, 3], &order), Some(vec![0, 2, 1]));
    assert_eq!(permutation(&[6], &order), None);
    assert_eq!(permutation(&[], &[0]), Some(vec![]));
}
