//! Backward passes that compute with free lengths.
//!
//! A rule knows shapes as numbers. What it writes at several lengths differs only in constants, and those are almost always
//! sums of products of the lengths, or one divided by such a sum. They are found from the corners of a small cube of
//! lengths, checked at another point, and replaced by nodes that compute them from the shapes of the inputs.

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
    let mut free: Vec<usize> = Vec::new();
    // A length that cannot be free does not stand in the way of the others.
    for index in 0..lengths.len() {
        if free.len() < MOST && dependents(model, options, lengths, &tried, &[index], written).is_some() {
            free.push(index);
        }
    }
    while let Some(&last) = free.last() {
        if let Some(found) = dependents(model, options, lengths, &tried, &free, written) {
            let sources: Vec<&(String, usize)> = free.iter().map(|&index| &lengths[index].places[0]).collect();
            replace(&mut written.model, &found, &sources);
            for index in free {
                lengths[index].stays_free = true;
            }
            return;
        }
        free.retain(|&index| index != last);
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
    let moved = |steps: &dyn Fn(usize) -> usize| {
        let mut values = tried.to_vec();
        free.iter().enumerate().for_each(|(bit, &index)| values[index] += steps(bit));
        let other = write(model, options, lengths, &values).ok()?;
        same_nodes(&other.model, &written.model).then_some((values, other.model))
    };
    let corners: Vec<_> = (1..1 << free.len()).map(|corner| moved(&|bit| corner >> bit & 1)).collect::<Option<_>>()?;
    let (check_values, check) = moved(&|bit| 2 + bit)?;
    let check_values: Vec<f64> = free.iter().map(|&index| check_values[index] as f64).collect();
    let base: Vec<f64> = free.iter().map(|&index| tried[index] as f64).collect();
    let mut found = Vec::new();
    for (index, constant) in written.model.graph().initializer.iter().enumerate() {
        let others = corners.iter().map(|(_, corner)| &corner.graph().initializer[index]);
        let all: Vec<&Tensor> = std::iter::once(constant).chain(others).collect();
        let checked = &check.graph().initializer[index];
        if all.iter().chain([&checked]).all(|tensor| *tensor == constant) {
            continue;
        }
        let samples: Vec<Vec<f64>> = all.iter().map(|tensor| numbers(tensor)).collect::<Option<_>>()?;
        let expected = numbers(checked)?;
        if samples.iter().any(|sample| sample.len() != expected.len()) {
            return None;
        }
        let integer = constant.to_i64s().is_some();
        let fit = |reciprocal: bool| fit(&samples, &expected, &base, &check_values, reciprocal);
        let (elements, reciprocal) = match fit(false) {
            Some(elements) => (elements, false),
            None if integer => return None,
            None => (fit(true)?, true),
        };
        found.push(Dependent { index, elements, reciprocal });
    }
    Some(found)
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

/// The polynomials through the elements of a constant at the corners of the cube over `base`, where they also give what is
/// expected at another point.
fn fit(samples: &[Vec<f64>], expected: &[f64], base: &[f64], at: &[f64], reciprocal: bool) -> Option<Vec<Polynomial>> {
    /// What float32 leaves of a number and of its sums.
    const EXACT: f64 = 1e-5;
    let turned = |value: f64| if reciprocal { 1.0 / value } else { value };
    let mut elements = Vec::new();
    for (element, expected) in expected.iter().enumerate() {
        let corners: Vec<f64> = samples.iter().map(|sample| turned(sample[element])).collect();
        let polynomial = through(&corners, base);
        let expected = turned(*expected);
        let apart = (value(&polynomial, at) - expected).abs();
        // Numbers of an axis are small enough to be exact, and far enough apart.
        if !expected.is_finite() || apart > (EXACT * expected.abs()).min(0.1) {
            return None;
        }
        elements.push(polynomial);
    }
    Some(elements)
}

/// The polynomial through the corners of a cube of side 1 over `base`.
fn through(corners: &[f64], base: &[f64]) -> Polynomial {
    // Differences along each axis in turn, then from the corner of the cube to the origin.
    let mut coefficients = corners.to_vec();
    for (bit, base) in base.iter().enumerate() {
        for index in (0..coefficients.len()).filter(|index| index >> bit & 1 == 1) {
            let slope = coefficients[index] - coefficients[index ^ 1 << bit];
            coefficients[index] = slope;
            coefficients[index ^ 1 << bit] -= slope * base;
        }
    }
    let largest = corners.iter().fold(0.0_f64, |most, corner| most.max(corner.abs()));
    coefficients.iter().map(|c| if c.abs() < 1e-6 * largest { 0.0 } else { *c }).collect()
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
    let mut nodes = Nodes::default();
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
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
    /// The products of lengths so far, by their subset.
    products: Vec<(usize, String)>,
}

impl Nodes {
    fn name(&self) -> String {
        format!("whycam.length.{}", self.nodes.len() + self.constants.len())
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
        let polynomial = through(&corners, &[2.0, 3.0]);
        assert_eq!(polynomial, [4.0, 2.0, -3.0, 5.0]);
        assert!((value(&polynomial, &[7.0, 11.0]) - of(7.0, 11.0)).abs() < 1e-9);
    }
}
