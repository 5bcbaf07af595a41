//! Step 4: the model that gives activations and gradients.

use std::path::PathBuf;

use super::advice::with_advice;
use super::bare_input::Guess;
use super::cache::Slot;
use super::classes::ResolvedScores;
use super::inputs::image_input;
use super::load::{LoadedModel, load};
use super::locate::{Located, check_labels, locate};
use super::manifest::{Layout, Manifest};
use super::metadata::{Contract, MapGrid};
use super::options::ModelOptions;
use super::preset::Preset;
use super::request::{Direction, Request, ScoreQuery};
use super::typed::{TypedModel, type_tensors};
use crate::cam::{AttentionFormula, AttributesTo, InGraph, Inputs, Layers, Method, ScoreKind};
use crate::error::Result;
use crate::grad::{
    self, Additions, AttentionMap, AttentionRequest, CamWeights, FieldGeometry, LIKENESS, Probability, Remainder,
    Score, Target, Task, TensorLayout,
};
use crate::onnx::proto::{Attribute, Node};
use crate::onnx::{DataType, OnnxModel};
use crate::session;

/// A model that gives activations and gradients next to its own outputs.
#[non_exhaustive]
pub struct AugmentedModel {
    pub model: OnnxModel,
    pub manifest: Manifest,
    pub guess: Option<Guess>,
    /// The name of the input that takes the picture.
    pub input: String,
    pub task: Task,
    pub scores: ResolvedScores,
    pub method: &'static Method,
    pub contract: Contract,
    pub extras: Extras,
    /// What a user should know of how the scores were found.
    pub notices: Vec<String>,
    /// The folder that may keep the runtime's optimised graph of it.
    pub cache: Option<PathBuf>,
}

/// What an augmented model has for some methods.
#[derive(Default)]
pub struct Extras {
    /// The layers after the target, as a model.
    pub remainder: Option<Remainder>,
    /// Whether it gives the Hessian times the activations. False where everything after the layer is linear.
    pub curvature: bool,
    /// Whether `class_index` may hold several classes of one picture.
    pub batched_classes: bool,
}

/// Takes a model all the way from its file, or from the cache. A model in `typed` is neither read nor typed again; one
/// that has to be typed is left there.
///
/// # Errors
/// Those of the four steps.
pub fn augmented(
    options: &ModelOptions,
    request: &Request,
    batched_classes: bool,
    typed: &mut Option<TypedModel>,
) -> Result<AugmentedModel> {
    let loaded = match typed {
        Some(typed) => typed.loaded.clone(),
        None => load(options)?,
    };
    if loaded.contract.is_some() {
        return AugmentedModel::from_contract(loaded, request);
    }
    let request = &loaded.with_own_method(request)?;
    let batched_classes = batched_classes && request.method.is_none_or(|method| method.formula().is_some());
    let slot = if is_cacheable(options, request, &loaded, batched_classes) {
        Slot::of(options, request, &loaded)
    } else {
        None
    };
    let cache = slot.as_ref().and(options.cache.clone());
    if let Some((model, notices)) = slot.as_ref().and_then(|slot| slot.load(&loaded.model.name)) {
        let contract = Contract::read(&model)?;
        // The size of the input may have been found by trying.
        let (input, labels) = match &contract {
            Some(contract) => (contract.preprocessing.clone(), contract.labels.clone()),
            None => (loaded.manifest.input.clone(), loaded.manifest.labels.clone()),
        };
        let replaced = contract.as_ref().is_some_and(|contract| {
            let cropped = loaded.guess.as_ref().is_some_and(|guess| guess.preset == Preset::ImageNet);
            contract.detection.is_some() || contract.segmentation.is_some() && cropped
        });
        // A kept notice tells what the task has put in place of the guess.
        let guess = loaded.guess.filter(|_| !replaced);
        let loaded = LoadedModel { manifest: Manifest { labels, input, ..loaded.manifest }, guess, ..loaded };
        let default_layer = Request { layers: Vec::new(), ..request.clone() };
        let kept = AugmentedModel::from_contract(LoadedModel { model, contract, notices, ..loaded }, &default_layer)?;
        return Ok(AugmentedModel { cache, ..kept });
    }
    let typed = match typed {
        Some(typed) => typed,
        empty => empty.insert(type_tensors(loaded)?),
    };
    let made = augment(locate(typed.clone(), request)?, batched_classes)?;
    // A method that is not of a run and one gradient writes another graph.
    if let Some(slot) = slot.filter(|_| made.method.formula().is_some()) {
        slot.store(&made.model, &made.notices);
    }
    Ok(AugmentedModel { cache, ..made })
}

/// Whether the cache keeps models of this kind: one layer, one class a run, and activations and gradients alone.
fn is_cacheable(options: &ModelOptions, request: &Request, loaded: &LoadedModel, batched_classes: bool) -> bool {
    let several_layers = match request.layers.len() {
        0 => loaded.manifest.layer.as_ref().is_some_and(|layers| layers.contains(',')),
        layers => layers > 1,
    };
    let plain_scores = request.scores.iter().all(|query| !matches!(query, ScoreQuery::Contrast { .. }));
    // The usual method of every task is plain.
    let plain_method = request.method.is_none_or(|method| {
        let plain = method.attributes_to == AttributesTo::Layer
            && method.score == ScoreKind::Class
            && method.layers != Layers::EachGrid;
        plain && method.formula().is_some()
    });
    let plain_inputs =
        options.feed.is_empty() && loaded.manifest.feed.is_empty() && options.comparison.references.is_empty();
    let plain_scores = plain_scores && request.direction == Direction::Up;
    plain_method && plain_scores && plain_inputs && options.randomised.is_none() && !(batched_classes || several_layers)
}

/// Appends the backward pass and the outputs of the map to a model, and writes its [`Contract`].
///
/// # Errors
/// The model is augmented already, or an op between scores and target layer has no gradient rule.
pub fn augment(located: Located, batched_classes: bool) -> Result<AugmentedModel> {
    let Located { typed: TypedModel { loaded, input, tensors }, task, scores, method, targets, shift, rules, notices } =
        located;
    let needs = method.needs();
    let batched_classes = batched_classes && task.as_row().is_some();
    let LoadedModel { mut model, manifest, guess, contract, .. } = loaded;
    if let Some(contract) = contract {
        let layer = contract.layer;
        let problem = format!("it is augmented already, for the layer {layer}; give the model that it was made from");
        return Err(model.error(problem));
    }
    let Some(target) = targets.first() else { return Err(model.error("it has no target layer")) };
    check_references(&model, &task)?;
    let cut = || grad::cut_remainder(&model, &tensors, &task, target);
    let remainder = if needs.remainder { Some(cut()?) } else { None };
    let additions = Additions { score: needs.gradient.then_some(scores.score), batched_classes };
    let channels_last = manifest.input.layout == Layout::ChannelsLast;
    let augmented = match method.inputs {
        Inputs::Attention(formula) => {
            let map = match formula {
                AttentionFormula::LeGrad => AttentionMap::LeGrad,
                AttentionFormula::GradEclip => AttentionMap::GradEclip,
            };
            let name = AugmentedModel::CAM;
            let wanted = AttentionRequest { map, score: scores.score, channels_last };
            grad::augment_with_attention(&mut model, &tensors, &rules, &task, wanted, name).map(|()| None)
        }
        _ => grad::augment(&mut model, &tensors, &rules, &task, &targets, additions),
    };
    let gradient = augmented.map_err(|error| with_advice(error, &model, &tensors, &task, &rules, channels_last))?;
    give_side_inputs(&mut model, remainder.as_ref());
    let mut curvature = false;
    if let Some(gradient) = gradient.filter(|_| needs.curvature) {
        let shape = tensors[&input].shape.clone();
        let (index, dims) = task.index_input();
        let asked = if dims.len() == 1 { vec![shape[0]] } else { vec![shape[0], 1] };
        let inputs = [(input.as_str(), shape.clone()), (index, asked)];
        let tensors = session::probe(&mut model, &inputs)?;
        curvature = grad::augment_with_curvature(&mut model, &tensors, &rules, target, &gradient)?;
    }
    let contract = contract_of(&task, &targets, shift, &manifest);
    contract.write(&mut model)?;
    let extras = Extras { remainder, curvature, batched_classes };
    Ok(AugmentedModel { model, manifest, guess, input, task, scores, method, contract, extras, notices, cache: None })
}

/// # Errors
/// An embedding has nothing to be compared with.
pub fn check_references(model: &OnnxModel, task: &Task) -> Result<()> {
    match task {
        Task::Embed(row) if row.probability == Probability::Cosine && row.logits != LIKENESS => {
            let problem = format!("it gives an embedding, {row}, and nothing to compare it with");
            let remedy = "--like NAME=PICTURE names pictures, --words \"A,B\" texts";
            let otherwise = format!("--task classify explains it as {} classes", row.classes);
            Err(model.error(format!("{problem}; {remedy}; {otherwise}")))
        }
        _ => Ok(()),
    }
}

/// Makes the tensors that the remainder takes next to the activations outputs of the whole model.
fn give_side_inputs(model: &mut OnnxModel, remainder: Option<&Remainder>) {
    for tensor in remainder.iter().flat_map(|remainder| &remainder.side_inputs) {
        let name = grad::side_input_name(tensor);
        let to_float = Node::new("Cast", name.clone(), &[tensor], &[&name]);
        model.graph_mut().node.push(to_float.with(Attribute::from_int("to", DataType::Float as i64)));
        model.add_output(&name);
    }
}

fn contract_of(task: &Task, targets: &[Target], shift: Option<[f32; 2]>, manifest: &Manifest) -> Contract {
    let probability = match task {
        Task::Detect(detection) => detection.probability,
        Task::Segment(segmentation) => segmentation.probability,
        task => task.as_row().map_or(Probability::Given, |row| row.probability),
    };
    let tensors: Vec<&str> = targets.iter().map(|target| target.layer.tensor.as_str()).collect();
    let input = [manifest.input.height, manifest.input.width];
    let layouts: Vec<&TensorLayout> = targets.iter().map(|target| &target.layer.layout).collect();
    let grid = layouts.first().map_or([0, 0], |layout| [layout.height, layout.width]);
    let several = layouts.len() > 1;
    // Several layers of a detector, such as the inputs of its heads, tile the picture, whatever padding and strides do: so its
    // boxes were trained, and its maps are more faithful so.
    let tiles = several && task.as_detection().is_some();
    let geometry = |layout: &TensorLayout| {
        if tiles { FieldGeometry::even([layout.height, layout.width], input) } else { layout.geometry }
    };
    let placed: Vec<_> = layouts.iter().map(|layout| ([layout.height, layout.width], geometry(layout))).collect();
    Contract {
        layer: tensors.join(","),
        logits: task.tensor().to_owned(),
        grid: MapGrid { height: grid[0], width: grid[1] },
        geometry: finest_geometry(&placed, input),
        layer_geometries: if several { placed.iter().map(|(_, geometry)| *geometry).collect() } else { Vec::new() },
        shift,
        probability,
        task: (!matches!(task, Task::Classify(_))).then(|| task.name().to_owned()),
        detection: task.as_detection().cloned(),
        segmentation: task.as_segmentation().cloned(),
        labels: manifest.labels.clone(),
        preprocessing: manifest.input.clone(),
        known: manifest.known.clone(),
    }
}

/// Where the cells of the finest of some maps lie, each given by its rows and columns: along each axis the first cell of those
/// with the most cells.
fn finest_geometry(maps: &[([usize; 2], FieldGeometry)], input: [usize; 2]) -> FieldGeometry {
    let mut finest = FieldGeometry::even([1, 1], input);
    for axis in [0, 1] {
        let most = maps
            .iter()
            .max_by(|(a, of_a), (b, of_b)| a[axis].cmp(&b[axis]).then(of_b.first[axis].total_cmp(&of_a.first[axis])));
        if let Some((_, of)) = most {
            (finest.first[axis], finest.stride[axis]) = (of.first[axis], of.stride[axis]);
        }
    }
    finest
}

impl AugmentedModel {
    /// The output of [`AugmentedModel::reduce_to_cam`].
    pub const CAM: &str = "whycam.cam";

    /// A model that is augmented already, as its contract describes it.
    ///
    /// # Errors
    /// The contract is damaged, or does not serve the request.
    pub fn from_contract(loaded: LoadedModel, request: &Request) -> Result<Self> {
        let LoadedModel { model, manifest, guess, contract, notices, comparison, .. } = loaded;
        if !comparison.references.is_empty() {
            let problem = "it was prepared with what it is compared with; --like and --words go with the model that it was \
                           made from";
            return Err(model.error(problem));
        }
        let Some(contract) = contract else { return Err(model.error("it is not augmented; prepare it first")) };
        let layer = &contract.layer;
        let others: Vec<String> = request.layers.iter().map(ToString::to_string).collect();
        if !others.is_empty() && others.join(",") != *layer {
            let others = others.join(",");
            let problem =
                format!("it was prepared for the layer {layer}, so it cannot explain {others}; prepare it again");
            return Err(model.error(problem));
        }
        let task = contract.task(&model)?;
        check_labels(&model, &manifest, task.classes())?;
        let method = request.method_for(&task);
        let scores = ResolvedScores::of_task(&task, request, &manifest.labels)?;
        let needs = method.needs();
        let served = method.attributes_to == AttributesTo::Layer
            && scores.score == Score::Class
            && !(needs.curvature || needs.remainder || needs.reruns || matches!(method.inputs, Inputs::Attention(_)));
        if !served {
            let problem = format!("it is augmented, but not for {}; give the model that it was made from", method.name);
            return Err(model.error(problem));
        }
        let input = image_input(&model)?.name().to_owned();
        let extras = Extras::default();
        Ok(Self { model, manifest, guess, input, task, scores, method, contract, extras, notices, cache: None })
    }

    /// How many layers it gives maps of.
    pub fn layers(&self) -> usize {
        self.contract.layer_geometries.len().max(1)
    }

    /// Adds the map as the output `cam`, float32 `[N,h,w]`: that of the method, or of Grad-CAM if the graph cannot compute
    /// it. The map of a value is signed.
    ///
    /// # Errors
    /// The model has an output of that name.
    pub fn append_cam(&mut self) -> Result<()> {
        self.append_cam_as(grad::CAM, matches!(self.task, Task::Value(_)))
    }

    fn append_cam_as(&mut self, name: &str, signed: bool) -> Result<()> {
        let MapGrid { height, width } = self.contract.grid;
        let weights = match self.method.in_graph {
            Some(InGraph::HiResCam) => CamWeights::Each,
            Some(InGraph::GradCam) | None => CamWeights::Mean,
        };
        grad::append_cam(&mut self.model, name, weights, signed, [height, width])
    }

    /// Replaces activations and gradients by the map, as the output [`AugmentedModel::CAM`]. It is signed.
    ///
    /// # Errors
    /// As [`AugmentedModel::append_cam`].
    pub fn reduce_to_cam(&mut self) -> Result<()> {
        self.append_cam_as(Self::CAM, true)?;
        // An output costs a copy, and keeps the runtime from fusing the nodes that make it.
        let made_of = [grad::ACTIVATIONS, grad::GRADIENTS];
        self.model.graph_mut().output.retain(|output| !made_of.contains(&output.name()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_of_several_maps_is_found_along_each_axis_in_any_order() {
        let of = |first: [f64; 2], stride: [f64; 2]| FieldGeometry { first, stride };
        let high = ([16, 4], of([1.0, 4.0], [2.0, 8.0]));
        let wide = ([4, 16], of([4.0, 1.0], [8.0, 2.0]));
        let moved = ([16, 4], of([-3.0, 0.0], [2.0, 8.0]));
        let finest = of([-3.0, 1.0], [2.0, 2.0]);
        for maps in [[high, wide, moved], [moved, high, wide], [wide, moved, high]] {
            assert_eq!(finest_geometry(&maps, [32, 32]), finest);
        }
    }
}
