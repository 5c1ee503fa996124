//! Small graphs with what the shipped models lack.

use super::{Onnx, int, ints};

/// Name, file and shape of a sample.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, Vec<usize>)> {
    vec![
        ("residual", residual(), vec![2, 8, 8]),
        ("signal", signal(), vec![3, 32]),
        ("affine", affine(), vec![12]),
        ("branches", branches(), vec![4, 6, 6]),
    ]
}

/// A padded convolution, a sum around another, a mean and a fully connected layer.
fn residual() -> Vec<u8> {
    let same = [ints("pads", &[1, 1, 1, 1])];
    Onnx::new(&[1, 2, 8, 8])
        .weights("w1", &[4, 2, 3, 3])
        .weights("b1", &[4])
        .weights("w2", &[4, 4, 3, 3])
        .weights("w3", &[3, 4])
        .weights("b3", &[3])
        .node("Conv", &["x", "w1", "b1"], "c1", &same)
        .node("Relu", &["c1"], "r1", &[])
        .node("Conv", &["r1", "w2"], "c2", &same)
        .node("Add", &["c2", "r1"], "s", &[])
        .node("Relu", &["s"], "r2", &[])
        .node("GlobalAveragePool", &["r2"], "g", &[])
        .node("Flatten", &["g"], "f", &[])
        .node("Gemm", &["f", "w3", "b3"], "l", &[int("transB", 1)])
        .node("Softmax", &["l"], "y", &[])
        .file(&["y"])
}

/// One dimension: convolutions, depthwise too, and a maximum.
fn signal() -> Vec<u8> {
    Onnx::new(&[1, 3, 32])
        .weights("w1", &[6, 1, 5])
        .weights("w2", &[4, 6, 1])
        .weights("w3", &[32, 2])
        .integers("flat", &[1, -1])
        .node(
            "Conv",
            &["x", "w1"],
            "c1",
            &[
                int("group", 3),
                ints("strides", &[2]),
                ints("pads", &[2, 2]),
            ],
        )
        .node("Conv", &["c1", "w2"], "c2", &[])
        .node("Clip", &["c2", "", ""], "k", &[])
        .node("Tanh", &["k"], "t", &[])
        .node(
            "MaxPool",
            &["t"],
            "m",
            &[ints("kernel_shape", &[2]), ints("strides", &[2])],
        )
        .node("Reshape", &["m", "flat"], "f", &[])
        .node("MatMul", &["f", "w3"], "y", &[])
        .file(&["y"])
}

/// Affine maps that fold forwards and backwards, and one that can't.
fn affine() -> Vec<u8> {
    Onnx::new(&[1, 12])
        .weights("scale", &[12])
        .weights("w1", &[8, 12])
        .weights("offset", &[8])
        .weights("last", &[8])
        .node("Mul", &["x", "scale"], "m", &[])
        .node("Gemm", &["m", "w1"], "g", &[int("transB", 1)])
        .node("Add", &["g", "offset"], "a", &[])
        .node("Sigmoid", &["a"], "s", &[])
        .node("Sub", &["s", "last"], "y", &[])
        .file(&["y"])
}

/// Two branches joined, a product, padding on its own and a transposition that stays.
fn branches() -> Vec<u8> {
    Onnx::new(&[1, 4, 6, 6])
        .weights("w1", &[4, 4, 1, 1])
        .weights("w2", &[2, 4, 3, 3])
        .integers("pads", &[0, 0, 1, 1, 0, 0, 1, 1])
        .integers("rows", &[1, 6, 36])
        .node("Conv", &["x", "w1"], "a", &[])
        .node("Sigmoid", &["a"], "gate", &[])
        .node("Mul", &["x", "gate"], "gated", &[])
        .node(
            "Conv",
            &["gated", "w2"],
            "b",
            &[ints("pads", &[1, 1, 1, 1])],
        )
        .node("Concat", &["a", "b"], "joined", &[int("axis", 1)])
        .node("Pad", &["joined", "pads"], "padded", &[])
        .node("Sub", &["padded", "padded"], "nothing", &[])
        .node("Add", &["padded", "nothing"], "again", &[])
        .node(
            "AveragePool",
            &["again"],
            "p",
            &[ints("kernel_shape", &[3, 3])],
        )
        .node("Reshape", &["p", "rows"], "r", &[])
        .node("Transpose", &["r"], "y", &[ints("perm", &[0, 2, 1])])
        .file(&["y"])
}
