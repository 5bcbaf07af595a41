//! Explaining one picture after the other.

use image::RgbImage;
use ndarray::{ArrayD, ArrayViewD, Axis};
use tracing::trace_span;

use super::attribution::{Aids, Attribution};
use super::builder::ExplainerBuilder;
use super::explanation::{Explanation, ExplanationContext};
use super::remainder_runner::RemainderRunner;
use super::runner::ModelRunner;
use super::tracking::Tracker;
use super::windows::Windows;
use crate::cam::{CamMap, Fusion, Layers, METHODS, Method};
use crate::error::{Error, Result};
use crate::grad::{LayerName, Task};
use crate::model::{
    AugmentedModel, InputSpec, ModelOptions, Preprocessor, Region, Request, Subject, TypedModel, VectorReader,
    augmented, last_of_each_grid, load, locate, type_tensors,
};

/// Explains one picture after the other.
pub struct Explainer {
    pub(super) options: ModelOptions,
    pub(super) request: Request,
    preprocessor: Preprocessor,
    pub(super) prepared: Prepared,
    /// The typed model, for another method or layer. It is kept once it is needed.
    pub(super) typed: Option<TypedModel>,
    /// The embeddings of pictures, once one becomes a reference.
    pub(super) embedder: Option<VectorReader>,
    cancelled: Box<dyn Fn() -> bool + Send>,
    /// What it was made of.
    first: (ModelOptions, Request),
}

/// A model in the runtime, for one request.
pub struct Prepared {
    runner: ModelRunner,
    remainder: Option<RemainderRunner>,
    attribution: Attribution,
    context: ExplanationContext,
    input: InputSpec,
    followed: Lanes,
}

/// The objects that are followed from picture to picture, for a detector that is asked to.
#[derive(Debug, Default)]
struct Lanes {
    /// Those of each lane; none if objects are not followed.
    trackers: Vec<Tracker>,
    /// The lane of the next picture.
    lane: usize,
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { options, request, .. } = self;
        f.debug_struct("Explainer").field("options", options).field("request", request).finish_non_exhaustive()
    }
}

impl Explainer {
    /// A builder with the default model and request.
    pub fn builder() -> ExplainerBuilder {
        ExplainerBuilder::default()
    }

    /// Reads the model, appends what the method needs, and loads the result into the runtime.
    ///
    /// # Errors
    /// The model cannot be read, differentiated or run, or the request names something that does not exist.
    pub fn new(options: &ModelOptions, request: &Request) -> Result<Self> {
        let prepared = Prepared::new(options, request, &mut None)?;
        Ok(Self::prepared(prepared, options, request, None))
    }

    /// As [`Explainer::new`], with a model that is read and typed already.
    ///
    /// # Errors
    /// As [`Explainer::new`].
    pub fn of_typed(typed: TypedModel, options: &ModelOptions, request: &Request) -> Result<Self> {
        let mut typed = Some(typed);
        let prepared = Prepared::new(options, request, &mut typed)?;
        Ok(Self::prepared(prepared, options, request, typed))
    }

    fn prepared(prepared: Prepared, options: &ModelOptions, request: &Request, typed: Option<TypedModel>) -> Self {
        Self {
            preprocessor: Preprocessor::new(prepared.input.clone()),
            prepared,
            options: options.clone(),
            request: request.clone(),
            typed,
            embedder: None,
            cancelled: Box::new(|| false),
            first: (options.clone(), request.clone()),
        }
    }

    pub fn context(&self) -> &ExplanationContext {
        &self.prepared.context
    }

    /// What is explained now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Whether it explains the predicted class of each picture.
    pub fn follows_prediction(&self) -> bool {
        let of_classes = self.prepared.attribution.task.as_row().is_some();
        of_classes && self.prepared.attribution.subjects == [Subject::Rank(0)] && self.context().against.is_none()
    }

    /// The class that is explained, if one was chosen.
    pub fn chosen_class(&self) -> Option<usize> {
        let attribution = &self.prepared.attribution;
        match (&attribution.task, attribution.subjects.as_slice()) {
            (Task::Segment(_), _) => attribution.focus,
            (_, [Subject::Class(class)]) if attribution.task.as_row().is_some() => Some(*class),
            _ => None,
        }
    }

    /// Explains this class from now on, or without one the predicted class of each picture.
    ///
    /// # Errors
    /// There is no such class, or the explainer explains several classes or a contrast.
    pub fn set_class(&mut self, class_index: Option<usize>) -> Result<()> {
        let Attribution { task, subjects, batched, .. } = &self.prepared.attribution;
        if *batched || task.as_row().is_some() && subjects.len() > 1 || self.context().against.is_some() {
            let problem = "an explainer of several classes cannot change to one";
            return Err(Error::model(&self.context().model, problem));
        }
        let attribution = &mut self.prepared.attribution;
        let classes = attribution.task.classes();
        if let Some(class_index) = class_index.filter(|class_index| *class_index >= classes) {
            let known = format!("there are {classes}");
            return Err(Error::Unknown { what: "class", name: class_index.to_string(), known });
        }
        match attribution.task {
            Task::Segment(_) => attribution.focus = class_index,
            Task::Value(_) => attribution.subjects = vec![Subject::Class(class_index.unwrap_or(0))],
            _ => attribution.subjects = vec![class_index.map_or(Subject::Rank(0), Subject::Class)],
        }
        Ok(())
    }

    /// Follows the objects of a detector from picture to picture from now on, so that boxes do not flicker and one can be
    /// chosen.
    pub fn follow_objects(&mut self) {
        self.prepared.followed.trackers = vec![Tracker::default()];
    }

    /// Explains this object from now on, by its number in
    /// [`DetectedObject::object`](super::DetectedObject::object), or without one all detections. Without
    /// [`Explainer::follow_objects`] it does nothing.
    pub fn choose_object(&mut self, object: Option<u64>) {
        for tracker in &mut self.prepared.followed.trackers {
            tracker.chosen = object;
        }
    }

    /// Says from which of several sources the next picture comes: objects are followed within each.
    pub fn set_lane(&mut self, lane: usize) {
        let Lanes { trackers, lane: current } = &mut self.prepared.followed;
        *current = lane;
        while !trackers.is_empty() && trackers.len() <= lane {
            trackers.push(Tracker::of_lane(trackers.len()));
        }
    }

    /// Explains by this method from now on, and the class of the request. The model is typed at most once.
    ///
    /// # Errors
    /// As [`Explainer::new`]; the explainer is as before.
    pub fn set_method(&mut self, method: &'static Method) -> Result<()> {
        self.change(Request { method: Some(method), ..self.request.clone() })
    }

    /// Explains at this layer from now on, and the class of the request. The model is typed at most once.
    ///
    /// # Errors
    /// As [`Explainer::new`]; the explainer is as before.
    pub fn set_layer(&mut self, layer: LayerName) -> Result<()> {
        self.change(Request { layers: vec![layer], ..self.request.clone() })
    }

    /// Explains from now on what it explained at the beginning.
    ///
    /// # Errors
    /// As [`Explainer::new`]; the explainer is as before.
    pub fn reset(&mut self) -> Result<()> {
        let (options, request) = &self.first;
        let mut prepared = Prepared::new(options, request, &mut None)?;
        if !self.prepared.followed.trackers.is_empty() {
            prepared.followed.trackers = vec![Tracker::default()];
        }
        (self.options, self.request, self.prepared, self.typed) = (options.clone(), request.clone(), prepared, None);
        Ok(())
    }

    fn change(&mut self, request: Request) -> Result<()> {
        let mut prepared = Prepared::new(&self.options, &request, &mut self.typed)?;
        prepared.followed = std::mem::take(&mut self.prepared.followed);
        (self.prepared, self.request) = (prepared, request);
        Ok(())
    }

    /// The typed model, made when it is first needed.
    fn typed(&mut self) -> Result<&TypedModel> {
        Ok(match &mut self.typed {
            Some(typed) => typed,
            empty => empty.insert(type_tensors(load(&self.options)?)?),
        })
    }

    /// Layers to offer: the default one, and for each other grid the last layer that has it, from coarse to fine.
    ///
    /// # Errors
    /// The model cannot be read or located.
    pub fn layers(&mut self) -> Result<Vec<String>> {
        let request = Request { layers: Vec::new(), ..self.request.clone() };
        let located = locate(self.typed()?.clone(), &request)?;
        let Some(default) = located.targets.first() else { return Ok(Vec::new()) };
        let finer = last_of_each_grid(default, located.candidates());
        Ok([vec![default.layer.tensor.clone()], finer].concat())
    }

    /// From now on cancels an explanation of many runs when this returns true, with [`Error::Cancelled`]: at a fine layer
    /// such a map takes minutes.
    pub fn cancel_when(&mut self, cancelled: impl Fn() -> bool + Send + 'static) {
        self.cancelled = Box::new(cancelled);
    }

    /// Explains a picture.
    ///
    /// # Errors
    /// The runtime fails, or the explanation is cancelled.
    pub fn explain(&mut self, picture: &RgbImage) -> Result<Explanation> {
        self.explain_shown(picture, 1.0)
    }

    /// Explains a picture whose pixels are shown `aspect` times as wide as high.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn explain_shown(&mut self, picture: &RgbImage, aspect: f64) -> Result<Explanation> {
        let (tensor, region) = trace_span!("preprocess").in_scope(|| self.preprocessor.run(picture, aspect))?;
        let size = [picture.width(), picture.height()].map(f64::from);
        self.prepared.compute(&self.cancelled, tensor, region, size)
    }

    /// The map of one entry of a detector's flattened logits, whether it counts as a detection or not. The tensor is the
    /// model's input `[1,…]`.
    ///
    /// # Errors
    /// The model is no detector, the runtime fails, or the explanation is cancelled.
    pub fn map_of_entry(&mut self, tensor: ArrayViewD<f32>, entry: i64) -> Result<CamMap> {
        let Prepared { runner, remainder, attribution, .. } = &mut self.prepared;
        let aids = Aids { remainder: remainder.as_mut(), tracker: None, picture: [0.0; 2], cancelled: &self.cancelled };
        attribution.map_of_entry(runner, aids, tensor, entry)
    }

    /// Explains a tensor that is the model's input, with or without a batch of 1. The map lies over all of it.
    ///
    /// # Errors
    /// The tensor has another shape than the model's input, the runtime fails, or the explanation is cancelled.
    pub fn explain_tensor(&mut self, tensor: ArrayViewD<f32>) -> Result<Explanation> {
        let wanted = &self.prepared.runner.shape[1..];
        let given = tensor.shape().to_vec();
        let tensor = if given == wanted { tensor.insert_axis(Axis(0)) } else { tensor };
        if tensor.shape() != [&[1], wanted].concat() {
            let problem = format!("the tensor is {given:?}, but the model takes {wanted:?}");
            return Err(Error::model(&self.context().model, problem));
        }
        let region = Region::whole(&self.prepared.input);
        let tensor = tensor.as_standard_layout();
        self.prepared.compute(&self.cancelled, tensor.view(), region, [region.width, region.height])
    }
}

/// Refuses what a method does not do with its layers.
fn check_layers(method: &Method, layers: usize, request: &Request) -> Result<()> {
    if request.signed && !(method.signed && layers == 1) {
        let signed = METHODS.iter().filter(|method| method.signed).map(|method| method.name);
        let signed = signed.collect::<Vec<_>>().join(", ");
        return Err(Error::Conflict(format!("a signed map is of one layer, by {signed}")));
    }
    if method.layers == Layers::EachGrid && request.fusion == Fusion::Mean {
        return Err(Error::Conflict(format!("{} multiplies the maps of its layers; leave out --fuse", method.name)));
    }
    Ok(())
}

impl Prepared {
    /// Prepares a request. `typed` keeps the typed model, if there is a need for it.
    pub(super) fn new(options: &ModelOptions, request: &Request, typed: &mut Option<TypedModel>) -> Result<Self> {
        // A detector explains any number of detections after one run.
        let batch = request.scores.len() > 1 && request.method.is_none_or(|method| method.formula().is_some());
        let mut notices = Vec::new();
        if batch {
            let augmented = augmented(options, request, true, typed)?;
            if !augmented.extras.batched_classes {
                return Self::load(augmented, options, request, notices);
            }
            match Self::batched(augmented, options, request) {
                Ok(prepared) => return Ok(prepared),
                // Not every graph takes several classes of one picture.
                Err(reason) => {
                    notices.push(format!("each class takes a run, since a batch of them fails: {reason}"));
                }
            }
        }
        Self::load(augmented(options, request, false, typed)?, options, request, notices)
    }

    /// Loads a model that takes several classes, and tries it on zeros.
    fn batched(augmented: AugmentedModel, options: &ModelOptions, request: &Request) -> Result<Self> {
        let mut prepared = Self::load(augmented, options, request, Vec::new())?;
        let zeros = ArrayD::zeros([&[1], &prepared.runner.shape[1..]].concat());
        let whole = Region::whole(&prepared.input);
        prepared.compute(&|| false, zeros.view(), whole, [whole.width, whole.height])?;
        Ok(prepared)
    }

    fn load(
        mut augmented: AugmentedModel,
        options: &ModelOptions,
        request: &Request,
        mut notices: Vec<String>,
    ) -> Result<Self> {
        let method = augmented.method;
        check_layers(method, augmented.layers(), request)?;
        let batched = augmented.extras.batched_classes;
        let in_graph = method.in_graph.is_some() && augmented.layers() == 1 && !batched && !Windows::fit(&augmented);
        if in_graph {
            augmented.reduce_to_cam()?;
        }
        let runner = ModelRunner::new(&augmented, augmented.scores.subjects.len(), options.compute)?;
        let remainder = augmented.extras.remainder.as_ref();
        let remainder = remainder.map(|remainder| RemainderRunner::new(remainder, options.compute)).transpose()?;
        if let Some(reason) = remainder.as_ref().and_then(|remainder| remainder.one_at_a_time.as_ref()) {
            notices.push(format!("the layers after the target take one activation at a time: {reason}"));
        }
        let AugmentedModel { manifest, guess, task, scores, contract, extras, notices: found, .. } = augmented;
        notices.splice(..0, found);
        let context = ExplanationContext {
            task: task.name(),
            model: manifest.name,
            layer: contract.layer,
            shift: contract.shift,
            method: method.name.to_owned(),
            labels: manifest.labels,
            unit: match task {
                _ if contract.layer_geometries.len() > 1 => "share of the largest",
                Task::Value(_) if method.unit == "logit" => "",
                _ => method.unit,
            },
            against: scores.against(),
            guess,
            notices,
        };
        let attribution = Attribution {
            model: context.model.clone(),
            task,
            method,
            in_graph,
            subjects: scores.subjects,
            detections: request.detections,
            batched,
            fusion: request.fusion,
            curvature: extras.curvature,
            input: [manifest.input.height, manifest.input.width],
            grid: contract.grid,
            geometry: contract.geometry,
            layer_geometries: contract.layer_geometries,
            known: manifest.known,
            labels: context.labels.clone(),
            focus: None,
            area: request.area,
            direction: request.direction,
            signed: request.signed,
        };
        Ok(Self { runner, remainder, attribution, context, input: manifest.input, followed: Lanes::default() })
    }

    fn compute(
        &mut self,
        cancelled: &dyn Fn() -> bool,
        tensor: ArrayViewD<f32>,
        seen: Region,
        picture: [f64; 2],
    ) -> Result<Explanation> {
        let Lanes { trackers, lane } = &mut self.followed;
        let aids = Aids { remainder: self.remainder.as_mut(), tracker: trackers.get_mut(*lane), picture, cancelled };
        self.attribution.compute(&mut self.runner, aids, tensor, seen)
    }
}
