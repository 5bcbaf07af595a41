//! Recurrent operators as ordinary ones, step by step.
//!
//! `LSTM`, `GRU` and `RNN` (<https://onnx.ai/onnx/operators/onnx__LSTM.html> and its siblings) hide a loop. For sequences of
//! a known length each step is written out, with products, sums and activations that have gradient rules.

use super::proto::{Attribute, Graph, Node, Tensor};
use super::tensor_info::Tensors;

/// The most steps that are written out.
const MOST_STEPS: usize = 1024;

/// Writes out the recurrent nodes of a graph whose form allows it: full sequences, usual activations, no peepholes, and the
/// time as first axis. Returns whether one was written out.
pub fn unroll(graph: &mut Graph, tensors: &Tensors) -> bool {
    let mut nodes = Vec::with_capacity(graph.node.len());
    let mut constants = Vec::new();
    let mut any = false;
    for (index, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        let prefix = format!("whycam.step.{index}");
        match Unrolling::of(&node, tensors, prefix) {
            Some(mut unrolling) => {
                unrolling.write();
                nodes.append(&mut unrolling.nodes);
                constants.append(&mut unrolling.constants);
                any = true;
            }
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
    any
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Lstm,
    /// Whether the reset gate comes after the product with the state.
    Gru {
        reset_after: bool,
    },
    Rnn,
}

/// One node that is written out.
struct Unrolling<'n> {
    node: &'n Node,
    cell: Cell,
    steps: usize,
    hidden: i64,
    /// For each direction, whether it runs backwards.
    directions: Vec<bool>,
    prefix: String,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

/// The state after a step: the output, and of an LSTM its cell.
#[derive(Clone, Default)]
struct State {
    output: Option<String>,
    cell: Option<String>,
}

/// What the steps of one direction share.
struct Weights {
    /// The inputs of all steps times their weights, with the biases that are added to them.
    inputs: String,
    /// Of the state, `[H,G H]`.
    recurrent: String,
    /// The bias of the state's part, `[G H]`, where it is not added to the inputs.
    bias: Option<String>,
}

impl<'n> Unrolling<'n> {
    fn of(node: &'n Node, tensors: &Tensors, prefix: String) -> Option<Self> {
        if !node.is_standard() {
            return None;
        }
        let (cell, usual): (Cell, &[&str]) = match node.op() {
            "LSTM" => (Cell::Lstm, &["Sigmoid", "Tanh", "Tanh"]),
            "GRU" => {
                let reset_after = node.int("linear_before_reset").unwrap_or(0) != 0;
                (Cell::Gru { reset_after }, &["Sigmoid", "Tanh"])
            }
            "RNN" => (Cell::Rnn, &["Tanh"]),
            _ => return None,
        };
        let directions = match node.string("direction").unwrap_or("forward") {
            "forward" => vec![false],
            "reverse" => vec![true],
            _ => vec![false, true],
        };
        let activations = node.attribute("activations").map(|attribute| attribute.strings.clone()).unwrap_or_default();
        let named = activations.iter().zip(usual.iter().cycle());
        let usual = activations.is_empty() || named.into_iter().all(|(name, usual)| name == usual.as_bytes());
        let given = |input: usize| node.input.get(input).is_some_and(|name| !name.is_empty());
        let (lengths, peepholes) = (given(4), cell == Cell::Lstm && given(7));
        let other = node.int("layout").unwrap_or(0) != 0
            || node.int("input_forget").unwrap_or(0) != 0
            || node.attribute("clip").is_some();
        let steps = *tensors.get(node.input.first()?)?.shape.first()?;
        let hidden = *tensors.get(node.input.get(2)?)?.shape.get(2)? as i64;
        let written = usual && !lengths && !peepholes && !other && (1..=MOST_STEPS).contains(&steps);
        let (nodes, constants) = (Vec::new(), Vec::new());
        written.then_some(Self { node, cell, steps, hidden, directions, prefix, nodes, constants })
    }

    fn write(&mut self) {
        let (mut all, mut last) = (Vec::new(), Vec::new());
        for direction in 0..self.directions.len() {
            let weights = self.weights(direction);
            let mut state = State { output: self.initial(5, direction), cell: self.initial(6, direction) };
            let mut outputs = Vec::with_capacity(self.steps);
            for turn in 0..self.steps {
                let step = if self.directions[direction] { self.steps - 1 - turn } else { turn };
                state = self.step(&weights, step, &state);
                outputs.push(self.unsqueezed(state.output.as_deref().unwrap_or_default(), 0));
            }
            if self.directions[direction] {
                outputs.reverse();
            }
            let sequence = self.joined(&outputs, 0);
            all.push(self.unsqueezed(&sequence, 1));
            last.push([state.output, state.cell].map(|tensor| tensor.map(|tensor| self.unsqueezed(&tensor, 0))));
        }
        let whole = self.joined(&all, 1);
        let outputs: Vec<String> = last.iter().filter_map(|[output, _]| output.clone()).collect();
        let cells: Vec<String> = last.iter().filter_map(|[_, cell]| cell.clone()).collect();
        let results =
            [Some(whole), Some(self.joined(&outputs, 0)), (!cells.is_empty()).then(|| self.joined(&cells, 0))];
        for (name, result) in self.node.output.clone().into_iter().zip(results) {
            if let Some(result) = result.filter(|_| !name.is_empty()) {
                self.nodes.push(Node::new("Identity", name.as_str(), &[&result], &[&name]));
            }
        }
    }

    /// The weights of one direction.
    fn weights(&mut self, direction: usize) -> Weights {
        let [weights, recurrent] = [1, 2].map(|input| {
            let one = self.of_direction(input, direction);
            self.add("Transpose", &[&one], vec![Attribute::from_ints("perm", &[1, 0])])
        });
        let mut inputs = self.add("MatMul", &[&self.node.input[0], &weights], vec![]);
        let mut bias = None;
        if self.node.input.get(3).is_some_and(|name| !name.is_empty()) {
            let both = self.of_direction(3, direction);
            let gates = self.gates() * self.hidden;
            let [of_input, of_state] = [0, 1].map(|part| self.slice(&both, part * gates, (part + 1) * gates, 0));
            inputs = self.add("Add", &[&inputs, &of_input], vec![]);
            if matches!(self.cell, Cell::Gru { .. }) {
                bias = Some(of_state);
            } else {
                inputs = self.add("Add", &[&inputs, &of_state], vec![]);
            }
        }
        Weights { inputs, recurrent, bias }
    }

    fn gates(&self) -> i64 {
        match self.cell {
            Cell::Lstm => 4,
            Cell::Gru { .. } => 3,
            Cell::Rnn => 1,
        }
    }

    /// A step: the state after it, from the state before.
    fn step(&mut self, weights: &Weights, step: usize, before: &State) -> State {
        let index = self.integers(&[], &[step as i64]);
        let input = self.add("Gather", &[&weights.inputs, &index], vec![Attribute::from_int("axis", 0)]);
        match self.cell {
            Cell::Lstm => self.lstm(weights, input, before),
            Cell::Gru { reset_after } => self.gru(weights, &input, before, reset_after),
            Cell::Rnn => {
                let sum = self.with_state(weights, input, before);
                State { output: Some(self.add("Tanh", &[&sum], vec![])), cell: None }
            }
        }
    }

    /// The input's part of all gates plus the state's.
    fn with_state(&mut self, weights: &Weights, input: String, before: &State) -> String {
        let Some(output) = &before.output else { return input };
        let product = self.add("MatMul", &[output, &weights.recurrent], vec![]);
        self.add("Add", &[&input, &product], vec![])
    }

    fn lstm(&mut self, weights: &Weights, input: String, before: &State) -> State {
        let sum = self.with_state(weights, input, before);
        let [input, output, forget] = [0, 1, 2].map(|gate| {
            let gate = self.gate(&sum, gate);
            self.add("Sigmoid", &[&gate], vec![])
        });
        let candidate = self.gate(&sum, 3);
        let candidate = self.add("Tanh", &[&candidate], vec![]);
        let mut cell = self.add("Mul", &[&input, &candidate], vec![]);
        if let Some(before) = &before.cell {
            let kept = self.add("Mul", &[&forget, before], vec![]);
            cell = self.add("Add", &[&kept, &cell], vec![]);
        }
        let shown = self.add("Tanh", &[&cell], vec![]);
        State { output: Some(self.add("Mul", &[&output, &shown], vec![])), cell: Some(cell) }
    }

    fn gru(&mut self, weights: &Weights, input: &str, before: &State, reset_after: bool) -> State {
        let [update, reset] = [0, 1].map(|gate| {
            let of_input = self.gate(input, gate);
            let of_state = self.of_state(weights, before.output.as_deref(), gate);
            let sum = self.sum(of_input, of_state);
            self.add("Sigmoid", &[&sum], vec![])
        });
        let of_state = if reset_after {
            let of_state = self.of_state(weights, before.output.as_deref(), 2);
            of_state.map(|of_state| self.add("Mul", &[&reset, &of_state], vec![]))
        } else {
            let kept = before.output.as_deref().map(|output| self.add("Mul", &[&reset, output], vec![]));
            self.of_state(weights, kept.as_deref(), 2)
        };
        let of_input = self.gate(input, 2);
        let candidate = self.sum(of_input, of_state);
        let candidate = self.add("Tanh", &[&candidate], vec![]);
        // (1 - z) h' + z h = h' + z (h - h')
        let change = match &before.output {
            Some(output) => self.add("Sub", &[output, &candidate], vec![]),
            None => self.add("Neg", &[&candidate], vec![]),
        };
        let change = self.add("Mul", &[&update, &change], vec![]);
        State { output: Some(self.add("Add", &[&candidate, &change], vec![])), cell: None }
    }

    /// What a state adds to a gate: its product with the gate's weights, and the bias. `None` for a state of zeros without a
    /// bias.
    fn of_state(&mut self, weights: &Weights, state: Option<&str>, gate: i64) -> Option<String> {
        let (from, to) = (gate * self.hidden, (gate + 1) * self.hidden);
        let product = state.map(|state| {
            let part = self.slice(&weights.recurrent, from, to, 1);
            self.add("MatMul", &[state, &part], vec![])
        });
        let bias = weights.bias.as_ref().map(|bias| self.slice(bias, from, to, 0));
        match (product, bias) {
            (Some(product), bias) => Some(self.sum(product, bias)),
            (None, bias) => bias,
        }
    }

    fn sum(&mut self, term: String, other: Option<String>) -> String {
        match other {
            Some(other) => self.add("Add", &[&term, &other], vec![]),
            None => term,
        }
    }

    /// One gate of `[N,G H]`.
    fn gate(&mut self, gates: &str, gate: i64) -> String {
        if self.gates() == 1 {
            return gates.to_owned();
        }
        self.slice(gates, gate * self.hidden, (gate + 1) * self.hidden, 1)
    }

    /// The part of an input that belongs to a direction, without that axis; `None` where the input is left out.
    fn initial(&mut self, input: usize, direction: usize) -> Option<String> {
        let of_lstm = input == 6 && self.cell != Cell::Lstm;
        let given = self.node.input.get(input).is_some_and(|name| !name.is_empty());
        (given && !of_lstm).then(|| self.of_direction(input, direction))
    }

    fn of_direction(&mut self, input: usize, direction: usize) -> String {
        let index = self.integers(&[], &[direction as i64]);
        let name = self.node.input[input].clone();
        self.add("Gather", &[&name, &index], vec![Attribute::from_int("axis", 0)])
    }

    fn slice(&mut self, tensor: &str, from: i64, to: i64, axis: i64) -> String {
        let [from, to, axis] = [from, to, axis].map(|value| self.integers(&[1], &[value]));
        self.add("Slice", &[tensor, &from, &to, &axis], vec![])
    }

    fn unsqueezed(&mut self, tensor: &str, axis: i64) -> String {
        let axis = self.integers(&[1], &[axis]);
        self.add("Unsqueeze", &[tensor, &axis], vec![])
    }

    fn joined(&mut self, parts: &[String], axis: i64) -> String {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.add("Concat", &parts, vec![Attribute::from_int("axis", axis)])
    }

    fn integers(&mut self, dims: &[i64], values: &[i64]) -> String {
        let name = format!("{}.constant.{}", self.prefix, self.constants.len());
        self.constants.push(Tensor::from_i64s(&name, dims, values));
        name
    }

    fn add(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let name = format!("{}.{}.{op}", self.prefix, self.nodes.len());
        let node = Node::new(op, name.as_str(), inputs, &[&name]);
        self.nodes.push(attributes.into_iter().fold(node, Node::with));
        name
    }
}
