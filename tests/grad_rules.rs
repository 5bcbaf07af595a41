//! Every gradient rule against central finite differences, by random projection: for a random
//! cotangent r and direction v, r·(f(x+εv) - f(x-εv)) / 2ε must be v·vjp(r).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use ndarray::{Array1, ArrayD, IxDyn};
use support::Random;
use whycam::grad::{RULES, differentiate};
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel};
use whycam::session::{Input, Session, probe_shapes};

/// One node (or a few) from `x` to `y`.
struct Case {
    op: &'static str,
    name: &'static str,
    x: &'static [usize],
    /// Whether the op has kinks, so that inputs must keep clear of them.
    kinks: bool,
    constants: Vec<Tensor>,
    nodes: Vec<Node>,
}

fn case(op: &'static str, name: &'static str, x: &'static [usize], node: Node) -> Case {
    Case { op, name, x, kinks: false, constants: vec![], nodes: vec![node] }
}

impl Case {
    fn with_kinks(mut self) -> Self {
        self.kinks = true;
        self
    }

    fn constant(mut self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        let values = Random(count as u64 + 77).many(count);
        self.constants.push(Tensor::from_f32s(name, dims, &values));
        self
    }

    fn positive(mut self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        let values: Vec<f32> = Random(5).many(count).iter().map(|v| v.abs() + 0.5).collect();
        self.constants.push(Tensor::from_f32s(name, dims, &values));
        self
    }

    fn int64s(mut self, name: &str, values: &[i64]) -> Self {
        self.constants.push(Tensor::from_i64s(name, &[values.len() as i64], values));
        self
    }
}

fn node(op: &str, inputs: &[&str]) -> Node {
    Node::new(op, "tested", inputs, &["y"])
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute::from_ints(name, values)
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute::from_int(name, value)
}

fn cases() -> Vec<Case> {
    let conv = |name, x, w: &[i64], attributes: Vec<Attribute>| {
        let mut tested = node("Conv", &["x", "w", "b"]);
        tested.attribute = attributes;
        case("Conv", name, x, tested).constant("w", w).constant("b", &w[..1])
    };
    let pool = |op: &'static str, name, x, attributes: Vec<Attribute>| {
        let mut tested = node(op, &["x"]);
        tested.attribute = attributes;
        case(op, name, x, tested).with_kinks()
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

fn check(case: &Case) -> Result<(), String> {
    const STEP: f32 = 1e-2;
    let label = |e: &dyn std::fmt::Display| format!("{} ({}): {e}", case.op, case.name);
    let dims: Vec<i64> = case.x.iter().map(|&d| d as i64).collect();
    let graph = Graph {
        name: Some("case".into()),
        node: case.nodes.clone(),
        initializer: case.constants.clone(),
        input: vec![ValueInfo::tensor("x", DataType::Float, &dims)],
        output: vec![ValueInfo::untyped("y")],
        ..Graph::default()
    };
    let mut model = OnnxModel::from_graph("case", graph);
    let shapes = probe_shapes(&model, "x", case.x).map_err(|e| label(&e))?;
    let y_shape = shapes["y"].clone();
    let (patch, gradient) = differentiate(&model, &shapes, "y", "seed", "x").map_err(|e| label(&e))?;
    patch.apply(&mut model);
    let y_dims: Vec<i64> = y_shape.iter().map(|&d| d as i64).collect();
    let graph = model.graph_mut();
    graph.input.push(ValueInfo::tensor("seed", DataType::Float, &y_dims));
    graph.node.push(Node::new("Identity", "gradient", &[&gradient], &["gradient"]));
    graph.output.push(ValueInfo::untyped("gradient"));
    let mut session = Session::new(&model, 1).map_err(|e| label(&e))?;

    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let count: usize = case.x.iter().product();
    let x = if case.kinks { random.apart(count) } else { random.many(count) };
    let r = random.many(y_shape.iter().product());
    let r = ArrayD::from_shape_vec(IxDyn(&y_shape), r).map_err(|e| label(&e))?;
    let mut run = |x: &[f32]| -> Result<(ArrayD<f32>, ArrayD<f32>), String> {
        let x = ArrayD::from_shape_vec(IxDyn(case.x), x.to_vec()).map_err(|e| label(&e))?;
        let outputs = session
            .run(vec![("x", Input::Float(x.view())), ("seed", Input::Float(r.view()))])
            .map_err(|e| label(&e))?;
        let owned = |name| outputs.floats(name).map(|a| a.to_owned()).map_err(|e| label(&e));
        Ok((owned("y")?, owned("gradient")?))
    };
    let (_, gradient) = run(&x)?;
    if gradient.shape() != case.x {
        return Err(label(&format!("the gradient has the shape {:?}", gradient.shape())));
    }
    let gradient = Array1::from_iter(gradient.iter().map(|&v| f64::from(v)));
    for _ in 0..3 {
        let v = random.many(count);
        let moved = |sign: f32| -> Vec<f32> { x.iter().zip(&v).map(|(x, v)| x + sign * STEP * v).collect() };
        let (above, below) = (run(&moved(1.0))?.0, run(&moved(-1.0))?.0);
        let difference: f64 =
            above.iter().zip(&below).zip(&r).map(|((a, b), r)| f64::from(a - b) * f64::from(*r)).sum();
        let numeric = difference / f64::from(2.0 * STEP);
        let exact: f64 = gradient.iter().zip(&v).map(|(g, v)| g * f64::from(*v)).sum();
        if (numeric - exact).abs() > 2e-3 * (1.0 + exact.abs()) {
            return Err(label(&format!("finite difference {numeric:.5}, rule {exact:.5}")));
        }
    }
    Ok(())
}
