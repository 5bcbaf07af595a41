//! Ops that few classifiers have.

use whycam::onnx::proto::{Attribute, Node};

use crate::support::gradient::{Case, case, int, ints, node};

fn attention(name: &'static str, x: &'static [usize], inputs: &[&str], attributes: &[(&str, i64)]) -> Case {
    let tested = attributes.iter().fold(node("Attention", inputs), |n, (name, value)| n.with(int(name, *value)));
    case("Attention", name, x, tested).in_opset(23)
}

#[allow(clippy::too_many_lines)]
pub fn cases() -> Vec<Case> {
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
        einsum("a letter of one factor alone", &[2, 3, 4], "bij,bk->bk", &["x", "c"]).constant("c", &[2, 5]),
        einsum("transposition", &[2, 3, 4], "abc->cab", &["x"]),
        einsum("sum, without an arrow", &[2, 3], "ab,b", &["x", "c"]).constant("c", &[3]),
        einsum("ellipsis", &[2, 3, 4], "...j,jk->...k", &["x", "c"]).constant("c", &[4, 2]),
        einsum("three factors", &[2, 3], "ab,bc,cd->ad", &["x", "c", "d"])
            .constant("c", &[3, 4])
            .constant("d", &[4, 2]),
        einsum("last of three factors", &[4, 2], "ab,bc,cd->ad", &["c", "d", "x"])
            .constant("c", &[2, 3])
            .constant("d", &[3, 4]),
        einsum("middle of three factors", &[3, 4], "ab,bc,cd->ad", &["c", "x", "d"])
            .constant("c", &[2, 3])
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
        attention(
            "three axes, of one tensor",
            &[2, 3, 4],
            &["x", "x", "x"],
            &[("q_num_heads", 2), ("kv_num_heads", 2)],
        ),
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
