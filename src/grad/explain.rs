//! Turns a classifier into one that explains itself.

use super::{Backward, Head, Rules, Target, Tensors, View, independent, write_backward};
use crate::error::Result;
use crate::onnx::proto::{Attribute, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// The added input: int64 `[N]`, the class to explain, or -1 for the predicted one.
pub const CLASS_INDEX: &str = "class_index";

/// Names of the outputs that a self-explaining model has beside its own, all float32.
#[derive(Clone, Debug)]
pub struct Explained {
    /// `[N,K]`.
    pub logits: &'static str,
    /// `[N,C,h,w]`.
    pub activations: &'static str,
    /// `[N,C,h,w]`: the chosen class's logit, differentiated by the activations.
    pub gradients: &'static str,
}

impl Explained {
    pub const NAMES: Self = Self { logits: "logits", activations: "activations", gradients: "gradients" };
}

const NAMES: Explained = Explained::NAMES;

/// Whose gradient is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Score {
    /// The logit of the class.
    #[default]
    Class,
    /// That logit less the mean of the three that lie nearest to it.
    AgainstRivals,
    /// That logit less the one of another class.
    Against(usize),
}

/// What [`explain`] is to add.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Without one the gradient is left out.
    pub score: Option<Score>,
    /// Whether `class_index` may hold several classes for one picture, each of which gets a gradient.
    pub several: bool,
}

/// Names of the activations and gradients of a further layer, counted from 1.
pub fn names_of_layer(number: usize) -> [String; 2] {
    [NAMES.activations, NAMES.gradients].map(|name| format!("whycam.{name}.{number}"))
}

/// Appends the backward pass from the chosen class's score to the target layer, and the outputs
/// that the map is made of; those of `further` layers beside, under [`names_of_layer`].
///
/// Returns the gradient's tensor, in the form of the target layer.
///
/// # Errors
/// An op on the way has no gradient rule, or the model has an output of a name that is needed.
pub fn explain(
    model: &mut OnnxModel,
    tensors: &Tensors,
    rules: &Rules,
    head: &Head,
    target: &Target,
    further: &[Target],
    ask: Ask,
) -> Result<Option<String>> {
    let score = ask.score;
    let layer = &target.layer;
    // A model whose logits are an output of that name, in that form, has it already.
    let plain =
        |tensor: &str| tensors.get(tensor).is_some_and(|t| t.shape.len() == 2 && t.kind == Some(DataType::Float));
    let has_logits = plain(NAMES.logits) && is_same(model, NAMES.logits, &head.logits);
    let added = [NAMES.logits, NAMES.activations, NAMES.gradients];
    let added = &added[usize::from(has_logits)..added.len() - usize::from(score.is_none())];
    if let Some(taken) = model.graph().output.iter().find(|o| added.contains(&o.name())) {
        let problem = format!("its output '{}' is not what whycam gives under that name; rename it", taken.name());
        return Err(model.error(problem));
    }
    let mut backward = Backward::new(model, tensors);
    if !has_logits {
        write_logits(&mut backward, head)?;
    }
    let mut gradient = None;
    let mut wanted: Vec<String> = added.iter().map(ToString::to_string).collect();
    if let Some(score) = score {
        backward.several = ask.several;
        let class = write_class(&mut backward, head.classes);
        let mut seed = write_seed(&mut backward, &class, head.classes, score);
        if backward.shape(&head.logits)?.len() != 2 {
            seed = backward.reshape_like(&seed, &head.logits);
        }
        let raw = write_backward(&mut backward, model, rules, &head.logits, &seed, &layer.tensor)?;
        let raw = raw.ok_or_else(|| independent(model, &head.logits, &layer.tensor))?;
        if layer.view.is_plain() {
            backward.rename(&raw, NAMES.gradients);
            gradient = Some(NAMES.gradients.to_owned());
        } else {
            write_view(&mut backward, &layer.view, &raw, NAMES.gradients);
            gradient = Some(raw);
        }
        // What these passes share with the first, a runtime makes once.
        for (number, Target { layer, .. }) in (1..).zip(further) {
            let raw = write_backward(&mut backward, model, rules, &head.logits, &seed, &layer.tensor)?;
            let raw = raw.ok_or_else(|| independent(model, &head.logits, &layer.tensor))?;
            let [activations, gradients] = names_of_layer(number);
            write_view(&mut backward, &layer.view, &raw, &gradients);
            write_view(&mut backward, &layer.view, &layer.tensor, &activations);
            wanted.extend([activations, gradients]);
        }
    }
    // Behind the gradient: ONNX Runtime 1.32 loses a tensor that a Pad in front of a convolution reads where
    // an output stands before other nodes that read it.
    write_view(&mut backward, &layer.view, &layer.tensor, NAMES.activations);
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    backward.into_patch(&wanted).apply(model);
    for name in &wanted[added.len()..] {
        model.add_output(name);
    }

    let View { channels, height, width, .. } = layer.view;
    let grid = [-1, channels as i64, height as i64, width as i64];
    let graph = model.graph_mut();
    if score.is_some() {
        graph.input.push(ValueInfo::tensor(CLASS_INDEX, DataType::Int64, &[-1]));
    }
    graph.output.extend(added.iter().map(|name| {
        let dims = if *name == NAMES.logits { &[-1, head.classes as i64][..] } else { &grid };
        ValueInfo::tensor(name, DataType::Float, dims)
    }));
    Ok(gradient)
}

/// Whether a tensor holds the numbers of another one, in whatever type.
fn is_same(model: &OnnxModel, tensor: &str, as_other: &str) -> bool {
    let index = GraphIndex::new(model.graph());
    let mut tensor = tensor;
    while tensor != as_other {
        let copied = index.producer_node(tensor).filter(|node| matches!(node.op(), "Cast" | "Identity"));
        let Some(from) = copied.and_then(|node| node.input.first()) else { return false };
        tensor = from;
    }
    true
}

/// The gradient `[N,K]` of the score by the logits.
fn write_seed(backward: &mut Backward, class: &str, classes: usize, score: Score) -> String {
    let own = backward.one_hot(class, classes);
    let others = match score {
        Score::Class => return own,
        Score::Against(other) => {
            let row: Vec<f32> = (0..classes).map(|c| if c == other { 1.0 } else { 0.0 }).collect();
            backward.floats(&[1, classes as i64], &row)
        }
        Score::AgainstRivals => {
            const RIVALS: usize = 3;
            let rivals = RIVALS.min(classes.saturating_sub(1));
            let axes = backward.int64s(&[1]);
            let masked = backward.emit("Mul", &[NAMES.logits, &own], vec![]);
            let logit = backward.emit("ReduceSum", &[&masked, &axes], vec![]);
            let apart = backward.emit("Sub", &[NAMES.logits, &logit], vec![]);
            let apart = backward.emit("Abs", &[&apart], vec![]);
            let far = backward.scalar(1e30);
            let barred = backward.emit("Mul", &[&own, &far], vec![]);
            let apart = backward.emit("Add", &[&apart, &barred], vec![]);
            let nearest = backward.emit("Neg", &[&apart], vec![]);
            let count = backward.int64s(&[rivals as i64]);
            let (_, places) = backward.top_k(&nearest, &count);
            let [depth, off_on] = [backward.int64(classes as i64), backward.floats(&[2], &[0.0, 1.0])];
            let rows = backward.emit("OneHot", &[&places, &depth, &off_on], vec![]);
            backward.emit("ReduceMean", &[&rows, &axes], vec![Attribute::from_int("keepdims", 0)])
        }
    };
    backward.emit("Sub", &[&own, &others], vec![])
}

pub(super) fn write_logits(backward: &mut Backward, head: &Head) -> Result<()> {
    if backward.shape(&head.logits)?.len() == 2 {
        backward.emit_as(NAMES.logits, "Identity", &[&head.logits], vec![]);
    } else {
        let shape = backward.int64s(&[-1, head.classes as i64]);
        backward.emit_as(NAMES.logits, "Reshape", &[&head.logits, &shape], vec![]);
    }
    Ok(())
}

/// Appends the Hessian of the score by the activations, times the activations: the output `curvature`
/// `[N,C,h,w]`. `gradient` is what [`explain`] returned, `tensors` what is known of the model as it is
/// since. Behind a layer from which all is linear there is none.
///
/// # Errors
/// An op of the backward pass has no gradient rule.
pub fn explain_curvature(
    model: &mut OnnxModel,
    tensors: &Tensors,
    rules: &Rules,
    target: &Target,
    gradient: &str,
) -> Result<bool> {
    let layer = &target.layer;
    if !GraphIndex::new(model.graph()).dependents(&layer.tensor).contains(gradient) {
        return Ok(false);
    }
    let mut backward = Backward::new(model, tensors);
    let product = write_backward(&mut backward, model, rules, gradient, &layer.tensor, &layer.tensor)?;
    let Some(product) = product else { return Ok(false) };
    write_view(&mut backward, &layer.view, &product, CURVATURE);
    backward.into_patch(&[CURVATURE]).apply(model);
    model.add_output(CURVATURE);
    Ok(true)
}

/// How many ranks of likeliest classes can be asked for.
pub const MOST_RANKS: usize = 9;

/// The output that [`explain_curvature`] adds.
pub const CURVATURE: &str = "whycam.curvature";

/// The class of each picture that is explained: the one asked for, or the predicted one. With several
/// classes of one picture, -1, -2 … are the likeliest, the second and so on.
fn write_class(backward: &mut Backward, classes: usize) -> String {
    let zero = backward.int64(0);
    let unasked = backward.emit("Less", &[CLASS_INDEX, &zero], vec![]);
    if backward.several {
        let count = backward.int64s(&[classes.min(MOST_RANKS) as i64]);
        let (_, places) = backward.top_k(NAMES.logits, &count);
        let flat = backward.int64s(&[-1]);
        let places = backward.emit("Reshape", &[&places, &flat], vec![]);
        let first = backward.int64(-1);
        let rank = backward.emit("Sub", &[&first, CLASS_INDEX], vec![]);
        let rank = backward.emit("Max", &[&rank, &zero], vec![]);
        let ranked = backward.emit("Gather", &[&places, &rank], vec![]);
        return backward.emit("Where", &[&unasked, &ranked, CLASS_INDEX], vec![]);
    }
    let attributes = vec![Attribute::from_int("axis", 1), Attribute::from_int("keepdims", 0)];
    let predicted = backward.emit("ArgMax", &[NAMES.logits], attributes);
    backward.emit("Where", &[&unasked, &predicted, CLASS_INDEX], vec![])
}

/// `tensor`, which holds a map in the form `view`, as `[N,C,h,w]`.
fn write_view(backward: &mut Backward, view: &View, tensor: &str, name: &str) {
    let mut tensor = tensor.to_owned();
    if let Some(prefix) = view.prefix.filter(|prefix| *prefix > 0) {
        let [start, end, axis] = [prefix as i64, i64::MAX, view.order[2] as i64].map(|v| backward.int64s(&[v]));
        tensor = backward.emit("Slice", &[&tensor, &start, &end, &axis], vec![]);
    }
    if !view.order.is_sorted() {
        let order: Vec<i64> = view.order.iter().map(|&axis| axis as i64).collect();
        tensor = backward.emit("Transpose", &[&tensor], vec![Attribute::from_ints("perm", &order)]);
    }
    if view.prefix.is_some() {
        let shape = backward.int64s(&[0, 0, view.height as i64, view.width as i64]);
        tensor = backward.emit("Reshape", &[&tensor, &shape], vec![]);
    }
    backward.emit_as(name, "Identity", &[&tensor], vec![]);
}

/// Renames inner tensors of the model that bear a name which [`explain`] gives to its own.
/// To be called before names of the model's tensors are looked up.
pub fn reserve_names(model: &mut OnnxModel) {
    let graph = model.graph_mut();
    let outputs: Vec<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    for taken in [NAMES.logits, NAMES.activations, NAMES.gradients, "cam", CLASS_INDEX] {
        if outputs.iter().any(|o| o == taken) {
            continue;
        }
        let free = format!("model.{taken}");
        for node in &mut graph.node {
            for name in node.input.iter_mut().chain(&mut node.output).filter(|name| *name == taken) {
                name.clone_from(&free);
            }
        }
        for name in graph.initializer.iter_mut().filter_map(|t| t.name.as_mut()).filter(|n| *n == taken) {
            name.clone_from(&free);
        }
    }
}
