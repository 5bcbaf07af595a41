//! The ops of `flowers-vgg`, and ops like them.

use whycam::onnx::proto::Attribute;

use super::pool;
use crate::support::gradient::{Case, case, int, ints, node};

pub fn cases() -> Vec<Case> {
    let gemm = |name, x, inputs: &[&str], trans_a, trans_b| {
        let tested = node("Gemm", inputs)
            .with(int("transA", trans_a))
            .with(int("transB", trans_b))
            .with(Attribute::from_float("alpha", 0.7))
            .with(Attribute::from_float("beta", 1.3));
        case("Gemm", name, x, tested)
    };
    let batch_norm = node("BatchNormalization", &["x", "scale", "bias", "mean", "var"]);
    let batch_norm = |name, x| {
        case("BatchNormalization", name, x, batch_norm.clone())
            .constant("scale", &[3])
            .constant("bias", &[3])
            .constant("mean", &[3])
            .positive("var", &[3])
    };
    let others = vec![
        case("Add", "same shape", &[2, 3], node("Add", &["x", "c"])).constant("c", &[2, 3]),
        case("Add", "broadcast", &[3, 1], node("Add", &["c", "x"])).constant("c", &[2, 3, 4]),
        case("Sub", "left", &[1, 3], node("Sub", &["x", "c"])).constant("c", &[2, 3]),
        case("Sub", "right, broadcast", &[3], node("Sub", &["c", "x"])).constant("c", &[2, 3]),
        case("Mul", "broadcast", &[1, 3, 1, 1], node("Mul", &["c", "x"])).constant("c", &[2, 3, 4, 4]),
        case("Mul", "by the same tensor", &[2, 3], node("Mul", &["x", "x"])),
        case("Relu", "plain", &[2, 3, 4], node("Relu", &["x"])).with_kinks(),
        case("Sigmoid", "plain", &[2, 3], node("Sigmoid", &["x"])),
        case("Identity", "plain", &[2, 3], node("Identity", &["x"])),
        case("Dropout", "inference", &[2, 3], node("Dropout", &["x"])),
        case("Flatten", "axis 1", &[2, 3, 2, 2], node("Flatten", &["x"])),
        case("Flatten", "axis 2", &[2, 3, 2, 2], node("Flatten", &["x"]).with(int("axis", 2))),
        case("Reshape", "plain", &[2, 3, 4], node("Reshape", &["x", "shape"])).int64s("shape", &[2, -1]),
        case("Squeeze", "axes", &[2, 3, 1, 1], node("Squeeze", &["x", "axes"])).int64s("axes", &[2, 3]),
        case("Unsqueeze", "axes", &[2, 3], node("Unsqueeze", &["x", "axes"])).int64s("axes", &[0, 3]),
        case("Transpose", "perm", &[2, 3, 4], node("Transpose", &["x"]).with(ints("perm", &[2, 0, 1]))),
        case("Transpose", "default", &[2, 3, 4], node("Transpose", &["x"])),
        case("GlobalAveragePool", "plain", &[2, 3, 4, 5], node("GlobalAveragePool", &["x"])),
        case("ReduceMean", "keepdims", &[2, 3, 4, 5], node("ReduceMean", &["x", "axes"])).int64s("axes", &[2, 3]),
        case("ReduceMean", "without", &[2, 3, 4], node("ReduceMean", &["x", "axes"]).with(int("keepdims", 0)))
            .int64s("axes", &[-1]),
        case("ReduceMean", "all axes", &[2, 3], node("ReduceMean", &["x"])),
        case("MatMul", "left", &[2, 3], node("MatMul", &["x", "c"])).constant("c", &[3, 4]),
        case("MatMul", "right", &[3, 4], node("MatMul", &["c", "x"])).constant("c", &[2, 3]),
        case("MatMul", "broadcast batch", &[3, 4], node("MatMul", &["c", "x"])).constant("c", &[2, 5, 2, 3]),
        gemm("A", &[2, 3], &["x", "c", "d"], 0, 0).constant("c", &[3, 4]).constant("d", &[4]),
        gemm("A, B transposed", &[2, 3], &["x", "c", "d"], 0, 1).constant("c", &[4, 3]).constant("d", &[4]),
        gemm("A transposed", &[3, 2], &["x", "c", "d"], 1, 0).constant("c", &[3, 4]).constant("d", &[2, 1]),
        gemm("both transposed", &[3, 2], &["x", "c"], 1, 1).constant("c", &[4, 3]),
        gemm("B", &[3, 4], &["c", "x"], 0, 0).constant("c", &[2, 3]),
        gemm("B transposed", &[4, 3], &["c", "x"], 0, 1).constant("c", &[2, 3]),
        gemm("B, both transposed", &[4, 3], &["c", "x"], 1, 1).constant("c", &[3, 2]),
        gemm("C", &[4], &["c", "d", "x"], 0, 0).constant("c", &[2, 3]).constant("d", &[3, 4]),
        batch_norm("four axes", &[2, 3, 2, 2]),
        batch_norm("two axes", &[4, 3]),
        pool("MaxPool", "2x2", &[2, 2, 4, 6], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
        pool(
            "MaxPool",
            "overlapping, padded",
            &[1, 3, 5, 5],
            vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])],
        ),
        pool(
            "MaxPool",
            "ceil_mode",
            &[1, 2, 5, 5],
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), int("ceil_mode", 1)],
        ),
        pool("AveragePool", "2x2", &[1, 3, 4, 5], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
        pool(
            "AveragePool",
            "overlapping, pads counted",
            &[2, 2, 5, 5],
            vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1]), int("count_include_pad", 1)],
        ),
    ];
    others.into_iter().chain(convolutions()).collect()
}

fn convolutions() -> Vec<Case> {
    let conv = |name, x, w: &[i64], attributes: Vec<Attribute>| {
        let mut tested = node("Conv", &["x", "w", "b"]);
        tested.attribute = attributes;
        case("Conv", name, x, tested).constant("w", w).constant("b", &w[..1])
    };
    vec![
        conv("3x3", &[2, 3, 5, 6], &[4, 3, 3, 3], vec![ints("pads", &[1, 1, 1, 1])]),
        conv("strided, odd", &[1, 2, 6, 7], &[3, 2, 3, 3], vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])]),
        conv("asymmetric pads", &[1, 2, 5, 5], &[3, 2, 3, 2], vec![ints("pads", &[0, 1, 2, 0])]),
        conv("dilated", &[1, 2, 7, 7], &[2, 2, 3, 3], vec![ints("dilations", &[2, 2])]),
        conv("grouped", &[1, 4, 5, 5], &[6, 2, 3, 3], vec![int("group", 2)]),
        conv("depthwise", &[2, 3, 5, 5], &[3, 1, 3, 3], vec![int("group", 3), ints("pads", &[1, 1, 1, 1])]),
        conv("depthwise, strided", &[2, 3, 6, 7], &[3, 1, 3, 3], vec![int("group", 3), ints("strides", &[2, 2])]),
        conv(
            "depthwise, strided, padded",
            &[1, 4, 7],
            &[4, 1, 5],
            vec![int("group", 4), ints("strides", &[3]), ints("pads", &[2, 2])],
        ),
        conv(
            "several channels of each, strided",
            &[2, 3, 6, 7],
            &[6, 1, 3, 3],
            vec![int("group", 3), ints("strides", &[2, 3]), ints("pads", &[1, 1, 1, 1])],
        ),
        conv("1x1", &[1, 3, 4, 4], &[5, 3, 1, 1], vec![]),
        conv("one axis", &[1, 3, 8], &[2, 3, 3], vec![ints("strides", &[2])]),
        conv(
            "auto_pad",
            &[1, 2, 6, 6],
            &[2, 2, 3, 3],
            vec![Attribute::from_string("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])],
        ),
    ]
}
