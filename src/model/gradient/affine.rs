//! Backward passes that compute with free lengths.
//!
//! A rule knows shapes as numbers. What it writes at several lengths differs only in constants, and those are almost always
//! whole multiples of products of the lengths, or one divided by a sum of them. They are found from the corners of a small
//! cube of lengths, checked at other points, and replaced by nodes that compute them from the shapes of the inputs.

use super::lengths::FreeLength;
use super::written::{GradientOptions, Written, write};
use crate::onnx::proto::{Attribute, Node, Tensor};
use crate::onnx::{DataType, OnnxModel};

/// The most lengths that stay free: the model is written twice as often for each.
const MOST: usize = 3;

/// A sum of products of lengths: the coefficient of each subset, by the bits of its index.
type Polynomial = Vec<f64>;

/// A constant that depends on the lengths.
struct Dependent {
    /// Its index among the initializers.
    index: usize,
    /// One for each element.
    elements: Vec<Polynomial>,
    /// Whether the elements are one divided by the polynomials.
    reciprocal: bool,
}

/// Makes the constants of a backward pass depend on the lengths of the inputs, as far as they can, and says in `lengths` which
/// ones stay free.
pub fn make_lengths_free(
    model: &OnnxModel,
    options: &GradientOptions,
    lengths: &mut [FreeLength],
    written: &mut Written,
) {
    let tried: Vec<usize> = lengths.iter().map(|length| length.tried).collect();
    let (mut free, mut found) = (Vec::new(), Vec::new());
    // One length after the other: if one has to stay fixed, the others can still be free.
    for index in 0..lengths.len() {
        let with = [free.as_slice(), &[index]].concat();
        if with.len() <= MOST
            && let Some(dependents) = dependents(model, options, lengths, &tried, &with, written)
        {
            (free, found) = (with, dependents);
        }
    }
    let sources: Vec<&(String, usize)> = free.iter().map(|&index| &lengths[index].places[0]).collect();
    replace(&mut written.model, &found, &sources);
    for index in free {
        lengths[index].stays_free = true;
    }
}

/// The constants that depend on the lengths `free`; `None` where the model cannot be written for other lengths, or not with
/// the same nodes, or a constant depends on them in another way.
fn dependents(
    model: &OnnxModel,
    options: &GradientOptions,
    lengths: &[FreeLength],
    tried: &[usize],
    free: &[usize],
    written: &Written,
) -> Option<Vec<Dependent>> {
    let base: Vec<usize> = free.iter().map(|&index| tried[index]).collect();
    let at = |values: Vec<usize>| {
        let mut all = tried.to_vec();
        free.iter().zip(&values).for_each(|(&index, &value)| all[index] = value);
        let other = write(model, options, lengths, &all).ok()?;
        same_nodes(&other.model, &written.model).then_some((values, other.model))
    };
    let corner = |corner: usize| base.iter().enumerate().map(|(bit, base)| base + (corner >> bit & 1)).collect();
    let corners: Vec<_> = (1..1 << free.len()).map(|index| at(corner(index))).collect::<Option<_>>()?;
    // Near and far: what a stride rounds off shows only from some lengths on.
    let check = |(times, more): (usize, usize)| {
        base.iter().enumerate().map(|(bit, base)| times * base + more + (more / 2) * bit).collect()
    };
    let checks: Vec<_> = [(1, 2), (1, 7), (2, 7)].into_iter().map(|far| at(check(far))).collect::<Option<_>>()?;
    let mut found = Vec::new();
    for (index, constant) in written.model.graph().initializer.iter().enumerate() {
        let of_index = |(values, model): &(Vec<usize>, OnnxModel)| {
            (values.iter().map(|&value| value as f64).collect(), model.graph().initializer[index].clone())
        };
        let others: Vec<(Vec<f64>, Tensor)> = corners.iter().chain(&checks).map(of_index).collect();
        if others.iter().all(|(_, tensor)| tensor == constant) {
            continue;
        }
        let first = (base.iter().map(|&value| value as f64).collect(), constant.clone());
        found.push(fit_tensor(index, &[vec![first], others].concat())?);
    }
    Some(found)
}

/// A constant as polynomials of the lengths; `None` if it is none. The first samples are those of the corners.
fn fit_tensor(index: usize, samples: &[(Vec<f64>, Tensor)]) -> Option<Dependent> {
    let constant = &samples[0].1;
    let kind =
        DataType::from_number(constant.data_type()).filter(|k| [DataType::Int64, DataType::Float].contains(k))?;
    if samples.iter().any(|(_, tensor)| tensor.dims != constant.dims) {
        return None;
    }
    let values: Vec<(&[f64], Vec<f64>)> =
        samples.iter().map(|(at, tensor)| Some((at.as_slice(), numbers(tensor)?))).collect::<Option<_>>()?;
    let fit = |reciprocal: bool| -> Option<Vec<Polynomial>> {
        let of_element = |element: usize| {
            let samples: Vec<(&[f64], f64)> = values.iter().map(|(at, values)| (*at, values[element])).collect();
            fit(&samples, reciprocal)
        };
        (0..values[0].1.len()).map(of_element).collect()
    };
    if let Some(elements) = fit(false) {
        return Some(Dependent { index, elements, reciprocal: false });
    }
    let elements = fit(true).filter(|_| kind == DataType::Float)?;
    Some(Dependent { index, elements, reciprocal: true })
}

/// Whether two models have the same nodes, and constants of the same names.
fn same_nodes(a: &OnnxModel, b: &OnnxModel) -> bool {
    let names = |model: &OnnxModel| model.graph().initializer.iter().map(|t| t.name().to_owned()).collect::<Vec<_>>();
    a.graph().node == b.graph().node && names(a) == names(b)
}

fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let integers = tensor.to_i64s().map(|values| values.into_iter().map(|v| v as f64).collect());
    integers.or_else(|| Some(tensor.to_f32s()?.into_iter().map(f64::from).collect()))
}

/// The polynomial with whole coefficients whose values, or their reciprocals, are these samples, exactly but for the rounding
/// of float32.
fn fit(samples: &[(&[f64], f64)], reciprocal: bool) -> Option<Polynomial> {
    const ROUNDING: f64 = 5e-7;
    let base = samples[0].0;
    let turned = |value: f64| if reciprocal { 1.0 / value } else { value };
    let corners: Vec<f64> = samples[..1 << base.len()].iter().map(|(_, value)| turned(*value)).collect();
    let polynomial = interpolate(&corners, base);
    let is_exact = |(at, expected): &(&[f64], f64)| {
        let apart = (turned(value(&polynomial, at)) - expected).abs();
        expected.is_finite() && apart <= ROUNDING * expected.abs()
    };
    samples.iter().all(is_exact).then_some(polynomial)
}

/// The polynomial with whole coefficients nearest to the one through the corners of a cube of side 1 over `base`.
fn interpolate(corners: &[f64], base: &[f64]) -> Polynomial {
    let mut coefficients = corners.to_vec();
    for bit in 0..base.len() {
        for index in (0..coefficients.len()).filter(|index| index >> bit & 1 == 1) {
            coefficients[index] -= coefficients[index ^ 1 << bit];
        }
    }
    // The differences are whole, as the coefficients are.
    for difference in &mut coefficients {
        *difference = difference.round();
    }
    for (bit, base) in base.iter().enumerate() {
        for index in (0..coefficients.len()).filter(|index| index >> bit & 1 == 1) {
            coefficients[index ^ 1 << bit] -= coefficients[index] * base;
        }
    }
    coefficients
}

fn value(polynomial: &[f64], at: &[f64]) -> f64 {
    let product = |subset: usize| {
        at.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1).map(|(_, l)| l).product::<f64>()
    };
    polynomial.iter().enumerate().map(|(subset, coefficient)| coefficient * product(subset)).sum()
}

/// Replaces constants by nodes that compute them from the lengths, which are those of the axes `sources`.
fn replace(model: &mut OnnxModel, found: &[Dependent], sources: &[&(String, usize)]) {
    if found.is_empty() {
        return;
    }
    // A model may have such nodes already, from an earlier gradient.
    let taken = |prefix: &str| model.graph().node.iter().any(|node| node.name().starts_with(prefix));
    let mut number = 1;
    while taken(&format!("whycam.length.{number}.")) {
        number += 1;
    }
    let mut nodes = Nodes { prefix: format!("whycam.length.{number}."), ..Nodes::default() };
    for (bit, (input, axis)) in sources.iter().enumerate() {
        let shape = nodes.add("Shape", &[input], vec![]);
        let axis = nodes.integers(&[*axis as i64]);
        let length = nodes.add("Gather", &[&shape, &axis], vec![]);
        nodes.products.push((1 << bit, length));
    }
    for dependent in found {
        let constant = &model.graph().initializer[dependent.index];
        let name = constant.name().to_owned();
        let dims = constant.dims.clone();
        let integer = constant.to_i64s().is_some();
        let elements: Vec<String> =
            dependent.elements.iter().map(|polynomial| nodes.polynomial(polynomial, integer)).collect();
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        let mut list = nodes.add("Concat", &elements, vec![Attribute::from_int("axis", 0)]);
        if dependent.reciprocal {
            list = nodes.add("Reciprocal", &[&list], vec![]);
        }
        let shape = nodes.integers(&dims);
        nodes.nodes.push(Node::new("Reshape", name.as_str(), &[&list, &shape], &[&name]));
    }
    let graph = model.graph_mut();
    let mut index = 0;
    graph.initializer.retain(|_| {
        index += 1;
        !found.iter().any(|dependent| dependent.index == index - 1)
    });
    graph.initializer.extend(nodes.constants);
    graph.node.splice(0..0, nodes.nodes);
}

/// Nodes that compute with lengths, each a tensor of one element.
#[derive(Default)]
struct Nodes {
    /// What their names begin with.
    prefix: String,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
    /// The products of lengths so far, by their subset.
    products: Vec<(usize, String)>,
}

impl Nodes {
    fn name(&self) -> String {
        format!("{}{}", self.prefix, self.nodes.len() + self.constants.len())
    }

    fn add(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let name = self.name();
        let node = Node::new(op, name.as_str(), inputs, &[&name]);
        self.nodes.push(attributes.into_iter().fold(node, Node::with));
        name
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let name = self.name();
        self.constants.push(Tensor::from_i64s(&name, &[values.len() as i64], values));
        name
    }

    /// The product of the lengths of a subset that is not empty.
    fn product(&mut self, subset: usize) -> String {
        if let Some((_, name)) = self.products.iter().find(|(known, _)| *known == subset) {
            return name.clone();
        }
        let lowest = subset & subset.wrapping_neg();
        let (one, rest) = (self.product(lowest), self.product(subset ^ lowest));
        let product = self.add("Mul", &[&one, &rest], vec![]);
        self.products.push((subset, product.clone()));
        product
    }

    /// The value of a polynomial, as int64 or float32.
    fn polynomial(&mut self, polynomial: &[f64], integer: bool) -> String {
        let mut sum = self.number(polynomial[0], integer);
        for (subset, coefficient) in polynomial.iter().enumerate().skip(1).filter(|(_, c)| **c != 0.0) {
            let mut product = self.product(subset);
            if !integer {
                let kind = Attribute::from_int("to", DataType::Float as i64);
                product = self.add("Cast", &[&product], vec![kind]);
            }
            let factor = self.number(*coefficient, integer);
            let term = self.add("Mul", &[&product, &factor], vec![]);
            sum = self.add("Add", &[&sum, &term], vec![]);
        }
        sum
    }

    fn number(&mut self, value: f64, integer: bool) -> String {
        if integer {
            return self.integers(&[value.round() as i64]);
        }
        let name = self.name();
        self.constants.push(Tensor::from_f32s(&name, &[1], &[value as f32]));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_goes_through_the_corners() {
        // 4 + 2 a - 3 b + 5 a b over the cube at (2, 3).
        let of = |a: f64, b: f64| 4.0 + 2.0 * a - 3.0 * b + 5.0 * a * b;
        let corners = [of(2.0, 3.0), of(3.0, 3.0), of(2.0, 4.0), of(3.0, 4.0)];
        let polynomial = interpolate(&corners, &[2.0, 3.0]);
        assert_eq!(polynomial, [4.0, 2.0, -3.0, 5.0]);
        assert!((value(&polynomial, &[7.0, 11.0]) - of(7.0, 11.0)).abs() < 1e-9);
    }

    #[test]
    fn a_share_is_not_taken_for_a_line() {
        let of = |t: f64| f64::from(1.0 / t as f32);
        let points: Vec<[f64; 1]> = [800.0, 801.0, 802.0, 807.0, 1611.0].map(|t| [t]).to_vec();
        let samples: Vec<(&[f64], f64)> = points.iter().map(|at| (at.as_slice(), of(at[0]))).collect();
        assert_eq!(fit(&samples, false), None);
        assert_eq!(fit(&samples, true), Some(vec![0.0, 1.0]));
    }
}
