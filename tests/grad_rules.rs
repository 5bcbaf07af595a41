//! Every gradient rule against finite differences.

mod built_in;
mod coverage;
mod rarer;
mod sampled;
mod usual;

use ndarray::{ArrayD, IxDyn};
use whycam::grad::RULES;
use whycam::onnx::proto::{Attribute, Node};
use whycam::onnx::{OnnxModel, WORKING_OPSET};
use whycam::session::{Input, Session};

use crate::support::gradient::{Case, case, check, graph_of, int, ints, node};
use crate::support::{self, Random};

/// Every case. Each rule in `whycam::grad::RULES` has at least one.
fn cases() -> Vec<Case> {
    [usual::cases(), rarer::cases(), built_in::cases(), sampled::cases()].into_iter().flatten().collect()
}

fn pool(op: &'static str, name: &'static str, x: &'static [usize], attributes: Vec<Attribute>) -> Case {
    let mut tested = node(op, &["x"]);
    tested.attribute = attributes;
    case(op, name, x, tested).with_kinks()
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

/// Ops that round, so that finite differences say nothing: `tests/lowering` compares them with float ops.
const ROUNDING: [&str; 4] = ["ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "Round"];

#[test]
fn every_rule_has_a_case() {
    let tested: Vec<&str> = cases().iter().map(|c| c.op).chain(ROUNDING).collect();
    let missing: Vec<&str> = RULES.iter().map(|(op, _, _)| *op).filter(|op| !tested.contains(op)).collect();
    assert!(missing.is_empty(), "rules without a finite-difference case: {missing:?}");
}

#[test]
fn a_rectifier_passes_nothing_where_the_slope_after_it_is_infinite() {
    let case = case("Sqrt", "after Relu", &[2, 3, 5], Node::new("Relu", "r", &["x"], &["r"])).and(node("Sqrt", &["r"]));
    let gradient = support::gradient::gradient_of(&case).unwrap();
    assert!(gradient.iter().all(|v| v.is_finite()), "{gradient}");
    assert!(gradient.iter().any(|v| *v == 0.0) && gradient.iter().any(|v| *v != 0.0), "{gradient}");
}

#[test]
fn zeros_do_not_make_a_gradient_infinite() {
    let product = node("ReduceProd", &["x", "axes"]);
    for case in [
        case("ReduceProd", "of a zero", &[3, 3], product.clone())
            .int64s("axes", &[1])
            .at(&[0., 2., 3., 0., 0., 4., 1., 2., 5.]),
        case("ReduceProd", "of all", &[3], node("ReduceProd", &["x"])).at(&[2., 0., 5.]),
        case("ReduceProd", "without the axis", &[2, 2], product.with(int("keepdims", 0)))
            .int64s("axes", &[0])
            .at(&[0., 2., 3., 4.]),
        case("ReduceL2", "of zeros", &[2, 3], node("ReduceL2", &["x", "axes"]))
            .int64s("axes", &[1])
            .at(&[0., 0., 0., 1., 2., 3.]),
        pool("GlobalLpPool", "of zeros", &[1, 2, 1, 3], vec![]).at(&[0., 0., 0., 1., 2., 3.]),
        case("ReduceMax", "of no axes", &[2, 3], node("ReduceMax", &["x"]).with(int("noop_with_empty_axes", 1))),
    ] {
        // At a kink at zero the difference is taken on both sides, which gives the 0 of PyTorch.
        check(&case.with_step(1e-3)).unwrap_or_else(|problem| panic!("{problem}"));
    }
}

#[test]
fn what_is_not_passed_stops_an_infinite_gradient() {
    let max = Node::new("Max", "m", &["x", "zero"], &["t"]);
    let hard = Node::new("HardSigmoid", "h", &["x"], &["t"]);
    for case in [
        case("Max", "before Sqrt", &[3], max).and(node("Sqrt", &["t"])).scalar("zero", 0.0).at(&[-1.0, 4.0, 9.0]),
        case("HardSigmoid", "before Log", &[3], hard).and(node("Log", &["t"])).at(&[-9.0, 1.0, -1.0]),
    ] {
        let gradient = support::gradient::gradient_of(&case).unwrap();
        assert!(gradient[0] == 0.0 && gradient[1] != 0.0 && gradient[2] != 0.0, "{}: {gradient}", case.op);
    }
}

#[test]
fn the_rules_agree_with_finite_differences() {
    let cases = cases();
    let failures: Vec<String> = cases.iter().filter_map(|c| check(c).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
