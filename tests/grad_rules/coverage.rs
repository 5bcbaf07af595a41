//! Which inputs of which ops the cases differentiate by.

use std::collections::BTreeSet;

use whycam::grad::RULES;
use whycam::onnx::DataType;

use super::cases;
use crate::support::gradient::{Case, check};

/// Float inputs without a gradient rule: the op, the inputs, and the reason.
const EXEMPT: &[(&str, &[usize], &str)] = &[
    ("Attention", &[3], "a mask that depends on the picture is refused"),
    ("BatchNormalization", &[1, 2, 3, 4], "weights are refused"),
    ("CastLike", &[1], "only its type counts"),
    ("Clip", &[1, 2], "bounds are refused"),
    ("ConvTranspose", &[1], "weights are refused"),
    ("DequantizeLinear", &[1], "the scale of quantised numbers is constant"),
    ("GroupNormalization", &[1, 2], "weights are refused"),
    ("InstanceNormalization", &[1, 2], "weights are refused"),
    ("LayerNormalization", &[1, 2], "weights are refused"),
    ("PRelu", &[1], "the slope is refused"),
    ("QuantizeLinear", &[1], "the scale of quantised numbers is constant"),
    ("RMSNormalization", &[1], "weights are refused"),
    ("Resize", &[2], "it decides the size alone"),
    ("RoiAlign", &[1], "regions count as constants"),
];

fn is_exempt(op: &str, input: usize) -> bool {
    EXEMPT.iter().any(|(exempt, inputs, _)| *exempt == op && inputs.contains(&input))
}

/// The inputs of a case's op that are floats, and whether each depends on `x`. Integers and Booleans have no gradient.
fn float_inputs(case: &Case) -> Vec<(usize, bool)> {
    let tested = case.nodes.iter().filter(|node| node.op() == case.op);
    let made = |name: &str| name == "x" || case.nodes.iter().any(|node| node.output.iter().any(|o| o == name));
    let is_float = |name: &str| {
        let constant = case.constants.iter().find(|constant| constant.name() == name);
        constant.and_then(|constant| DataType::from_number(constant.data_type())).is_some_and(DataType::is_float)
    };
    let inputs = tested.flat_map(|node| node.input.iter().enumerate());
    let inputs = inputs.filter(|(_, name)| made(name) || is_float(name));
    inputs.map(|(input, name)| (input, made(name))).collect()
}

#[test]
fn every_float_input_of_every_op_has_a_case() {
    let (mut present, mut covered) = (BTreeSet::new(), BTreeSet::new());
    for case in cases() {
        for (input, differentiated) in float_inputs(&case) {
            present.insert((case.op, input));
            if differentiated {
                covered.insert((case.op, input));
            }
        }
    }
    let missing: Vec<_> = present.difference(&covered).filter(|(op, input)| !is_exempt(op, *input)).collect();
    assert!(missing.is_empty(), "inputs without a finite-difference case: {missing:?}");
    for (op, inputs, why) in EXEMPT {
        assert!(RULES.iter().any(|(known, _, _)| known == op), "{op} has no rule");
        for input in *inputs {
            let entry = (*op, *input);
            assert!(present.contains(&entry), "no case has input {input} of {op} ({why})");
            assert!(!covered.contains(&entry), "input {input} of {op} has a case and is exempt ({why})");
        }
    }
}

/// The case with the constant at `input` and `x` exchanged, so that the rule is asked for the exempt input.
fn exchanged(mut case: Case, input: usize) -> Option<Case> {
    let node = case.nodes.iter_mut().find(|node| node.op() == case.op)?;
    let name = node.input.get(input)?.clone();
    let constant = case.constants.iter_mut().find(|constant| constant.name() == name)?;
    let shape: Vec<usize> = constant.dims.iter().map(|&d| d as usize).collect();
    let dims: Vec<i64> = case.x.iter().map(|&d| d as i64).collect();
    let values: Vec<f32> = (0..case.x.iter().product::<usize>()).map(|i| i as f32 * 0.07 - 0.5).collect();
    *constant = whycam::onnx::proto::Tensor::from_f32s(&name, &dims, &values);
    for other in &mut node.input {
        if *other == "x" {
            other.clone_from(&name);
        } else if *other == name {
            "x".clone_into(other);
        }
    }
    case.x = shape.leak();
    Some(case)
}

#[test]
fn an_exempt_input_is_refused_and_gets_no_gradient() {
    let refused = EXEMPT.iter().filter(|(_, _, why)| why.ends_with("refused"));
    for (op, input) in refused.flat_map(|(op, inputs, _)| inputs.iter().map(move |input| (*op, *input))) {
        let mut of_op = cases().into_iter().filter(|case| case.op == op);
        let exchanged = of_op.find_map(|case| exchanged(case, input));
        let case = exchanged.unwrap_or_else(|| panic!("no case has input {input} of {op}"));
        let problem = check(&case).err().unwrap_or_else(|| panic!("input {input} of {op} has a gradient"));
        assert!(problem.contains("no gradient rule for"), "{problem}");
    }
}
