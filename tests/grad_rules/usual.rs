//! Ops that classifiers have.

use whycam::onnx::proto::{Attribute, Node};

use super::pool;
use crate::support::gradient::{Case, case, int, ints, node};

#[allow(clippy::too_many_lines)]
pub fn cases() -> Vec<Case> {
    let unary = |op: &'static str, name, attributes: Vec<Attribute>| {
        let mut tested = node(op, &["x"]);
        tested.attribute = attributes;
        case(op, name, &[2, 3, 5], tested).with_kinks()
    };
    let float = Attribute::from_float;
    let text = Attribute::from_string;
    let reduce = |op: &'static str, name, keepdims| {
        case(op, name, &[2, 3, 4], node(op, &["x", "axes"]).with(int("keepdims", keepdims)))
            .with_kinks()
            .int64s("axes", &[0, -1])
    };
    let mut cases = vec![
        unary("Abs", "plain", vec![]),
        unary("LeakyRelu", "default", vec![]),
        unary("LeakyRelu", "alpha", vec![float("alpha", 0.3)]),
        unary("Elu", "alpha", vec![float("alpha", 0.7)]),
        unary("Selu", "default", vec![]),
        unary("Celu", "alpha", vec![float("alpha", 0.6)]),
        unary("HardSigmoid", "default", vec![]),
        unary("HardSigmoid", "of MobileNet", vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]),
        unary("HardSwish", "plain", vec![]),
        unary("Mish", "plain", vec![]),
        unary("Softplus", "plain", vec![]),
        unary("Softsign", "plain", vec![]),
        unary("Atan", "plain", vec![]),
        unary("Tanh", "plain", vec![]),
        unary("Erf", "plain", vec![]),
        unary("Neg", "plain", vec![]),
        unary("Exp", "plain", vec![]),
        unary("Softmax", "last axis", vec![]),
        unary("Softmax", "axis 1", vec![int("axis", 1)]),
        unary("LogSoftmax", "last axis", vec![]),
        unary("LogSoftmax", "axis 1", vec![int("axis", 1)]),
        unary("Cast", "to float", vec![int("to", 1)]),
        case("Sqrt", "plain", &[2, 3], node("Sqrt", &["x"])).with_positive_x(),
        case("Log", "plain", &[2, 3], node("Log", &["x"])).with_positive_x(),
        case("Reciprocal", "plain", &[2, 3], node("Reciprocal", &["x"])).with_positive_x(),
        case("PRelu", "one slope a channel", &[2, 3, 4], node("PRelu", &["x", "c"]))
            .with_kinks()
            .constant("c", &[3, 1]),
        case("Clip", "both bounds", &[2, 3, 4], node("Clip", &["x", "low", "high"]))
            .with_kinks()
            .scalar("low", -0.5)
            .scalar("high", 0.7),
        case("Clip", "upper bound", &[2, 3], node("Clip", &["x", "", "high"])).with_kinks().scalar("high", 0.1),
        case("Div", "left", &[2, 3], node("Div", &["x", "c"])).positive("c", &[2, 3]),
        case("Div", "right, broadcast", &[3], node("Div", &["c", "x"])).with_positive_x().constant("c", &[2, 3]),
        case("Pow", "base", &[2, 3], node("Pow", &["x", "c"])).with_positive_x().scalar("c", 2.5),
        case("Pow", "base, integer exponent", &[2, 3], node("Pow", &["x", "c"])).int64s("c", &[3]),
        case("Pow", "exponent, broadcast", &[3], node("Pow", &["c", "x"])).positive("c", &[2, 3]),
        case("Max", "three", &[2, 3], node("Max", &["c", "x", "d"]))
            .with_kinks()
            .constant("c", &[2, 3])
            .constant("d", &[3]),
        case("Max", "first", &[2, 3], node("Max", &["x", "c", "d"]))
            .with_kinks()
            .constant("c", &[2, 3])
            .constant("d", &[3]),
        case("Max", "last", &[2, 3], node("Max", &["c", "d", "x"]))
            .with_kinks()
            .constant("c", &[2, 3])
            .constant("d", &[3]),
        case("Min", "right, broadcast", &[3], node("Min", &["c", "x"])).with_kinks().constant("c", &[2, 3]),
        case("Min", "broadcast", &[3], node("Min", &["x", "c"])).with_kinks().constant("c", &[2, 3]),
        case("Sum", "broadcast", &[3], node("Sum", &["c", "x", "x"])).constant("c", &[2, 3]),
        case("Sum", "first, broadcast", &[3], node("Sum", &["x", "c"])).constant("c", &[2, 3]),
        case("Mean", "first", &[2, 3], node("Mean", &["x", "c"])).constant("c", &[2, 3]),
        case("Mean", "broadcast", &[3], node("Mean", &["c", "x"])).constant("c", &[2, 3]),
        case("Where", "both", &[2, 3], node("Where", &["w", "x", "c"])).bools("w", &[2, 3]).constant("c", &[2, 3]),
        case("Where", "else, broadcast", &[3], node("Where", &["w", "c", "x"]))
            .bools("w", &[2, 3])
            .constant("c", &[2, 3]),
        case("Expand", "two axes", &[3, 1], node("Expand", &["x", "shape"])).int64s("shape", &[2, 3, 4]),
        case("Tile", "two axes", &[2, 3], node("Tile", &["x", "times"])).int64s("times", &[1, 4]),
        case("Tile", "three axes", &[2, 3, 2], node("Tile", &["x", "times"])).int64s("times", &[3, 1, 2]),
        case("Concat", "middle", &[2, 3, 2], node("Concat", &["c", "x", "d"]).with(int("axis", 1)))
            .constant("c", &[2, 2, 2])
            .constant("d", &[2, 1, 2]),
        case("Concat", "last", &[2, 3, 2], node("Concat", &["c", "d", "x"]).with(int("axis", 1)))
            .constant("c", &[2, 2, 2])
            .constant("d", &[2, 1, 2]),
        case("Concat", "twice, last axis", &[2, 3], node("Concat", &["x", "x"]).with(int("axis", -1))),
        case("Slice", "steps and negative ends", &[4, 7], node("Slice", &["x", "from", "to", "axes", "steps"]))
            .int64s("from", &[1, -1])
            .int64s("to", &[3, -7])
            .int64s("axes", &[0, 1])
            .int64s("steps", &[1, -2]),
        case("Gather", "repeated", &[4, 3], node("Gather", &["x", "at"])).int64s("at", &[2, 0, 2, -1]),
        case("Gather", "last axis", &[2, 3, 4], node("Gather", &["x", "at"]).with(int("axis", -1)))
            .int64s("at", &[3, 3]),
        case("GatherElements", "axis 0", &[4], node("GatherElements", &["x", "at"])).int64s("at", &[2, 0, 2, 1]),
        case("GatherND", "one", &[4, 3], node("GatherND", &["x", "at"])).int64s("at", &[2]),
        case("Pad", "constant", &[2, 3, 4], node("Pad", &["x", "pads"])).int64s("pads", &[0, 1, 2, 0, 0, -1]),
        case("Pad", "before a convolution", &[1, 2, 4, 5], Node::new("Pad", "t", &["x", "pads"], &["t"]))
            .int64s("pads", &[0, 0, 1, 0, 0, 0, 2, 1])
            .and(node("Conv", &["t", "w"]))
            .constant("w", &[3, 2, 3, 2]),
        case("Pad", "cut, before a convolution", &[1, 2, 5, 6], Node::new("Pad", "t", &["x", "pads"], &["t"]))
            .int64s("pads", &[0, 0, 1, 0, 0, 0, 0, -1])
            .and(node("Conv", &["t", "w"]).with(ints("pads", &[1, 1, 1, 1])))
            .constant("w", &[3, 2, 3, 3]),
        case("Pad", "cut, before a strided convolution", &[1, 2, 5, 6], Node::new("Pad", "t", &["x", "pads"], &["t"]))
            .int64s("pads", &[0, 0, 1, 0, 0, 0, 0, -1])
            .and(node("Conv", &["t", "w"]).with(ints("pads", &[1, 1, 1, 1])).with(ints("strides", &[2, 2])))
            .constant("w", &[3, 2, 3, 3]),
        case("Pad", "before a transposed convolution", &[1, 2, 5], Node::new("Pad", "t", &["x", "pads"], &["t"]))
            .int64s("pads", &[0, 0, 1, 0, 0, 1])
            .and(node("ConvTranspose", &["t", "w"]).with(ints("pads", &[1, 1])).with(ints("strides", &[2])))
            .constant("w", &[2, 3, 4]),
        case("Pad", "before a strided convolution", &[1, 2, 4, 5], Node::new("Pad", "t", &["x", "pads"], &["t"]))
            .int64s("pads", &[0, 0, 1, 0, 0, 0, 2, 1])
            .and(node("Conv", &["t", "w"]).with(ints("strides", &[2, 2])))
            .constant("w", &[3, 2, 3, 2]),
        case("Pad", "axes", &[2, 3, 4], node("Pad", &["x", "pads", "", "axes"]))
            .int64s("pads", &[1, 2])
            .int64s("axes", &[1]),
        case("DepthToSpace", "DCR", &[2, 8, 2, 3], node("DepthToSpace", &["x"]).with(int("blocksize", 2))),
        case(
            "DepthToSpace",
            "CRD",
            &[1, 8, 2, 3],
            node("DepthToSpace", &["x"]).with(int("blocksize", 2)).with(text("mode", "CRD")),
        ),
        case("SpaceToDepth", "plain", &[2, 2, 4, 6], node("SpaceToDepth", &["x"]).with(int("blocksize", 2))),
        case("LayerNormalization", "last axis", &[2, 3, 4], node("LayerNormalization", &["x", "c", "d"]))
            .constant("c", &[4])
            .constant("d", &[4]),
        case(
            "LayerNormalization",
            "two axes",
            &[2, 3, 4],
            node("LayerNormalization", &["x", "c"]).with(int("axis", 1)),
        )
        .constant("c", &[3, 4]),
        case("InstanceNormalization", "plain", &[2, 3, 4, 2], node("InstanceNormalization", &["x", "c", "d"]))
            .constant("c", &[3])
            .constant("d", &[3]),
        case("LRN", "odd", &[1, 6, 2, 2], node("LRN", &["x"]).with(int("size", 3)).with(float("alpha", 0.7))),
        case(
            "LRN",
            "even",
            &[2, 5, 2, 2],
            node("LRN", &["x"]).with(int("size", 5)).with(float("beta", 0.4)).with(float("alpha", 0.9)),
        ),
        case("GlobalMaxPool", "plain", &[2, 3, 2, 3], node("GlobalMaxPool", &["x"])).with_kinks(),
        case("GlobalLpPool", "p 2", &[2, 3, 2, 3], node("GlobalLpPool", &["x"])),
        case("GlobalLpPool", "p 3", &[2, 3, 2, 3], node("GlobalLpPool", &["x"]).with(int("p", 3))).with_kinks(),
    ];
    for (op, name, keepdims) in [
        ("ReduceSum", "keepdims", 1),
        ("ReduceSum", "without", 0),
        ("ReduceMean", "two axes, without", 0),
        ("ReduceMax", "keepdims", 1),
        ("ReduceMax", "without", 0),
        ("ReduceMin", "without", 0),
        ("ReduceL1", "without", 0),
        ("ReduceL2", "keepdims", 1),
        ("ReduceL2", "without", 0),
        ("ReduceSumSquare", "without", 0),
        ("ReduceLogSumExp", "keepdims", 1),
        ("ReduceLogSumExp", "without", 0),
    ] {
        cases.push(reduce(op, name, keepdims));
    }
    let split = Node::new("Split", "tested", &["x"], &["unused", "y"]).with(int("num_outputs", 2)).with(int("axis", 1));
    cases.push(case("Split", "one of two parts", &[2, 4], split));
    for (name, approximate) in [("exact", "none"), ("by tanh", "tanh")] {
        cases.push(unary("Gelu", name, vec![text("approximate", approximate)]).in_opset(20));
    }
    let group_norm = node("GroupNormalization", &["x", "c", "d"]).with(int("num_groups", 2));
    let group_norm = case("GroupNormalization", "opset 21", &[2, 4, 2, 3], group_norm);
    cases.push(group_norm.constant("c", &[4]).constant("d", &[4]).in_opset(21));
    let conv_transpose = |name, x, w: &[i64], attributes: Vec<Attribute>| {
        let mut tested = node("ConvTranspose", &["x", "w"]);
        tested.attribute = attributes;
        case("ConvTranspose", name, x, tested).constant("w", w)
    };
    cases.extend([
        conv_transpose("plain", &[1, 3, 4, 4], &[3, 2, 3, 3], vec![]),
        conv_transpose(
            "strided, padded",
            &[2, 3, 4, 3],
            &[3, 2, 3, 3],
            vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])],
        ),
        conv_transpose(
            "output_padding, grouped",
            &[1, 4, 3, 3],
            &[4, 1, 3, 3],
            vec![
                ints("strides", &[2, 2]),
                ints("pads", &[1, 1, 1, 1]),
                ints("output_padding", &[1, 1]),
                int("group", 2),
            ],
        ),
        conv_transpose(
            "output_padding beyond the pads",
            &[1, 2, 3, 3],
            &[2, 2, 2, 2],
            vec![ints("strides", &[2, 2]), ints("output_padding", &[1, 1])],
        ),
        pool(
            "AveragePool",
            "pads not counted",
            &[1, 2, 5, 6],
            vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])],
        ),
        pool(
            "AveragePool",
            "ceil_mode",
            &[1, 2, 6, 6],
            vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), int("ceil_mode", 1)],
        ),
        pool(
            "AveragePool",
            "ceil_mode, pads counted",
            &[1, 2, 6, 7],
            vec![
                ints("kernel_shape", &[3, 3]),
                ints("strides", &[2, 2]),
                ints("pads", &[1, 1, 0, 1]),
                int("count_include_pad", 1),
                int("ceil_mode", 1),
            ],
        ),
        pool("AveragePool", "one axis", &[2, 2, 7], vec![ints("kernel_shape", &[2]), ints("strides", &[2])]),
    ]);
    cases
}
