//! Every gradient rule against finite differences.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use ndarray::{ArrayD, IxDyn};
use support::Random;
use support::gradient::{Case, case, check, graph_of, int, ints, node};
use whycam::grad::RULES;
use whycam::onnx::proto::{Attribute, Node};
use whycam::onnx::{OnnxModel, WORKING_OPSET};
use whycam::session::{Input, Session};

fn pool(op: &'static str, name: &'static str, x: &'static [usize], attributes: Vec<Attribute>) -> Case {
    let mut tested = node(op, &["x"]);
    tested.attribute = attributes;
    case(op, name, x, tested).with_kinks()
}

#[allow(clippy::too_many_lines)]
fn cases() -> Vec<Case> {
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
        case("Min", "broadcast", &[3], node("Min", &["x", "c"])).with_kinks().constant("c", &[2, 3]),
        case("Sum", "broadcast", &[3], node("Sum", &["c", "x", "x"])).constant("c", &[2, 3]),
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
    cases.extend(cases_of_the_built_in_model());
    cases.extend(cases_of_rarer_ops());
    cases
}

fn attention(name: &'static str, x: &'static [usize], inputs: &[&str], attributes: &[(&str, i64)]) -> Case {
    let tested = attributes.iter().fold(node("Attention", inputs), |n, (name, value)| n.with(int(name, *value)));
    case("Attention", name, x, tested).in_opset(23)
}

/// Ops that few classifiers have.
#[allow(clippy::too_many_lines)]
fn cases_of_rarer_ops() -> Vec<Case> {
    let float = Attribute::from_float;
    let text = Attribute::from_string;
    let einsum = |name, x, equation: &str, inputs: &[&str]| {
        case("Einsum", name, x, node("Einsum", inputs).with(text("equation", equation)))
    };
    let resize = |name, x, attributes: &[(&str, &str)], inputs: &[&str]| {
        let tested = attributes.iter().fold(node("Resize", inputs), |n, (name, value)| n.with(text(name, value)));
        case("Resize", name, x, tested)
    };
    let reduce = |op: &'static str, name, keepdims| {
        case(op, name, &[2, 3, 2], node(op, &["x", "axes"]).with(int("keepdims", keepdims)))
            .with_positive_x()
            .int64s("axes", &[0, -1])
    };
    let pool = |name, x, attributes: Vec<Attribute>| {
        let mut tested = node("LpPool", &["x"]);
        tested.attribute = attributes;
        case("LpPool", name, x, tested).with_kinks()
    };
    let group_norm = node("GroupNormalization", &["x", "c", "d"]).with(int("num_groups", 2));
    let quantize = |x, name| {
        let first = Node::new("QuantizeLinear", "quantize", &["x", "scale", "zero"], &["t"]);
        case("QuantizeLinear", name, x, first)
            .and(node("DequantizeLinear", &["t", "scale", "zero"]))
            .in_opset(21)
            .with_step(0.3)
            .int16("zero", 3)
    };
    let conv_weights = |name, w: &'static [usize], x: &[i64], attributes: Vec<Attribute>| {
        let mut tested = node("Conv", &["c", "x"]);
        tested.attribute = attributes;
        case("Conv", name, w, tested).constant("c", x)
    };
    let mut cases = vec![
        einsum("product", &[2, 3, 4], "bij,bjk->bik", &["x", "c"]).constant("c", &[2, 4, 5]),
        einsum("right factor", &[2, 4, 5], "bij,bjk->bik", &["c", "x"]).constant("c", &[2, 3, 4]),
        einsum("attention", &[2, 3, 4, 5], "bnhd,bmhd->bhnm", &["x", "c"]).constant("c", &[2, 6, 4, 5]),
        einsum("a letter of its own", &[2, 3, 4], "bij,bk->bk", &["x", "c"]).constant("c", &[2, 5]),
        einsum("transposition", &[2, 3, 4], "abc->cab", &["x"]),
        einsum("sum, without an arrow", &[2, 3], "ab,b", &["x", "c"]).constant("c", &[3]),
        einsum("ellipsis", &[2, 3, 4], "...j,jk->...k", &["x", "c"]).constant("c", &[4, 2]),
        einsum("three factors", &[2, 3], "ab,bc,cd->ad", &["x", "c", "d"])
            .constant("c", &[3, 4])
            .constant("d", &[4, 2]),
        resize(
            "nearest, twice",
            &[1, 2, 3, 4],
            &[("mode", "nearest"), ("nearest_mode", "floor"), ("coordinate_transformation_mode", "asymmetric")],
            &["x", "", "scales"],
        )
        .floats("scales", &[1.0, 1.0, 2.0, 2.0]),
        resize("linear, half pixel", &[1, 2, 4, 5], &[("mode", "linear")], &["x", "", "", "sizes"])
            .int64s("sizes", &[1, 2, 7, 3]),
        resize(
            "linear, corners",
            &[2, 1, 4, 3],
            &[("mode", "linear"), ("coordinate_transformation_mode", "align_corners")],
            &["x", "", "", "sizes"],
        )
        .int64s("sizes", &[2, 1, 2, 6]),
        resize("linear, a scale that is not the ratio", &[1, 1, 5, 5], &[("mode", "linear")], &["x", "", "scales"])
            .floats("scales", &[1.0, 1.0, 1.5, 0.7]),
        resize("cubic", &[1, 1, 4, 4], &[("mode", "cubic")], &["x", "", "", "sizes"]).int64s("sizes", &[1, 1, 8, 6]),
        reduce("ReduceLogSum", "keepdims", 1),
        reduce("ReduceLogSum", "without", 0),
        reduce("ReduceProd", "without", 0),
        pool("p 2", &[1, 2, 5, 6], vec![ints("kernel_shape", &[2, 3]), ints("strides", &[2, 1])]),
        pool(
            "p 3, padded",
            &[1, 2, 5, 5],
            vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1]), int("p", 3)],
        ),
        case("GroupNormalization", "opset 18", &[2, 4, 2, 3], group_norm).constant("c", &[2]).constant("d", &[2]),
        case("RMSNormalization", "last axis", &[2, 3, 4], node("RMSNormalization", &["x", "c"]))
            .constant("c", &[4])
            .in_opset(23),
        case("RMSNormalization", "two axes", &[2, 3, 4], node("RMSNormalization", &["x", "c"]).with(int("axis", 1)))
            .constant("c", &[3, 4])
            .in_opset(23),
        case("MeanVarianceNormalization", "default", &[2, 3, 2, 4], node("MeanVarianceNormalization", &["x"])),
        case("MeanVarianceNormalization", "axes", &[2, 3, 4], {
            node("MeanVarianceNormalization", &["x"]).with(ints("axes", &[2]))
        }),
        case("LpNormalization", "p 2", &[2, 3, 4], node("LpNormalization", &["x"]).with(int("axis", 1))),
        case("LpNormalization", "p 1", &[2, 3], node("LpNormalization", &["x"]).with(int("p", 1))).with_kinks(),
        case("Swish", "alpha", &[2, 3, 4], node("Swish", &["x"]).with(float("alpha", 1.7))).in_opset(24),
        case("ThresholdedRelu", "alpha", &[2, 3, 4], node("ThresholdedRelu", &["x"]).with(float("alpha", 0.4)))
            .with_kinks(),
        case(
            "Shrink",
            "lambda and bias",
            &[2, 3, 4],
            node("Shrink", &["x"]).with(float("lambd", 0.4)).with(float("bias", 0.1)),
        )
        .with_kinks(),
        case("Sin", "plain", &[2, 3], node("Sin", &["x"])),
        case("Cos", "plain", &[2, 3], node("Cos", &["x"])),
        case("CastLike", "to float", &[2, 3], node("CastLike", &["x", "c"])).constant("c", &[1]),
        case("CumSum", "forward", &[2, 4], node("CumSum", &["x", "at"])).int64s_of("at", &[], &[1]),
        case("CumSum", "reverse, exclusive", &[4, 2], {
            node("CumSum", &["x", "at"]).with(int("reverse", 1)).with(int("exclusive", 1))
        })
        .int64s_of("at", &[], &[0]),
        case("Trilu", "upper", &[2, 3, 4], node("Trilu", &["x"])),
        case("Trilu", "lower, moved", &[3, 4], node("Trilu", &["x", "k"]).with(int("upper", 0))).int64s_of(
            "k",
            &[],
            &[1],
        ),
        case("TopK", "largest", &[2, 6], Node::new("TopK", "tested", &["x", "k"], &["y", "at"]))
            .int64s("k", &[3])
            .with_kinks(),
        case("TopK", "least, axis 0", &[5, 2], {
            Node::new("TopK", "tested", &["x", "k"], &["y", "at"]).with(int("axis", 0)).with(int("largest", 0))
        })
        .int64s("k", &[2])
        .with_kinks(),
        case("ScatterND", "data", &[4, 3], node("ScatterND", &["x", "at", "c"]))
            .int64s_of("at", &[2, 1], &[2, 0])
            .constant("c", &[2, 3]),
        case("ScatterND", "updates", &[2, 3], node("ScatterND", &["c", "at", "x"]))
            .int64s_of("at", &[2, 1], &[2, 0])
            .constant("c", &[4, 3]),
        case(
            "ScatterND",
            "added updates",
            &[2, 3],
            node("ScatterND", &["c", "at", "x"]).with(text("reduction", "add")),
        )
        .int64s_of("at", &[2, 1], &[2, 2])
        .constant("c", &[4, 3]),
        case("ScatterElements", "data", &[3, 3], node("ScatterElements", &["x", "at", "c"]).with(int("axis", 1)))
            .int64s_of("at", &[1, 2], &[2, 0])
            .constant("c", &[1, 2]),
        case("ScatterElements", "updates", &[1, 2], node("ScatterElements", &["c", "at", "x"]).with(int("axis", 1)))
            .int64s_of("at", &[1, 2], &[2, 0])
            .constant("c", &[3, 3]),
        case(
            "ScatterElements",
            "added to data",
            &[3],
            node("ScatterElements", &["x", "at", "c"]).with(text("reduction", "add")),
        )
        .int64s("at", &[1, 1])
        .constant("c", &[2]),
        case("Pad", "reflect", &[2, 4], node("Pad", &["x", "pads"]).with(text("mode", "reflect")))
            .int64s("pads", &[0, 2, 1, 1]),
        case("Pad", "edge", &[2, 3, 4], node("Pad", &["x", "pads"]).with(text("mode", "edge")))
            .int64s("pads", &[0, 1, 2, 0, 0, 1]),
        quantize(&[2, 3, 4], "one scale").scalar("scale", 1e-4),
        attention("four axes", &[2, 2, 3, 4], &["x", "c", "d"], &[])
            .constant("c", &[2, 2, 5, 4])
            .constant("d", &[2, 2, 5, 3]),
        attention("keys", &[1, 2, 5, 4], &["c", "x", "d"], &[])
            .constant("c", &[1, 2, 3, 4])
            .constant("d", &[1, 2, 5, 3]),
        attention("values", &[1, 2, 5, 3], &["c", "d", "x"], &[])
            .constant("c", &[1, 2, 3, 4])
            .constant("d", &[1, 2, 5, 4]),
        attention("three axes, by itself", &[2, 3, 4], &["x", "x", "x"], &[("q_num_heads", 2), ("kv_num_heads", 2)]),
        attention("with a mask", &[1, 1, 3, 4], &["x", "x", "x", "m"], &[]).constant("m", &[3, 3]),
        conv_weights("weights", &[4, 3, 3, 2], &[2, 3, 6, 5], vec![ints("pads", &[1, 1, 0, 1])]),
        conv_weights(
            "weights, strided and dilated",
            &[2, 3, 2, 2],
            &[1, 3, 8, 7],
            vec![ints("strides", &[2, 3]), ints("dilations", &[2, 1])],
        ),
        conv_weights("weights, grouped", &[4, 2, 3, 3], &[2, 4, 5, 5], vec![int("group", 2), ints("strides", &[2, 2])]),
        case("Conv", "bias", &[4], node("Conv", &["c", "w", "x"]))
            .constant("c", &[2, 3, 5, 5])
            .constant("w", &[4, 3, 3, 3]),
    ];
    let dequantize = Node::new("QuantizeLinear", "quantize", &["x", "scale", "zero"], &["t"]);
    cases.push(
        case("DequantizeLinear", "one scale a channel", &[2, 3, 4], dequantize.with(int("axis", 1)))
            .and(node("DequantizeLinear", &["t", "scale", "zero"]).with(int("axis", 1)))
            .in_opset(21)
            .with_step(0.3)
            .floats("scale", &[1e-4, 2e-4, 1.5e-4])
            .int16s("zero", 3),
    );
    for (name, attributes) in [
        ("auto_pad SAME_UPPER", vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])]),
        ("auto_pad SAME_LOWER", vec![text("auto_pad", "SAME_LOWER"), ints("strides", &[2, 2])]),
        ("output_shape", vec![ints("output_shape", &[7, 8]), ints("strides", &[2, 2])]),
    ] {
        let mut tested = node("ConvTranspose", &["x", "w"]);
        tested.attribute = attributes;
        cases.push(case("ConvTranspose", name, &[1, 2, 4, 4], tested).constant("w", &[2, 2, 3, 3]));
    }
    cases
}

/// The ops of `flowers-vgg`, and their nearest kin.
fn cases_of_the_built_in_model() -> Vec<Case> {
    let conv = |name, x, w: &[i64], attributes: Vec<Attribute>| {
        let mut tested = node("Conv", &["x", "w", "b"]);
        tested.attribute = attributes;
        case("Conv", name, x, tested).constant("w", w).constant("b", &w[..1])
    };
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
    vec![
        case("Add", "same shape", &[2, 3], node("Add", &["x", "c"])).constant("c", &[2, 3]),
        case("Add", "broadcast", &[3, 1], node("Add", &["c", "x"])).constant("c", &[2, 3, 4]),
        case("Sub", "left", &[1, 3], node("Sub", &["x", "c"])).constant("c", &[2, 3]),
        case("Sub", "right, broadcast", &[3], node("Sub", &["c", "x"])).constant("c", &[2, 3]),
        case("Mul", "broadcast", &[1, 3, 1, 1], node("Mul", &["c", "x"])).constant("c", &[2, 3, 4, 4]),
        case("Mul", "by itself", &[2, 3], node("Mul", &["x", "x"])),
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
        conv("3x3", &[2, 3, 5, 6], &[4, 3, 3, 3], vec![ints("pads", &[1, 1, 1, 1])]),
        conv("strided, odd", &[1, 2, 6, 7], &[3, 2, 3, 3], vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])]),
        conv("asymmetric pads", &[1, 2, 5, 5], &[3, 2, 3, 2], vec![ints("pads", &[0, 1, 2, 0])]),
        conv("dilated", &[1, 2, 7, 7], &[2, 2, 3, 3], vec![ints("dilations", &[2, 2])]),
        conv("grouped", &[1, 4, 5, 5], &[6, 2, 3, 3], vec![int("group", 2)]),
        conv("depthwise", &[2, 3, 5, 5], &[3, 1, 3, 3], vec![int("group", 3), ints("pads", &[1, 1, 1, 1])]),
        conv("1x1", &[1, 3, 4, 4], &[5, 3, 1, 1], vec![]),
        conv("one axis", &[1, 3, 8], &[2, 3, 3], vec![ints("strides", &[2])]),
        conv(
            "auto_pad",
            &[1, 2, 6, 6],
            &[2, 2, 3, 3],
            vec![Attribute::from_string("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])],
        ),
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
    ]
}

/// Nodes in the form of an old operator set.
fn old_cases() -> Vec<Case> {
    let old = |op, opset: i64, x, tested: Node| case(op, "old form", x, tested).in_opset(opset);
    let float = Attribute::from_float;
    vec![
        old("Clip", 7, &[2, 3], node("Clip", &["x"]).with(float("min", -0.2)).with(float("max", 0.4))),
        old("Clip", 10, &[2, 3], node("Clip", &["x"]).with(float("max", 0.4))),
        old("Slice", 9, &[4, 5], node("Slice", &["x"]).with(ints("starts", &[1, -2])).with(ints("ends", &[3, 9]))),
        old(
            "Slice",
            7,
            &[4, 5],
            node("Slice", &["x"]).with(ints("axes", &[1])).with(ints("starts", &[1])).with(ints("ends", &[4])),
        ),
        old("Pad", 9, &[2, 3], node("Pad", &["x"]).with(ints("pads", &[0, 1, 1, 2])).with(float("value", 0.5))),
        old("ReduceSum", 11, &[2, 3, 4], node("ReduceSum", &["x"]).with(ints("axes", &[1])).with(int("keepdims", 0))),
        old("ReduceMean", 12, &[2, 3, 4], node("ReduceMean", &["x"]).with(ints("axes", &[1, 2]))),
        old("ReduceMax", 17, &[2, 3, 4], node("ReduceMax", &["x"]).with(ints("axes", &[-1]))),
        old("Squeeze", 11, &[2, 1, 3], node("Squeeze", &["x"]).with(ints("axes", &[1]))),
        old("Unsqueeze", 8, &[2, 3], node("Unsqueeze", &["x"]).with(ints("axes", &[0, 2]))),
        old("Softmax", 7, &[2, 5], node("Softmax", &["x"])),
        old("LogSoftmax", 12, &[2, 5], node("LogSoftmax", &["x"]).with(int("axis", -1))),
        old("Dropout", 10, &[2, 3], node("Dropout", &["x"]).with(float("ratio", 0.3))),
        old(
            "Split",
            11,
            &[2, 5],
            Node::new("Split", "tested", &["x"], &["unused", "y"]).with(int("axis", 1)).with(ints("split", &[2, 3])),
        ),
        old("Split", 13, &[2, 4], Node::new("Split", "tested", &["x"], &["unused", "y"]).with(int("axis", 1))),
        old("BatchNormalization", 8, &[2, 3, 2], node("BatchNormalization", &["x", "s", "b", "m", "v"]))
            .constant("s", &[3])
            .constant("b", &[3])
            .constant("m", &[3])
            .positive("v", &[3]),
    ]
}

#[test]
fn models_of_old_operator_sets_give_the_same_after_the_upgrade() {
    let failures: Vec<String> = old_cases().iter().filter_map(|case| check_upgrade(case).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check_upgrade(case: &Case) -> Result<(), String> {
    let label = |e: &dyn std::fmt::Display| format!("{} in operator set {}: {e}", case.op, case.opset);
    let old = OnnxModel::from_graph("old", case.opset, graph_of(case));
    let new = OnnxModel::from_bytes("new", old.to_bytes()).map_err(|e| label(&e))?;
    if new.opset() != WORKING_OPSET {
        return Err(label(&format!("it stays in {}", new.opset())));
    }
    let x = Random(3).many(case.x.iter().product());
    let x = ArrayD::from_shape_vec(IxDyn(case.x), x).map_err(|e| label(&e))?;
    let run = |model: &OnnxModel| -> Result<ArrayD<f32>, String> {
        let mut session = Session::new(model, whycam::Compute::on_threads(1)).map_err(|e| label(&e))?;
        let outputs = session.run(vec![("x", Input::Float(x.view()))]).map_err(|e| label(&e))?;
        outputs.floats("y").map(|y| y.to_owned()).map_err(|e| label(&e))
    };
    let (before, after) = (run(&old)?, run(&new)?);
    if before == after { Ok(()) } else { Err(label(&format!("{before} became {after}"))) }
}

#[test]
fn every_rule_has_a_case() {
    let tested: Vec<&str> = cases().iter().map(|c| c.op).collect();
    let missing: Vec<&str> = RULES.iter().map(|(op, _)| *op).filter(|op| !tested.contains(op)).collect();
    assert!(missing.is_empty(), "rules without a finite-difference case: {missing:?}");
}

#[test]
fn the_rules_agree_with_finite_differences() {
    let cases = cases();
    let failures: Vec<String> = cases.iter().filter_map(|c| check(c).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
