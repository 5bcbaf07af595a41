//! Turns a classifier into one that explains itself.

use super::{Head, Shapes, Target, differentiate};
use crate::error::Result;
use crate::onnx::proto::{Attribute, Node, Tensor, ValueInfo};
use crate::onnx::{DataType, OnnxModel};

/// The added input: int64 `[N]`, the class to explain, or -1 for the predicted one.
pub const CLASS_INDEX: &str = "class_index";

/// Names of the outputs that a self-explaining model has beside its own.
#[derive(Clone, Debug)]
pub struct Explained {
    /// `[N,K]`.
    pub logits: &'static str,
    /// `[N,C,h,w]`.
    pub activations: &'static str,
    /// `[N,C,h,w]`: the chosen class's logit, differentiated by the activations.
    pub gradients: &'static str,
}

const NAMES: Explained = Explained { logits: "logits", activations: "activations", gradients: "gradients" };

/// Appends the backward pass from the chosen class's logit to the target layer, and the outputs
/// that the map is made of.
///
/// # Errors
/// An op on the way has no gradient rule.
pub fn explain(model: &mut OnnxModel, shapes: &Shapes, head: &Head, target: &Target) -> Result<Explained> {
    let seed = "whycam.seed";
    let (patch, gradient) = differentiate(model, shapes, &head.logits, seed, &target.layer.tensor)?;
    let graph = model.graph_mut();
    let argmax = Node::new("ArgMax", "whycam.predicted", &[&head.logits], &["whycam.predicted"])
        .with(Attribute::from_int("axis", 1))
        .with(Attribute::from_int("keepdims", 0));
    graph.node.extend([
        argmax,
        Node::new("Less", "whycam.unchosen", &[CLASS_INDEX, "whycam.zero"], &["whycam.unchosen"]),
        Node::new("Where", "whycam.class", &["whycam.unchosen", "whycam.predicted", CLASS_INDEX], &["whycam.class"]),
        Node::new("OneHot", seed, &["whycam.class", "whycam.classes", "whycam.off_on"], &[seed]),
    ]);
    graph.initializer.extend([
        Tensor::from_i64s("whycam.zero", &[], &[0]),
        Tensor::from_i64s("whycam.classes", &[], &[head.classes as i64]),
        Tensor::from_f32s("whycam.off_on", &[2], &[0.0, 1.0]),
    ]);
    graph.input.push(ValueInfo::tensor(CLASS_INDEX, DataType::Int64, &[-1]));
    patch.apply(model);
    let sources = [
        (NAMES.logits, head.logits.as_str()),
        (NAMES.activations, target.layer.tensor.as_str()),
        (NAMES.gradients, gradient.as_str()),
    ];
    let graph = model.graph_mut();
    for (name, source) in sources {
        let taken = graph.output.iter().any(|o| o.name() == name);
        if taken && name != source {
            let problem = format!("its output '{name}' is not what whycam gives under that name; rename it");
            return Err(model.error(problem));
        }
        if name != source {
            graph.node.push(Node::new("Identity", format!("whycam.{name}"), &[source], &[name]));
        }
        if !taken {
            graph.output.push(ValueInfo::tensor(name, DataType::Float, &dims(source, name, shapes, target)));
        }
    }
    model.set_metadata("whycam.layer", &target.layer.tensor);
    model.set_metadata("whycam.logits", &head.logits);
    let (h, w) = (target.layer.shape[2], target.layer.shape[3]);
    model.set_metadata("whycam.grid", format!("{h}x{w}"));
    Ok(NAMES)
}

/// Appends Grad-CAM itself to a model that [`explain`] has been through: the output `cam`, float32
/// `[N,h,w]`, `ReLU(Σ_k mean(∂y/∂A^k) A^k)` (Selvaraju et al. 2017).
pub fn append_cam(model: &mut OnnxModel, target: &Target) {
    let graph = model.graph_mut();
    let keep = |op: &str, name: &str, inputs: &[&str], keepdims: i64| {
        Node::new(op, name, inputs, &[name]).with(Attribute::from_int("keepdims", keepdims))
    };
    graph.node.extend([
        keep("ReduceMean", "whycam.weights", &[NAMES.gradients, "whycam.spatial"], 1),
        Node::new("Mul", "whycam.weighted", &[NAMES.activations, "whycam.weights"], &["whycam.weighted"]),
        keep("ReduceSum", "whycam.summed", &["whycam.weighted", "whycam.channels"], 0),
        Node::new("Relu", "whycam.cam", &["whycam.summed"], &["cam"]),
    ]);
    graph
        .initializer
        .extend([Tensor::from_i64s("whycam.spatial", &[2], &[2, 3]), Tensor::from_i64s("whycam.channels", &[1], &[1])]);
    let (h, w) = (target.layer.shape[2] as i64, target.layer.shape[3] as i64);
    graph.output.push(ValueInfo::tensor("cam", DataType::Float, &[-1, h, w]));
}

/// `[N,…]` with a free batch.
fn dims(source: &str, name: &str, shapes: &Shapes, target: &Target) -> Vec<i64> {
    let shape = if name == NAMES.gradients { Some(&target.layer.shape) } else { shapes.get(source) };
    let mut dims: Vec<i64> = shape.into_iter().flatten().map(|&d| d as i64).collect();
    if let Some(batch) = dims.first_mut() {
        *batch = -1;
    }
    dims
}

/// Renames inner tensors of the model that bear a name which [`explain`] gives to its own.
/// To be called before names of the model's tensors are looked up.
pub fn reserve_names(model: &mut OnnxModel) {
    let graph = model.graph_mut();
    let outputs: Vec<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    for taken in [NAMES.activations, NAMES.gradients, CLASS_INDEX] {
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
