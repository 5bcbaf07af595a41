//! Writing the backward pass into a model of anything.

use super::affine::make_lengths_free;
use super::lengths::{FreeLength, at, free_lengths};
use crate::error::{Error, Result};
use crate::grad::{Rules, differentiate};
use crate::onnx::proto::{Node, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel, unroll};
use crate::session::probe;

/// Which gradients a model shall give.
#[derive(Clone, Debug, Default)]
pub struct GradientOptions {
    /// The tensors whose gradients are taken. The gradients of several are summed.
    pub of: Vec<String>,
    /// The tensors by which they are taken.
    pub by: Vec<String>,
    /// Lengths of inputs that the model leaves free, to try it with; others are chosen.
    pub shapes: Vec<(String, Vec<usize>)>,
}

/// A model with a backward pass: `seed` (or `OF.seed` for each of several) goes in, and `BY.gradient` comes out.
pub struct GradientModel {
    pub model: OnnxModel,
    /// The inputs that the chain rule starts from, each with the shape of the tensor whose gradient is taken, at the
    /// lengths that were tried.
    pub seeds: Vec<(String, Vec<usize>)>,
    /// The lengths that the original model leaves free, and what became of them.
    pub lengths: Vec<FreeLength>,
}

/// The model at one choice of its free lengths.
pub(super) struct Written {
    pub model: OnnxModel,
    /// The shapes of the seeds.
    pub seeds: Vec<Vec<usize>>,
}

/// Appends the vector-Jacobian product of `of` by each tensor of `by`: ordinary nodes, for any runtime. Free lengths stay
/// free where the backward pass can compute with them.
///
/// # Errors
/// The model has no such tensor, cannot be run at the lengths that were chosen, or has an operator without a rule between
/// the tensors.
pub fn gradient_model(model: &OnnxModel, options: &GradientOptions) -> Result<GradientModel> {
    check_names(model, options)?;
    let mut lengths = free_lengths(model, &options.shapes)?;
    let chosen: Vec<usize> = lengths.iter().map(|length| length.tried).collect();
    let mut written = write(model, options, &lengths, &chosen).map_err(|error| at_guess(error, &lengths))?;
    make_lengths_free(model, options, &mut lengths, &mut written);
    let names = seed_names(options);
    for (name, shape) in names.iter().zip(&written.seeds) {
        let dims: Vec<i64> = shape.iter().map(|&length| length as i64).collect();
        let mut info = ValueInfo::tensor(name, DataType::Float, &dims);
        if lengths.iter().any(|length| length.stays_free) {
            info.free_dims();
        }
        written.model.graph_mut().input.push(info);
    }
    for length in lengths.iter().filter(|length| !length.stays_free) {
        for (input, axis) in &length.places {
            let infos = &mut written.model.graph_mut().input;
            if let Some(info) = infos.iter_mut().find(|info| info.name() == input) {
                info.set_dim(*axis, length.tried);
            }
        }
    }
    Ok(GradientModel { seeds: names.into_iter().zip(written.seeds).collect(), model: written.model, lengths })
}

/// One name for each tensor whose gradient is taken.
fn seed_names(options: &GradientOptions) -> Vec<String> {
    match options.of.as_slice() {
        [_] => vec!["seed".to_owned()],
        several => several.iter().map(|of| format!("{of}.seed")).collect(),
    }
}

fn check_names(model: &OnnxModel, options: &GradientOptions) -> Result<()> {
    if let Some(name) = seed_names(options).iter().find(|name| model.has_tensor(name)) {
        return Err(model.error(format!("it has a tensor '{name}', which is the name of the new input; rename it")));
    }
    if options.of.is_empty() || options.by.is_empty() {
        return Err(model.error(format!("name a tensor to differentiate and one to do it by, of {}", ends(model))));
    }
    let repeated = [&options.of, &options.by].into_iter().find_map(|names| {
        names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)).map(|(_, name)| name)
    });
    if let Some(name) = repeated {
        return Err(model.error(format!("the tensor '{name}' is named twice")));
    }
    let taken = options.by.iter().map(|by| format!("{by}.gradient")).find(|name| model.has_tensor(name));
    if let Some(name) = taken {
        return Err(model.error(format!("it has a tensor '{name}', which is the name of the new output; rename it")));
    }
    let unknown = options.by.iter().chain(&options.of).find(|tensor| !model.has_tensor(tensor));
    if let Some(tensor) = unknown {
        return Err(model.error(format!("it has no tensor '{tensor}'; the inputs and outputs are {}", ends(model))));
    }
    let inputs = || model.graph().true_inputs();
    match options.shapes.iter().find(|(name, _)| inputs().all(|input| input.name() != name)) {
        None => Ok(()),
        Some((name, _)) => {
            Err(model.error(format!("it has no input '{name}'; the inputs and outputs are {}", ends(model))))
        }
    }
}

/// The names of a model's inputs and outputs.
fn ends(model: &OnnxModel) -> String {
    let names = model.graph().input.iter().chain(&model.graph().output).map(ValueInfo::name);
    names.collect::<Vec<_>>().join(", ")
}

/// An error at lengths that were chosen says so.
fn at_guess(mut error: Error, lengths: &[FreeLength]) -> Error {
    let chosen: Vec<String> = lengths.iter().filter(|length| length.chosen).map(ToString::to_string).collect();
    if let Error::Model { problem, .. } | Error::Runtime { problem, .. } = &mut error
        && !chosen.is_empty()
    {
        *problem = format!("{problem} (tried with {}; --shape says other lengths)", chosen.join(", "));
    }
    error
}

/// An error at an operator without a rule says why it has none, and what to do.
fn with_remedy(error: Error) -> Error {
    let Error::NoGradientRule { op, node } = error else { return error };
    let problem = match op.as_str() {
        "Loop" | "Scan" => {
            "it runs a graph as often as its inputs say, and has no gradient rule; export the model with the \
                            loop unrolled"
        }
        "If" => {
            "it chooses a graph by the data, and has no gradient rule; export the model with the branch that is taken"
        }
        "LSTM" | "GRU" | "RNN" => {
            "it has no gradient rule in this form (docs/gradients.md lists those that have); export the model with its steps \
             unrolled"
        }
        _ => {
            "it has no gradient rule; leave it out of what lies between the tensors, or write a rule in Rust \
              (examples/own_rule.rs)"
        }
    };
    Error::Rule { op, node, problem: problem.to_owned() }
}

/// The model with its backward pass, at these lengths.
pub(super) fn write(
    model: &OnnxModel,
    options: &GradientOptions,
    lengths: &[FreeLength],
    values: &[usize],
) -> Result<Written> {
    let mut model = model.clone();
    let shapes = at(&model, &options.shapes, lengths, values)?;
    let given: Vec<(&str, Vec<usize>)> = shapes.iter().map(|(name, shape)| (name.as_str(), shape.clone())).collect();
    let mut tensors = probe(&mut model, &given)?;
    if unroll(model.graph_mut(), &tensors) {
        tensors = probe(&mut model, &given)?;
    }
    let mut seeds = Vec::new();
    for of in &options.of {
        let tensor = tensors.get(of).ok_or_else(|| model.error(format!("the tensor '{of}' is not computed")))?;
        seeds.push(tensor.shape.clone());
    }
    let rules = Rules::default();
    for by in &options.by {
        let mut terms = Vec::new();
        for (of, seed) in options.of.iter().zip(seed_names(options)) {
            // The gradient of what does not depend on it is zero.
            if options.of.len() > 1 && !GraphIndex::new(model.graph()).dependents(by).contains(of.as_str()) {
                continue;
            }
            let written = differentiate(&model, &tensors, &rules, of, &seed, by);
            let (patch, gradient) = written.map_err(with_remedy)?;
            patch.apply(&mut model);
            terms.push(gradient);
        }
        let name = format!("{by}.gradient");
        match terms.as_slice() {
            [] => return Err(model.error(format!("none of {} depends on {by}", options.of.join(", ")))),
            [only] => model.rename_tensor(only, &name),
            terms => {
                let terms: Vec<&str> = terms.iter().map(String::as_str).collect();
                model.graph_mut().node.push(Node::new("Sum", name.as_str(), &terms, &[&name]));
            }
        }
        model.add_output(&name);
    }
    Ok(Written { model, seeds })
}
