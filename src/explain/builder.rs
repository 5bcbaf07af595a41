//! Building an explainer step by step.

use std::path::PathBuf;

use super::explainer::Explainer;
use crate::cam::{Fusion, Method};
use crate::error::Result;
use crate::grad::LayerName;
use crate::model::{
    Area, ClassName, Direction, Feed, FeedValue, ModelOptions, ModelSource, Preset, Randomised, Reference, Request,
    ScoreQuery,
};
use crate::session::Compute;

/// Builds an [`Explainer`]. The default is Grad-CAM of the predicted class, by the first embedded model at its default
/// layer.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ExplainerBuilder {
    options: ModelOptions,
    request: Request,
}

impl ExplainerBuilder {
    /// An embedded model by its name, an ONNX file, or a folder in the layout of Transformers.js.
    pub fn model(mut self, model: impl Into<ModelSource>) -> Self {
        self.options.model = model.into();
        self
    }

    /// A file of labels, one a line, in the order of the logits.
    pub fn labels(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.labels = Some(path.into());
        self
    }

    /// The preprocessing of an ONNX file without a manifest.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.options.preset = Some(preset);
        self
    }

    /// The output to explain, where the model has several outputs.
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.options.output = Some(name.into());
        self
    }

    /// What the outputs mean, one of [`TASKS`](crate::grad::TASKS), in place of what the graph tells.
    pub fn task(mut self, task: &'static str) -> Self {
        self.options.task = Some(task);
        self
    }

    /// What an input other than the picture is given in every run.
    pub fn feed(mut self, input: impl Into<String>, value: FeedValue) -> Self {
        self.options.feed.push(Feed { input: input.into(), value });
        self
    }

    /// Compares an embedding with that of a picture. Several of one name count by their mean.
    pub fn like(mut self, name: impl Into<String>, picture: impl Into<PathBuf>) -> Self {
        let reference = Reference::Picture { name: name.into(), path: picture.into() };
        self.options.comparison.references.push(reference);
        self
    }

    /// Compares the picture with words, by a model of pictures and words.
    pub fn words<'w>(mut self, words: impl IntoIterator<Item = &'w str>) -> Self {
        let words = words.into_iter().map(|words| Reference::Words(words.to_owned()));
        self.options.comparison.references.extend(words);
        self
    }

    /// The part of the picture, in its pixels, that a segmenter's score is taken over.
    pub fn area(mut self, area: Area) -> Self {
        self.request.area = Some(area);
        self
    }

    /// Whether it is explained what makes a value rise or fall.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.request.direction = direction;
        self
    }

    /// Threads and device.
    pub fn compute(mut self, compute: Compute) -> Self {
        self.options.compute = compute;
        self
    }

    /// A folder that keeps augmented models, so that the next start is quick.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.cache = Some(folder.into());
        self
    }

    /// Weights that are drawn at random.
    pub fn randomised(mut self, randomised: Randomised) -> Self {
        self.options.randomised = Some(randomised);
        self
    }

    pub fn method(mut self, method: &'static Method) -> Self {
        self.request.method = Some(method);
        self
    }

    /// The target layer.
    pub fn layer(self, layer: impl Into<LayerName>) -> Self {
        self.layers(vec![layer.into()])
    }

    /// Several target layers, whose maps are fused.
    pub fn layers(mut self, layers: Vec<LayerName>) -> Self {
        self.request.layers = layers;
        self
    }

    /// How the maps of several layers become one.
    pub fn fusion(mut self, fusion: Fusion) -> Self {
        self.request.fusion = fusion;
        self
    }

    /// Keeps what speaks against the score, as negative numbers.
    pub fn signed(mut self, signed: bool) -> Self {
        self.request.signed = signed;
        self
    }

    /// The class to explain, in place of the predicted one.
    pub fn class(self, class: impl Into<ClassName>) -> Self {
        self.scores(vec![ScoreQuery::Class(class.into())])
    }

    /// The scores to explain, each with a map.
    pub fn scores(mut self, scores: Vec<ScoreQuery>) -> Self {
        self.request.scores = scores;
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// As [`Explainer::new`].
    pub fn build(self) -> Result<Explainer> {
        Explainer::new(&self.options, &self.request)
    }
}
