//! Gradients against central finite differences, by random projection: for a random cotangent r and
//! direction v, r·(f(x+εv) - f(x-εv)) / 2ε must be v·vjp(r).

use ndarray::{Array1, ArrayD, IxDyn};
use whycam::grad::{Rules, differentiate};
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};
use whycam::session::{Input, Session, probe};

use super::Random;

/// One node (or a few) from `x` to `y`.
pub struct Case {
    pub op: &'static str,
    pub name: &'static str,
    pub x: &'static [usize],
    pub values: Values,
    pub opset: i64,
    /// The step of the finite difference.
    pub step: f32,
    pub constants: Vec<Tensor>,
    pub nodes: Vec<Node>,
}

/// What `x` is filled with.
#[derive(Clone, Copy, PartialEq)]
pub enum Values {
    Any,
    /// Clear of each other and of zero, for ops with kinks.
    Apart,
    Positive,
    Given(&'static [f32]),
}

pub fn case(op: &'static str, name: &'static str, x: &'static [usize], node: Node) -> Case {
    Case { op, name, x, values: Values::Any, opset: WORKING_OPSET, step: 1e-2, constants: vec![], nodes: vec![node] }
}

impl Case {
    pub fn with_kinks(mut self) -> Self {
        self.values = Values::Apart;
        self
    }

    pub fn with_positive_x(mut self) -> Self {
        self.values = Values::Positive;
        self
    }

    pub fn at(mut self, x: &'static [f32]) -> Self {
        self.values = Values::Given(x);
        self
    }

    pub fn in_opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    pub fn with_step(mut self, step: f32) -> Self {
        self.step = step;
        self
    }

    fn label(&self, problem: &dyn std::fmt::Display) -> String {
        format!("{} ({}): {problem}", self.op, self.name)
    }

    /// One more node. The tensor between the two is `t`.
    pub fn and(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    pub fn int16(mut self, name: &str, value: i16) -> Self {
        self.constants.push(Tensor {
            name: Some(name.into()),
            data_type: Some(DataType::Int16 as i32),
            int32_data: vec![value.into()],
            ..Tensor::default()
        });
        self
    }

    pub fn int16s(mut self, name: &str, count: usize) -> Self {
        self.constants.push(Tensor {
            name: Some(name.into()),
            dims: vec![count as i64],
            data_type: Some(DataType::Int16 as i32),
            int32_data: vec![3; count],
            ..Tensor::default()
        });
        self
    }

    pub fn floats(mut self, name: &str, values: &[f32]) -> Self {
        self.constants.push(Tensor::from_f32s(name, &[values.len() as i64], values));
        self
    }

    pub fn floats_of(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.constants.push(Tensor::from_f32s(name, dims, values));
        self
    }

    pub fn int64s_of(mut self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        self.constants.push(Tensor::from_i64s(name, dims, values));
        self
    }

    pub fn scalar(mut self, name: &str, value: f32) -> Self {
        self.constants.push(Tensor::from_f32s(name, &[], &[value]));
        self
    }

    pub fn bools(mut self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>();
        let values = (0..count).map(|i| i32::from(i % 3 != 1)).collect();
        let tensor = Tensor {
            name: Some(name.into()),
            dims: dims.to_vec(),
            data_type: Some(DataType::Bool as i32),
            int32_data: values,
            ..Tensor::default()
        };
        self.constants.push(tensor);
        self
    }

    pub fn constant(mut self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        let values = Random(count as u64 + 77).many(count);
        self.constants.push(Tensor::from_f32s(name, dims, &values));
        self
    }

    pub fn positive(mut self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        let values: Vec<f32> = Random(5).many(count).iter().map(|v| v.abs() + 0.5).collect();
        self.constants.push(Tensor::from_f32s(name, dims, &values));
        self
    }

    pub fn int64s(mut self, name: &str, values: &[i64]) -> Self {
        self.constants.push(Tensor::from_i64s(name, &[values.len() as i64], values));
        self
    }
}

pub fn node(op: &str, inputs: &[&str]) -> Node {
    Node::new(op, "tested", inputs, &["y"])
}

pub fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute::from_ints(name, values)
}

pub fn int(name: &str, value: i64) -> Attribute {
    Attribute::from_int(name, value)
}

pub fn graph_of(case: &Case) -> Graph {
    let dims: Vec<i64> = case.x.iter().map(|&d| d as i64).collect();
    Graph {
        name: Some("case".into()),
        node: case.nodes.clone(),
        initializer: case.constants.clone(),
        input: vec![ValueInfo::tensor("x", DataType::Float, &dims)],
        output: vec![ValueInfo::untyped("y")],
        ..Graph::default()
    }
}

/// A case with a gradient, and random numbers to run it on.
struct Run<'c> {
    case: &'c Case,
    session: Session,
    /// The tensor of the gradient.
    gradient: String,
    x: Vec<f32>,
    /// The gradient by `y`.
    seed: ArrayD<f32>,
    random: Random,
}

impl<'c> Run<'c> {
    fn new(case: &'c Case, rules: &Rules) -> Result<Self, String> {
        let label = |e: &dyn std::fmt::Display| case.label(e);
        let mut model = OnnxModel::from_graph("case", case.opset, graph_of(case));
        let tensors = probe(&mut model, &[("x", case.x.to_vec())]).map_err(|e| label(&e))?;
        let y_shape = tensors["y"].shape.clone();
        let (patch, gradient) = differentiate(&model, &tensors, rules, "y", "seed", "x").map_err(|e| label(&e))?;
        patch.apply(&mut model);
        let y_dims: Vec<i64> = y_shape.iter().map(|&d| d as i64).collect();
        model.add_input("seed", DataType::Float, &y_dims);
        model.add_output(&gradient);
        let session = Session::new(&model, whycam::Compute::on_threads(1)).map_err(|e| label(&e))?;
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let count: usize = case.x.iter().product();
        let x = match case.values {
            Values::Any => random.many(count),
            Values::Apart => random.apart(count),
            Values::Positive => random.many(count).iter().map(|v| v.abs() + 0.5).collect(),
            Values::Given(values) => values.to_vec(),
        };
        let seed = random.many(y_shape.iter().product());
        let seed = ArrayD::from_shape_vec(IxDyn(&y_shape), seed).map_err(|e| label(&e))?;
        Ok(Self { case, session, gradient, x, seed, random })
    }

    /// `y` and the gradient at `x`.
    fn at(&mut self, x: &[f32]) -> Result<(ArrayD<f32>, ArrayD<f32>), String> {
        let label = |e: &dyn std::fmt::Display| self.case.label(e);
        let x = ArrayD::from_shape_vec(IxDyn(self.case.x), x.to_vec()).map_err(|e| label(&e))?;
        let inputs = vec![("x", Input::Float(x.view())), ("seed", Input::Float(self.seed.view()))];
        let outputs = self.session.run(inputs).map_err(|e| label(&e))?;
        let owned = |name: &str| outputs.floats(name).map(|a| a.to_owned()).map_err(|e| label(&e));
        let (y, gradient) = (owned("y")?, owned(&self.gradient)?);
        if gradient.shape() != self.case.x {
            return Err(label(&format!("the gradient has the shape {:?}", gradient.shape())));
        }
        Ok((y, gradient))
    }

    /// The central difference along `v`.
    fn difference(&mut self, x: &[f32], v: &[f32], step: f32) -> Result<f64, String> {
        let moved = |sign: f32| -> Vec<f32> { x.iter().zip(v).map(|(x, v)| x + sign * step * v).collect() };
        let (above, below) = (self.at(&moved(1.0))?.0, self.at(&moved(-1.0))?.0);
        let changes = above.iter().zip(&below).zip(&self.seed);
        let difference: f64 = changes.map(|((a, b), r)| f64::from(a - b) * f64::from(*r)).sum();
        Ok(difference / f64::from(2.0 * step))
    }
}

/// Compares the rule of a case with finite differences. The error names the case.
pub fn check(case: &Case) -> Result<(), String> {
    let mut run = Run::new(case, &Rules::default())?;
    let x = run.x.clone();
    let (_, found) = run.at(&x)?;
    let gradient = Array1::from_iter(found.iter().map(|&v| f64::from(v)));
    for _ in 0..3 {
        let v = run.random.many(x.len());
        let exact: f64 = gradient.iter().zip(&v).map(|(g, v)| g * f64::from(*v)).sum();
        let agrees = |numeric: f64| (numeric - exact).abs() <= 2e-3 * (1.0 + exact.abs());
        let numeric = run.difference(&x, &v, case.step)?;
        if agrees(numeric) {
            continue;
        }
        // Where third derivatives are large, Richardson's extrapolation takes their part out.
        let extrapolated = (4.0 * run.difference(&x, &v, case.step / 2.0)? - numeric) / 3.0;
        if !agrees(extrapolated) {
            let found = format!("finite difference {numeric:.5}, extrapolated {extrapolated:.5}, rule {exact:.5}");
            return Err(case.label(&found));
        }
    }
    Ok(())
}

/// The gradient at the numbers of the case.
pub fn gradient_of(case: &Case) -> Result<ArrayD<f32>, String> {
    let mut run = Run::new(case, &Rules::default())?;
    let x = run.x.clone();
    run.at(&x).map(|(_, gradient)| gradient)
}

/// Requires that all relevance of `y` reaches `x`, within a share.
pub fn check_conservation(case: &Case, rules: &Rules, share: f64) -> Result<(), String> {
    let mut run = Run::new(case, rules)?;
    let x = run.x.clone();
    let (y, passed) = run.at(&x)?;
    let product = |a: &mut dyn Iterator<Item = (f32, f32)>| a.map(|(a, b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let given = product(&mut y.iter().copied().zip(run.seed.iter().copied()));
    let found = product(&mut x.iter().copied().zip(passed.iter().copied()));
    if (given - found).abs() > share * given.abs() {
        return Err(case.label(&format!("the relevance is {given:.5}, and {found:.5} reaches x")));
    }
    Ok(())
}
