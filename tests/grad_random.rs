//! Random graphs of several ops against finite differences: the differentiator sums, orders and broadcasts what the
//! rules give it.

use proptest::prelude::*;
use whycam::onnx::proto::{Attribute, Node, Tensor};

use crate::support::Random;
use crate::support::gradient::{Case, case, check, int, ints, node};

/// One op of a random graph; the numbers choose its inputs and its form.
#[derive(Clone, Debug)]
enum Step {
    Unary(&'static str, usize),
    Binary(&'static str, usize, usize),
    Conv {
        from: usize,
        kernel: i64,
        stride: i64,
        group: bool,
    },
    Pool {
        from: usize,
        stride: i64,
    },
    Normalise {
        from: usize,
        over_channels: bool,
    },
    /// Squeeze and excitation: the tensor times a gate of its means.
    Gate(usize),
    Attend(usize),
    Concat(usize, usize),
    /// The rows from the second on, turned upside down, or every other channel.
    Slice {
        from: usize,
        axis: i64,
    },
    Resize(usize),
    Fold(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = 0usize..16;
    let smooth = prop_oneof![
        Just("Tanh"),
        Just("Sigmoid"),
        Just("Softplus"),
        Just("Softsign"),
        Just("Erf"),
        Just("Mish"),
        Just("Neg"),
        Just("Softmax"),
        Just("LogSoftmax"),
        Just("Sin"),
        Just("Identity"),
    ];
    let pair = prop_oneof![Just("Add"), Just("Mul"), Just("Sub"), Just("Mean"), Just("Sum")];
    let step = prop_oneof![
        3 => (smooth, any.clone()).prop_map(|(op, from)| Step::Unary(op, from)),
        3 => (pair, any.clone(), any.clone()).prop_map(|(op, a, b)| Step::Binary(op, a, b)),
        3 => (any.clone(), 1i64..4, 1i64..3, proptest::bool::ANY)
            .prop_map(|(from, kernel, stride, group)| Step::Conv { from, kernel, stride, group }),
        1 => (any.clone(), 1i64..3).prop_map(|(from, stride)| Step::Pool { from, stride }),
        1 => (any.clone(), proptest::bool::ANY).prop_map(|(from, over_channels)| Step::Normalise { from, over_channels }),
        1 => any.clone().prop_map(Step::Gate),
        1 => any.clone().prop_map(Step::Attend),
        1 => (any.clone(), any.clone()).prop_map(|(a, b)| Step::Concat(a, b)),
        1 => (any.clone(), 1i64..4).prop_map(|(from, axis)| Step::Slice { from, axis }),
        1 => any.clone().prop_map(Step::Resize),
        1 => any.prop_map(Step::Fold),
    ];
    prop::collection::vec(step, 2..9)
}

/// A graph of random steps from `x` `[2,4,6,6]` to `y`, the sum of the means of all that was made.
struct Builder {
    case: Case,
    /// Tensors so far, with their shapes.
    made: Vec<(String, [i64; 4])>,
}

impl Builder {
    fn emit(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = format!("t{}", self.case.nodes.len());
        let mut node = Node::new(op, output.clone(), inputs, &[&output]);
        node.attribute = attributes;
        self.case.nodes.push(node);
        output
    }

    fn weights(&mut self, dims: &[i64]) -> String {
        let name = format!("w{}", self.case.constants.len());
        let count = dims.iter().product::<i64>() as usize;
        let fan = dims[1..].iter().product::<i64>().max(1) as f32;
        let values: Vec<f32> = Random(count as u64 * 31 + 5).many(count).iter().map(|v| v * 1.5 / fan.sqrt()).collect();
        self.case.constants.push(Tensor::from_f32s(&name, dims, &values));
        name
    }

    fn int64s(&mut self, values: &[i64]) -> String {
        let name = format!("w{}", self.case.constants.len());
        self.case.constants.push(Tensor::from_i64s(&name, &[values.len() as i64], values));
        name
    }

    fn take(&self, from: usize) -> (String, [i64; 4]) {
        self.made[from % self.made.len()].clone()
    }

    fn add(&mut self, step: &Step) {
        let next = match *step {
            Step::Unary(op, from) => {
                let (x, shape) = self.take(from);
                let axis = if op.ends_with("Softmax") { vec![int("axis", from as i64 % 3 + 1)] } else { vec![] };
                (self.emit(op, &[&x], axis), shape)
            }
            Step::Binary(op, a, b) => {
                let ((a, shape), (b, other)) = (self.take(a), self.take(b));
                let b = if shape == other { b } else { self.weights(&[1, shape[1], 1, 1]) };
                (self.emit(op, &[&a, &b], vec![]), shape)
            }
            Step::Conv { from, kernel, stride, group } => {
                let (x, [n, c, h, w]) = self.take(from);
                let groups = if group && c % 2 == 0 { 2 } else { 1 };
                let weights = self.weights(&[4, c / groups, kernel, kernel]);
                let side = |d: i64| (d - 1) / stride + 1;
                let same = Attribute::from_string("auto_pad", "SAME_UPPER");
                let attributes = vec![ints("strides", &[stride, stride]), same, int("group", groups)];
                (self.emit("Conv", &[&x, &weights], attributes), [n, 4, side(h), side(w)])
            }
            Step::Pool { from, stride } => {
                let (x, [n, c, h, w]) = self.take(from);
                let side = |d: i64| (d - 1) / stride + 1;
                let attributes = vec![
                    ints("kernel_shape", &[3, 3]),
                    ints("strides", &[stride, stride]),
                    ints("pads", &[1, 1, 1, 1]),
                    int("count_include_pad", stride % 2),
                ];
                (self.emit("AveragePool", &[&x], attributes), [n, c, side(h), side(w)])
            }
            Step::Normalise { from, over_channels } => {
                let (x, shape) = self.take(from);
                let op = if over_channels { "LayerNormalization" } else { "InstanceNormalization" };
                let dims = if over_channels { &shape[1..] } else { &shape[1..2] };
                let (scale, bias) = (self.weights(dims), self.weights(dims));
                let mut attributes = vec![Attribute::from_float("epsilon", 0.5)];
                attributes.extend(over_channels.then(|| int("axis", 1)));
                (self.emit(op, &[&x, &scale, &bias], attributes), shape)
            }
            Step::Gate(from) => {
                let (x, shape) = self.take(from);
                let axes = self.int64s(&[2, 3]);
                let mean = self.emit("ReduceMean", &[&x, &axes], vec![]);
                let gate = self.emit("Sigmoid", &[&mean], vec![]);
                (self.emit("Mul", &[&x, &gate], vec![]), shape)
            }
            Step::Attend(from) => {
                let (x, [n, c, h, w]) = self.take(from);
                let (flat, whole) = (self.int64s(&[n, c, h * w]), self.int64s(&[n, c, h, w]));
                let values = self.emit("Reshape", &[&x, &flat], vec![]);
                let keys = self.emit("Transpose", &[&values], vec![ints("perm", &[0, 2, 1])]);
                let scores = self.emit("MatMul", &[&keys, &values], vec![]);
                let weights = self.emit("Softmax", &[&scores], vec![]);
                let mixed = self.emit("MatMul", &[&values, &weights], vec![]);
                (self.emit("Reshape", &[&mixed, &whole], vec![]), [n, c, h, w])
            }
            Step::Concat(a, b) => {
                let ((a, [n, c, h, w]), (b, other)) = (self.take(a), self.take(b));
                let fits = [n, h, w] == [other[0], other[2], other[3]];
                let (b, more) = if fits { (b, other[1]) } else { (a.clone(), c) };
                (self.emit("Concat", &[&a, &b], vec![int("axis", 1)]), [n, c + more, h, w])
            }
            Step::Slice { from, axis } => {
                let (x, mut shape) = self.take(from);
                let length = &mut shape[axis as usize];
                let (start, end, step) = if axis == 1 { (0, *length, 2) } else { (-1, 0, -1) };
                *length = if axis == 1 { (*length + 1) / 2 } else { (*length - 1).max(0) };
                if *length == 0 {
                    return;
                }
                let bounds = [start, end, axis, step].map(|v| self.int64s(&[v]));
                let [start, end, axis, step] = bounds;
                (self.emit("Slice", &[&x, &start, &end, &axis, &step], vec![]), shape)
            }
            Step::Resize(from) => {
                let (x, [n, c, h, w]) = self.take(from);
                let sizes = self.int64s(&[n, c, h + 1, w * 2]);
                let mode = vec![Attribute::from_string("mode", "linear")];
                (self.emit("Resize", &[&x, "", "", &sizes], mode), [n, c, h + 1, w * 2])
            }
            Step::Fold(from) => {
                let (x, [n, c, h, w]) = self.take(from);
                let shape = self.int64s(&[n, h, c, w]);
                let folded = self.emit("Reshape", &[&x, &shape], vec![]);
                (self.emit("Transpose", &[&folded], vec![ints("perm", &[0, 2, 1, 3])]), [n, c, h, w])
            }
        };
        self.made.push(next);
    }

    fn build(steps: &[Step]) -> Case {
        let first = case("random", "graph", &[2, 4, 6, 6], node("Identity", &["x"]));
        let mut builder = Self { case: Case { nodes: vec![], ..first }, made: vec![("x".into(), [2, 4, 6, 6])] };
        for step in steps {
            builder.add(step);
        }
        let axes = builder.int64s(&[2, 3]);
        let made = builder.made.clone();
        let means: Vec<String> = made.iter().map(|(t, _)| builder.emit("ReduceMean", &[t, &axes], vec![])).collect();
        let channels = builder.int64s(&[1]);
        let sums: Vec<String> = means.iter().map(|t| builder.emit("ReduceSum", &[t, &channels], vec![])).collect();
        let sums: Vec<&str> = sums.iter().map(String::as_str).collect();
        builder.case.nodes.push(Node::new("Sum", "y", &sums, &["y"]));
        builder.case
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_agree_with_finite_differences(steps in steps()) {
        let result = check(&Builder::build(&steps));
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}
