//! Step 3: what the outputs mean, and the target layers.

use super::bare_input::guess_notice;
use super::classes::ResolvedScores;
use super::detector::find_detection;
use super::load::LoadedModel;
use super::manifest::{InputSpec, Known, Layout, Manifest};
use super::options::Reference;
use super::preset::Preset;
use super::references::{compare, own_likeness};
use super::request::{Request, ScoreQuery};
use super::typed::TypedModel;
use crate::cam::{self, AttributesTo, Backward, ConvShare, Inputs, Layers, Method};
use crate::error::{Error, Result};
use crate::grad::{self, Candidate, ConvRule, DetectorPart, LayerName, Reason, Rules, Search, Target, Task};
use crate::onnx::{OnnxModel, Tensors};

/// A model whose task and target layers are known.
pub struct Located {
    pub typed: TypedModel,
    pub task: Task,
    pub scores: ResolvedScores,
    pub method: &'static Method,
    /// The target layer, and further layers whose maps are fused with it.
    pub targets: Vec<Target>,
    /// How far the cells of the target layer were moved, `[x, y]` in pixels of the input, as the manifest says.
    pub shift: Option<[f32; 2]>,
    /// The gradient rules for the next step.
    pub rules: Rules,
    /// What a user should know of how the task was found.
    pub notices: Vec<String>,
}

/// Finds the task and the target layers. For an augmented model, it is the layer that it was augmented for.
///
/// # Errors
/// The model's outputs have no known meaning, a layer or class does not exist, or the method does not go with them.
pub fn locate(mut typed: TypedModel, request: &Request) -> Result<Located> {
    let (task, notices) = task_of(&mut typed)?;
    let request = &typed.loaded.with_own_method(request)?;
    let labels = &typed.loaded.manifest.labels;
    let scores = ResolvedScores::of_task(&task, request, labels)?;
    let method =
        if serves_attention(&typed, &task, request) { cam::find("legrad")? } else { request.method_for(&task) };
    if matches!(method.inputs, Inputs::Attention(_)) && !request.layers.is_empty() {
        let problem = "makes its map from the attention of all blocks; leave the layer out";
        return Err(Error::Conflict(format!("{} {problem}", method.name)));
    }
    let mut targets = find_targets(&typed, &task, request)?;
    let shift = apply_shift(&typed, &task, request, &mut targets)?;
    if targets.len() > 1 && method.formula().is_none() {
        let problem = "does not fuse maps of several layers; name one layer, or choose a method of one run and one \
                       gradient, such as layer-cam";
        return Err(Error::Conflict(format!("{} {problem}", method.name)));
    }
    Ok(Located { typed, task, scores, method, targets, shift, rules: rules_of(method), notices })
}

/// The rules by which a method goes backwards.
fn rules_of(method: &Method) -> Rules {
    match method.backward {
        Backward::Gradient => Rules::default(),
        Backward::Relevance(ConvShare::Epsilon) => Rules::of_relevance(ConvRule::Epsilon),
        Backward::Relevance(ConvShare::ZPlus) => Rules::of_relevance(ConvRule::ZPlus),
        Backward::Relevance(ConvShare::Gamma) => Rules::of_relevance(ConvRule::Gamma),
    }
}

/// Whether nothing else is asked for than the usual map, and the model is a vision transformer, which maps of attention serve
/// best (docs/faithfulness.md has the measurements).
fn serves_attention(typed: &TypedModel, task: &Task, request: &Request) -> bool {
    let LoadedModel { model, manifest, contract, .. } = &typed.loaded;
    let plain = matches!(request.scores.as_slice(), [ScoreQuery::Rank(_) | ScoreQuery::Class(_)]);
    let by_default = request.method.is_none() && request.layers.is_empty() && manifest.layer.is_none();
    let of_class = matches!(task, Task::Classify(_) | Task::Embed(_)) && plain;
    let channels_last = manifest.input.layout == Layout::ChannelsLast;
    by_default && of_class && contract.is_none() && grad::has_attention(model, &typed.tensors, task, channels_last)
}

/// The task of a model, held against its manifest, and what a user should know of how it was found. Outputs of the model
/// whose names whycam needs get others.
///
/// # Errors
/// The outputs have no known meaning, or do not go with the manifest.
pub fn task_of(typed: &mut TypedModel) -> Result<(Task, Vec<String>)> {
    let LoadedModel { contract, notices, model, .. } = &typed.loaded;
    if let Some(contract) = contract.as_ref().filter(|contract| contract.detection.is_some()) {
        return Ok((contract.task(model)?, notices.clone()));
    }
    // What is compared is an embedding.
    let compared = contract.is_none() && !typed.loaded.comparison.references.is_empty();
    let wanted = typed.loaded.manifest.task.clone().or_else(|| compared.then(|| "embed".to_owned()));
    if compared && wanted.as_deref() != Some("embed") {
        let task = wanted.unwrap_or_default();
        return Err(Error::Conflict(format!("--like and --words compare embeddings, and the task is '{task}'")));
    }
    let may_detect = matches!(wanted.as_deref(), None | Some("detect")) && contract.is_none();
    let detection = if may_detect { find_detection(typed)? } else { None };
    let TypedModel { loaded: LoadedModel { model, manifest, notices: loading, .. }, tensors, .. } = typed;
    if let Some((detection, found)) = detection {
        check_labels(model, manifest, detection.classes)?;
        let mut task = Task::Detect(detection);
        let renamed = grad::reserve_output_names(model, tensors, &mut task);
        return Ok((task, [loading.as_slice(), &found, &renamed].concat()));
    }
    if wanted.as_deref() == Some("detect") {
        let outputs = model.graph().output.iter();
        let outputs: Vec<String> = outputs.map(|o| format!("{} {:?}", o.name(), shape_of(tensors, o.name()))).collect();
        let problem = "its outputs have no layout of a detector that whycam knows";
        return Err(model.error(format!("{problem}: {}; docs/detectors.md lists the layouts", outputs.join(", "))));
    }
    let mut notices = loading.clone();
    let (mut task, found) = other_task_of(typed, wanted.as_deref())?;
    notices.extend(found);
    let LoadedModel { model, manifest, contract, .. } = &mut typed.loaded;
    let of_detectors = manifest.background.is_some() || manifest.box_order.is_some();
    let for_detectors = of_detectors || manifest.scores.is_some() && !compared;
    if for_detectors && contract.is_none() {
        let problem =
            format!("it is read as '{}', and --scores, --background and --box-order are for detectors", task.name());
        return Err(model.error(format!("{problem}; leave them out, or see --task detect")));
    }
    // The labels of an embedding are its references.
    if !matches!(task, Task::Embed(_)) {
        check_labels(model, manifest, task.classes())?;
    }
    if let Some(Known { output, .. }) = &manifest.known
        && !model.graph().output.iter().any(|o| o.name() == output)
    {
        return Err(model.error(format!("it has no output '{output}', which its manifest names under [known]")));
    }
    if contract.is_none() {
        notices.extend(grad::reserve_output_names(model, &mut typed.tensors, &mut task));
    }
    Ok((task, notices))
}

/// The task of a model that is no detector, and what a user should know of how it was found.
fn other_task_of(typed: &mut TypedModel, wanted: Option<&str>) -> Result<(Task, Vec<String>)> {
    let TypedModel { loaded: LoadedModel { model, manifest, comparison, contract, .. }, tensors, .. } = typed;
    if let Some(contract) = contract {
        return Ok((contract.task(model)?, Vec::new()));
    }
    let worded = comparison.references.iter().any(|reference| matches!(reference, Reference::Words(_)));
    // A model of both pictures and words compares them itself.
    let own = worded.then_some(OWN_LIKENESS).filter(|name| model.graph().output.iter().any(|o| o.name() == *name));
    let search = Search {
        task: if own.is_some() { Some("classify") } else { wanted },
        output: manifest.output.as_deref().or(own),
        not: manifest.known.as_ref().map(|known| known.output.as_str()),
        labels: manifest.labels.len(),
        channels_last: manifest.input.layout == Layout::ChannelsLast,
    };
    let (task, mut notices) = Task::find(model, tensors, search)?;
    match task {
        Task::Classify(row) if own.is_some() => {
            manifest.labels = comparison.names();
            Ok((own_likeness(model, row, comparison, manifest.scores)?, notices))
        }
        Task::Embed(row) => {
            let (task, found) = compare(typed, row)?;
            notices.extend(found);
            Ok((task, notices))
        }
        Task::Segment(segmentation) => {
            notices.extend(show_whole_picture(&mut typed.loaded));
            Ok((Task::Segment(segmentation), notices))
        }
        task => Ok((task, notices)),
    }
}

/// A segmenter sees the whole picture. Where its preprocessing is a guess that crops, this changes the guess, and returns what
/// a user should know of it.
fn show_whole_picture(loaded: &mut LoadedModel) -> Option<String> {
    let guess = loaded.guess.take_if(|guess| guess.preset == Preset::ImageNet)?;
    let input = &mut loaded.manifest.input;
    let (preset, channels) = (Preset::Detr, input.channels);
    *input = InputSpec { channels, ..preset.input(input.width, input.height, input.layout) };
    let reason = format!("as '{}', without cutting off the margin, since it is a segmenter", guess.preset);
    Some(guess_notice(preset, reason))
}

/// The output of a model of both pictures and words.
const OWN_LIKENESS: &str = "logits_per_image";

fn shape_of<'t>(tensors: &'t Tensors, tensor: &str) -> &'t [usize] {
    tensors.get(tensor).map_or(&[], |info| &info.shape)
}

/// # Errors
/// There are labels, but not one for each class.
pub fn check_labels(model: &OnnxModel, manifest: &Manifest, classes: usize) -> Result<()> {
    match manifest.labels.len() {
        0 => Ok(()),
        labels if labels == classes => Ok(()),
        labels => Err(model.error(format!("it has {classes} classes, but there are {labels} labels"))),
    }
}

fn find_targets(typed: &TypedModel, task: &Task, request: &Request) -> Result<Vec<Target>> {
    let LoadedModel { model, manifest, contract, .. } = &typed.loaded;
    let channels_last = manifest.input.layout == Layout::ChannelsLast;
    if request.method_for(task).attributes_to == AttributesTo::Input && contract.is_none() {
        return Ok(vec![grad::input_target(model, &typed.tensors, channels_last)?]);
    }
    let find = |layer: Option<&LayerName>| grad::find_target(model, &typed.tensors, task, channels_last, layer);
    let augmented_for = contract.as_ref().map(|contract| contract.layer.as_str());
    let named = match augmented_for.or(manifest.layer.as_deref()) {
        Some(layers) if request.layers.is_empty() => LayerName::parse_list(layers),
        _ => request.layers.clone(),
    };
    let part = |part| grad::find_detector_targets(model, &typed.tensors, task, channels_last, part);
    let detects = task.as_detection().is_some() && contract.is_none();
    // RefineCAM starts at the layer that the manifest names for another method, and adds finer ones.
    let free = request.layers.is_empty() && augmented_for.is_none() && named.len() <= usize::from(!detects);
    let each_grid = free && request.method_for(task).layers == Layers::EachGrid;
    if each_grid && detects {
        let problem = "fuses layers that lie one after the other, and the heads of a detector lie side by side; name layers \
                       with --layer, or choose hires-cam";
        return Err(Error::Conflict(format!("{} {problem}", request.method_for(task).name)));
    }
    let mut targets = match named.as_slice() {
        deepest if each_grid => {
            let first = find(deepest.first())?;
            let candidates = grad::list_candidates(model, &typed.tensors, task, channels_last);
            let finer = finer_layers(&first, candidates).into_iter();
            let finer = finer.map(|layer| find(Some(&LayerName::Named(layer)))).collect::<Result<Vec<_>>>()?;
            [vec![first], finer].concat()
        }
        [] if detects => part(DetectorPart::Head)?,
        [LayerName::Named(name)] if detects && DetectorPart::named(name).is_some() => {
            part(DetectorPart::named(name).unwrap_or(DetectorPart::Head))?
        }
        [] => vec![find(None)?],
        named => named.iter().map(|layer| find(Some(layer))).collect::<Result<_>>()?,
    };
    if let Some(target) = targets.first_mut()
        && augmented_for.is_some()
        && request.layers.is_empty()
    {
        target.reason = Reason::Augmented;
    }
    Ok(targets)
}

/// Moves the cells of the layer that the manifest speaks of to where it says that they look, and returns how far. Layers that
/// a list names stay where they are.
fn apply_shift(typed: &TypedModel, task: &Task, request: &Request, targets: &mut [Target]) -> Result<Option<[f32; 2]>> {
    let LoadedModel { manifest, contract, .. } = &typed.loaded;
    let (Some(shift), None) = (manifest.shift, contract) else { return Ok(None) };
    let default = find_targets(typed, task, &Request::default())?;
    let same = |a: &Target, b: &Target| a.layer.tensor == b.layer.tensor;
    let target = match (targets, default.as_slice()) {
        ([only], own) if own.iter().any(|own| same(own, only)) => only,
        // RefineCAM goes on from the manifest's layer.
        ([first, _, ..], [own]) if request.layers.is_empty() && same(first, own) => first,
        _ => return Ok(None),
    };
    let first = &mut target.layer.layout.geometry.first;
    *first = [first[0] - f64::from(shift[1]), first[1] - f64::from(shift[0])];
    Ok(Some(shift))
}

/// The finer grids that `RefineCAM` takes next to that of the default layer, as the last three stages of a `ResNet`.
const FINER: usize = 2;

/// Before a layer, the last layers of the next finer grids, from coarse to fine.
fn finer_layers(target: &Target, candidates: Vec<Candidate>) -> Vec<String> {
    let mut cells = target.layer.layout.height * target.layer.layout.width;
    let mut layers = Vec::new();
    let before = candidates.into_iter().take_while(|candidate| candidate.tensor != target.layer.tensor);
    for candidate in before.collect::<Vec<_>>().into_iter().rev().filter(|candidate| candidate.op != "Pad") {
        let finer = candidate.layout.height * candidate.layout.width;
        if finer > cells && layers.len() < FINER {
            cells = finer;
            layers.push(candidate.tensor);
        }
    }
    layers
}

/// For each other grid than that of a layer the last layer that has it.
pub fn last_of_each_grid(target: &Target, candidates: Vec<Candidate>) -> Vec<String> {
    let mut grids = vec![(target.layer.layout.height, target.layer.layout.width)];
    let mut layers = Vec::new();
    for candidate in candidates.into_iter().rev() {
        let grid = (candidate.layout.height, candidate.layout.width);
        if candidate.op != "Pad" && !grids.contains(&grid) {
            grids.push(grid);
            layers.push(candidate.tensor);
        }
    }
    layers
}

impl Located {
    /// All layers that a map can be made at, first to last.
    pub fn candidates(&self) -> Vec<Candidate> {
        let LoadedModel { model, manifest, .. } = &self.typed.loaded;
        let channels_last = manifest.input.layout == Layout::ChannelsLast;
        grad::list_candidates(model, &self.typed.tensors, &self.task, channels_last)
    }
}
