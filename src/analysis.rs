//! From a model's file to one that explains itself: what the file says, what is guessed, what is added.

use std::path::PathBuf;

use crate::cache::Slot;
use crate::cam::{self, How};
use crate::classes::parse_contrast;
use crate::error::{Error, Result};
use crate::grad::{self, Ask, Head, Place, Probability, Rules, Score, Tail, Target, Tensors};
use crate::manifest::{Known, Layout, Manifest};
use crate::onnx::proto::{Attribute, Node};
use crate::onnx::{DataType, OnnxModel};
use crate::opening::{Guess, KNOWN, LABELS, LAYER, Opened, PREPROCESSING, image_input, open};
use crate::options::ExplainerOptions;
use crate::probed::Probed;
use crate::session;

/// A classifier that has been read and looked through, before the backward pass is added.
pub struct Analysis {
    pub model: OnnxModel,
    pub manifest: Manifest,
    /// Where preprocessing was guessed: the preset, and why.
    pub guess: Option<Guess>,
    pub input: String,
    pub head: Head,
    pub target: Target,
    /// More layers, whose maps are fused with the target's.
    pub further: Vec<Target>,
    pub tensors: Tensors,
    /// The gradient rules that [`Analysis::prepare`] goes by.
    pub rules: Rules,
}

/// A model that explains itself.
pub struct Prepared {
    pub model: OnnxModel,
    pub manifest: Manifest,
    pub guess: Option<Guess>,
    pub input: String,
    /// The tensor of the target layer.
    pub layer: String,
    /// Rows and columns of the map.
    pub grid: [usize; 2],
    /// Where they lie on the model's input.
    pub place: Place,
    pub classes: usize,
    pub probability: Probability,
    /// The part behind the layer, where the method asks for it.
    pub tail: Option<Tail>,
    /// How many layers it gives maps of.
    pub layers: usize,
    /// Whether `class_index` may hold several classes for one picture.
    pub several: bool,
    /// The folder in which what the runtime makes of it may be kept.
    pub kept_in: Option<PathBuf>,
}

/// What a method wants of a model beside logits and activations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    pub ask: Ask,
    pub curvature: bool,
    pub tail: bool,
}

/// Reads a model and brings it into the form that gives what a method needs; one that explains
/// itself already stays as it is.
///
/// # Errors
/// As [`analyse`]; an op between logits and target layer has no gradient rule; or a model that explains
/// itself lacks what the method needs.
pub fn prepare(options: &ExplainerOptions) -> Result<Prepared> {
    prepare_for_classes(options, false, &mut None)
}

/// Reads a model and brings it into the form that gives logits beside its own outputs, and nothing else.
///
/// # Errors
/// As [`analyse`].
pub fn prepare_plain(options: &ExplainerOptions) -> Result<Prepared> {
    let opened = open(options)?;
    if opened.model.metadata(LAYER).is_some() {
        return opened.into_prepared(options);
    }
    let mut prepared = Probed::new(opened)?.analyse(options)?.prepare_for(Needs::default())?;
    // An output keeps the runtime from fusing what it is made of.
    prepared.model.graph_mut().output.retain(|output| output.name() != grad::Explained::NAMES.activations);
    Ok(prepared)
}

/// As [`prepare`], and with `several` so that `class_index` may hold several classes for one picture. A model that is
/// kept in `probed` is not looked through again; where it has to be looked through, it is kept there.
pub fn prepare_for_classes(options: &ExplainerOptions, several: bool, probed: &mut Option<Probed>) -> Result<Prepared> {
    let opened = match probed {
        Some(probed) => probed.opened.clone(),
        None => open(options)?,
    };
    let method = options.find_method()?;
    let against = match &options.contrast {
        Some(pair) => Some(parse_contrast(pair, &opened.manifest.labels)?.1),
        None => None,
    };
    if opened.model.metadata(LAYER).is_some() {
        let plain = method.layer == cam::Layer::Target && method.score == cam::Score::Class && against.is_none();
        if !plain || !(matches!(method.how, How::Activations(_)) || method.how.formula().is_some()) {
            let problem =
                format!("it explains itself, but not by {}; give the model that it was made from", method.name);
            return Err(opened.model.error(problem));
        }
        return opened.into_prepared(options);
    }
    let score = match (method.score, against) {
        (cam::Score::AgainstRivals, None) => Score::AgainstRivals,
        (cam::Score::Class, None) => Score::Class,
        (cam::Score::Class, Some(other)) if method.how.needs_gradients() => Score::Against(other),
        _ => {
            let mend = "take one that takes the gradient of the class's own score, such as grad-cam";
            return Err(Error::Together(format!("{} makes no contrast of two classes; {mend}", method.name)));
        }
    };
    let several_layers = options.layer.as_ref().or(opened.manifest.layer.as_ref()).is_some_and(|l| l.contains(','));
    let usual = method.how.formula().is_some()
        && method.layer == cam::Layer::Target
        && score == Score::Class
        && options.randomised.is_none()
        && !(several || several_layers);
    let slot = if usual { Slot::of(options, &opened) } else { None };
    let kept_in = slot.as_ref().and(options.cache.clone());
    if let Some(slot) = &slot
        && let Some(model) = slot.load(&opened.model.name)
    {
        let prepared =
            Opened { model, ..opened }.into_prepared(&ExplainerOptions { layer: None, ..options.clone() })?;
        return Ok(Prepared { kept_in, ..prepared });
    }
    let analysis = Probed::kept(probed, || Ok(opened))?.clone().analyse(options)?;
    if !analysis.further.is_empty() && method.how.formula().is_none() {
        let mend = "name one layer, or take a method of one run and one gradient, such as layer-cam";
        return Err(Error::Together(format!("{} does not fuse maps of several layers; {mend}", method.name)));
    }
    let prepared = analysis.prepare_for(Needs {
        ask: Ask { score: method.how.needs_gradients().then_some(score), several },
        curvature: matches!(method.how, How::Curvature(_)),
        tail: matches!(method.how, How::Tail(_)),
    })?;
    if let Some(slot) = slot {
        slot.store(&prepared.model);
    }
    Ok(Prepared { kept_in, ..prepared })
}

/// Reads a model and finds its logits and target layer. Of a model that explains itself already, it
/// is the layer that it was prepared for.
///
/// # Errors
/// The model cannot be read, is no image classifier, or lacks the layer asked for.
pub fn analyse(options: &ExplainerOptions) -> Result<Analysis> {
    Probed::new(open(options)?)?.analyse(options)
}

const GRID: &str = "whycam.grid";
const PLACE: &str = "whycam.place";
const PROBABILITY: &str = "whycam.probability";

impl Probed {
    /// # Errors
    /// As [`analyse`], but for reading the file.
    pub fn analyse(self, options: &ExplainerOptions) -> Result<Analysis> {
        let Self { opened: Opened { model, manifest, guess }, input, tensors } = self;
        let prepared_for = model.metadata(LAYER).map(str::to_owned);
        let output = options.output.as_deref().or(manifest.output.as_deref());
        let head = grad::find_head(&model, &tensors, output)?;
        check_labels(&model, &manifest, head.classes)?;
        if let Some(Known { output, .. }) = &manifest.known
            && !model.graph().output.iter().any(|o| o.name() == output)
        {
            return Err(model.error(format!("it has no output '{output}', which its manifest names under [known]")));
        }
        let layer = options.layer.as_deref().or(prepared_for.as_deref()).or(manifest.layer.as_deref());
        let channels_last = manifest.input.layout == Layout::ChannelsLast;
        let mut target = if options.find_method()?.layer == cam::Layer::Input && prepared_for.is_none() {
            grad::input_target(&model, &tensors, channels_last)?
        } else {
            let first = layer.map(|layers| layers.split(',').next().unwrap_or_default());
            grad::find_target(&model, &tensors, &head, channels_last, first)?
        };
        let rest = layer.into_iter().flat_map(|layers| layers.split(',').skip(1));
        let further = rest.map(|layer| grad::find_target(&model, &tensors, &head, channels_last, Some(layer.trim())));
        let further = further.collect::<Result<Vec<_>>>()?;
        if options.layer.is_none() && prepared_for.is_some() {
            target.reason = "the model was prepared for it".into();
        }
        Ok(Analysis { model, manifest, guess, input, head, target, further, tensors, rules: Rules::default() })
    }
}

impl Opened {
    /// A model that was written by [`Analysis::prepare`], from what its metadata say.
    fn into_prepared(self, options: &ExplainerOptions) -> Result<Prepared> {
        let Self { model, manifest, guess } = self;
        let layer = model.metadata(LAYER).unwrap_or_default().to_owned();
        if let Some(other) = options.layer.as_ref().filter(|other| **other != layer) {
            let problem =
                format!("it was prepared for the layer {layer}, so it cannot explain {other}; prepare it again");
            return Err(model.error(problem));
        }
        let outputs = |name: &str| model.graph().output.iter().find(|o| o.name() == name);
        let classes = outputs(grad::Explained::NAMES.logits).and_then(|o| o.dims()?.get(1).copied().flatten());
        let grid = model.metadata(GRID).and_then(|text| {
            let (height, width) = text.split_once('x')?;
            Some([height.parse().ok()?, width.parse().ok()?])
        });
        let (Some(classes), Some(grid)) = (classes, grid) else {
            return Err(model.error("its whycam metadata are damaged; prepare it again"));
        };
        check_labels(&model, &manifest, classes as usize)?;
        let sigmoid = model.metadata(PROBABILITY) == Some(Probability::Sigmoid.name());
        let probability = if sigmoid { Probability::Sigmoid } else { Probability::Softmax };
        let input = image_input(&model)?.name().to_owned();
        let place = model.metadata(PLACE).and_then(|text| serde_json::from_str(text).ok());
        let place = place.unwrap_or_else(|| Place::even(grid, [manifest.input.height, manifest.input.width]));
        Ok(Prepared {
            model,
            manifest,
            guess,
            input,
            layer,
            grid,
            place,
            classes: classes as usize,
            probability,
            tail: None,
            layers: 1,
            several: false,
            kept_in: None,
        })
    }
}

fn check_labels(model: &OnnxModel, manifest: &Manifest, classes: usize) -> Result<()> {
    match manifest.labels.len() {
        0 => Ok(()),
        labels if labels == classes => Ok(()),
        labels => Err(model.error(format!("it has {classes} classes, but there are {labels} labels"))),
    }
}

impl Analysis {
    /// Appends the backward pass and the outputs of the map to the model, and writes what a user of
    /// the file must know into its metadata: `whycam.layer`, `whycam.logits`, `whycam.grid`,
    /// `whycam.place`, `whycam.probability`, and as JSON `whycam.labels` and `whycam.preprocessing`.
    ///
    /// # Errors
    /// The model explains itself already, or an op between logits and target layer has no gradient rule.
    pub fn prepare(self) -> Result<Prepared> {
        if !self.further.is_empty() {
            return Err(self.model.error("a model that explains itself does so at one layer; name one"));
        }
        self.prepare_for(Needs { ask: Ask { score: Some(Score::Class), several: false }, ..Needs::default() })
    }

    /// As [`Analysis::prepare`], for what a method needs.
    ///
    /// # Errors
    /// The same.
    pub fn prepare_for(self, needs: Needs) -> Result<Prepared> {
        let Self { mut model, manifest, guess, input, head, target, further, tensors, rules } = self;
        let layers = 1 + further.len();
        if let Some(layer) = model.metadata(LAYER) {
            let problem = format!("it explains itself already, at {layer}; give the model that it was made from");
            return Err(model.error(problem));
        }
        if let Some(Score::Against(other)) = needs.ask.score
            && other >= head.classes
        {
            let known = format!("give a number from 0 to {}", head.classes - 1);
            return Err(Error::Unknown { what: "class", name: other.to_string(), known });
        }
        let json = |e: serde_json::Error| Error::model(&manifest.name, e);
        let labels = serde_json::to_string(&manifest.labels).map_err(json)?;
        let preprocessing = serde_json::to_string(&manifest.input).map_err(json)?;
        let tail = if needs.tail { Some(grad::cut_tail(&model, &tensors, &head, &target)?) } else { None };
        let gradient = grad::explain(&mut model, &tensors, &rules, &head, &target, &further, needs.ask)?;
        for tensor in tail.iter().flat_map(|tail| &tail.beside) {
            let to_float = Node::new("Cast", grad::taken(tensor), &[tensor], &[&grad::taken(tensor)]);
            model.graph_mut().node.push(to_float.with(Attribute::from_int("to", DataType::Float as i64)));
            model.add_output(&grad::taken(tensor));
        }
        if let Some(gradient) = gradient.filter(|_| needs.curvature) {
            let shape = tensors[&input].shape.clone();
            let inputs = [(input.as_str(), shape.clone()), (grad::CLASS_INDEX, vec![shape[0]])];
            let tensors = session::probe(&mut model, &inputs)?;
            grad::explain_curvature(&mut model, &tensors, &rules, &target, &gradient)?;
        }
        let [height, width] = [target.layer.view.height, target.layer.view.width];
        model.set_metadata(LAYER, &target.layer.tensor);
        model.set_metadata("whycam.logits", &head.logits);
        model.set_metadata(GRID, format!("{height}x{width}"));
        // Fused maps are enlarged to the finest of them, each as if it lay evenly.
        let place = if layers > 1 {
            let all = std::iter::once(&target).chain(&further).map(|t| &t.layer.view);
            let [h, w] = all.fold([0, 0], |[h, w], view| [h.max(view.height), w.max(view.width)]);
            Place::even([h, w], [manifest.input.height, manifest.input.width])
        } else {
            target.layer.view.place
        };
        model.set_metadata(PLACE, serde_json::to_string(&place).map_err(json)?);
        model.set_metadata(PROBABILITY, head.probability.name());
        model.set_metadata(LABELS, labels);
        model.set_metadata(PREPROCESSING, preprocessing);
        if let Some(known) = &manifest.known {
            model.set_metadata(KNOWN, serde_json::to_string(known).map_err(json)?);
        }
        Ok(Prepared {
            model,
            manifest,
            guess,
            input,
            layer: std::iter::once(&target)
                .chain(&further)
                .map(|t| t.layer.tensor.as_str())
                .collect::<Vec<_>>()
                .join(","),
            grid: [height, width],
            place,
            classes: head.classes,
            probability: head.probability,
            tail,
            layers,
            several: needs.ask.several,
            kept_in: None,
        })
    }
}

impl Prepared {
    /// The output of [`Prepared::reduce_to_cam`].
    pub const CAM: &str = "whycam.cam";

    /// Adds Grad-CAM itself, as the output `cam`, float32 `[N,h,w]`.
    ///
    /// # Errors
    /// The model has an output of that name.
    pub fn append_cam(&mut self) -> Result<()> {
        grad::append_cam(&mut self.model, "cam", self.grid)
    }

    /// Puts Grad-CAM, as the output [`Prepared::CAM`], in the place of activations and gradients.
    ///
    /// # Errors
    /// As [`Prepared::append_cam`].
    pub fn reduce_to_cam(&mut self) -> Result<()> {
        grad::append_cam(&mut self.model, Self::CAM, self.grid)?;
        // An output costs a copy, and keeps the runtime from fusing what it is made of.
        let made_of = [grad::Explained::NAMES.activations, grad::Explained::NAMES.gradients];
        self.model.graph_mut().output.retain(|output| !made_of.contains(&output.name()));
        Ok(())
    }
}
