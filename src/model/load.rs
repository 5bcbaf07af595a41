//! Step 1: a model's file, with its manifest, its metadata, or a guess of its preprocessing.

use std::path::{Path, PathBuf};

use super::bare_input::{Bare, Guess, bare_input};
use super::class_names::take_class_names;
use super::embedded::EMBEDDED;
use super::feed::feed;
use super::inputs::{add_batch_axis, feed_sizes};
use super::label_sets::{LABEL_SETS, label_set};
use super::manifest::{InputSpec, Manifest};
use super::metadata::Contract;
use super::options::{Comparison, Feed, ModelOptions, ModelSource, Randomised, Reference, UNNAMED};
use super::pretrained::{graph_file, pretrained};
use super::request::Request;
use super::stated::{Stated, stated};
use super::words::{feed_words, takes_words};
use crate::cam;
use crate::error::{Error, Result};
use crate::files::limits;
use crate::grad::OutputReading;
use crate::onnx::OnnxModel;
use crate::session::Compute;

/// A model file, and what is known of it without a look at its graph.
#[derive(Clone)]
pub struct LoadedModel {
    pub model: OnnxModel,
    pub manifest: Manifest,
    /// The guessed preprocessing, where nothing states it.
    pub guess: Option<Guess>,
    /// The metadata of a model that is augmented already.
    pub contract: Option<Contract>,
    /// Whether nothing states the size of the input.
    pub size_open: bool,
    /// The file that it was read from.
    pub path: Option<PathBuf>,
    /// What an embedding is compared with.
    pub comparison: Comparison,
    /// How references are embedded.
    pub compute: Compute,
    /// What a user should know of how the model was read.
    pub notices: Vec<String>,
}

/// Reads a model.
///
/// # Errors
/// The file is absent, not an ONNX model, or takes something other than a picture.
pub fn load(options: &ModelOptions) -> Result<LoadedModel> {
    let mut loaded = match &options.model {
        ModelSource::Embedded(embedded) => {
            let (mut model, manifest) = embedded.load()?;
            feed_inputs(&mut model, Path::new(""), Some(&manifest), options)?;
            LoadedModel::described(model, manifest)
        }
        ModelSource::File(path) => load_file(path, options)?,
        ModelSource::Bytes(bytes) => {
            let model = OnnxModel::from_bytes(UNNAMED, bytes.to_vec())?;
            load_graph(model, UNNAMED.to_owned(), None, options)?
        }
    };
    if let Some(path) = &options.labels {
        loaded.manifest.labels = labels(path)?;
    }
    let asked = options.task.is_some() || options.output.is_some() || options.reading != OutputReading::default();
    if loaded.contract.is_some() && asked {
        let problem = "it was prepared with its task, output, scores, background and box order; --task, --output, --scores, \
                       --background and --box-order go with the model that it was made from";
        return Err(loaded.model.error(problem));
    }
    if let Some(task) = options.task {
        loaded.manifest.task = Some(task.to_owned());
    }
    (loaded.comparison, loaded.compute) = (options.comparison.clone(), options.compute);
    let manifest = &mut loaded.manifest;
    let OutputReading { scores, background, box_order } = options.reading.or(manifest.reading());
    (manifest.scores, manifest.background, manifest.box_order) = (scores, background, box_order);
    if let Some(output) = &options.output {
        loaded.manifest.output = Some(output.clone());
    }
    if let Some((width, height)) = options.input_size {
        (loaded.manifest.input.width, loaded.manifest.input.height) = (width as usize, height as usize);
        loaded.size_open = false;
    }
    if loaded.size_open {
        let InputSpec { width, height, .. } = loaded.manifest.input;
        let problem = "the model leaves the size of its input open";
        loaded.notices.push(format!("{problem}; pictures are resized to {width}x{height}; --input-size chooses"));
    }
    let fed = feed_sizes(&mut loaded.model, &loaded.manifest.input);
    loaded.notices.extend(fed);
    for label in &mut loaded.manifest.labels {
        *label = limits::printable(label);
    }
    if let Some(Randomised { share, seed }) = options.randomised {
        loaded.model.randomise(share, seed);
    }
    Ok(loaded)
}

/// A built-in list of labels, or those in a file.
fn labels(path: &Path) -> Result<Vec<String>> {
    let built_in = path.to_str().filter(|_| !path.exists()).and_then(label_set);
    if let Some(labels) = built_in {
        return Ok(labels);
    }
    let text = limits::read_text(path).map_err(|e| match Error::reading(path, &e) {
        error if path.exists() => error,
        error => Error::input(path, format!("{error}; built-in lists are {}", LABEL_SETS.join(", "))),
    })?;
    // Editors leave a byte order mark before the first line, and empty lines after the last one.
    let lines = text.trim_start_matches('\u{feff}').trim_end().lines();
    Ok(lines.map(|line| line.trim_end().to_owned()).collect())
}

fn load_file(path: &Path, options: &ModelOptions) -> Result<LoadedModel> {
    if path.metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        let known: Vec<&str> = EMBEDDED.iter().map(|e| e.name).collect();
        let problem = format!("no such file; built in are {}", known.join(", "));
        return Err(Error::model(path.display(), problem));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let path = graph_file(path)?;
    load_graph(OnnxModel::read(&path)?, name, Some(&path), options)
}

/// A model that is read, with what its file and the files beside it state.
fn load_graph(mut model: OnnxModel, name: String, path: Option<&Path>, options: &ModelOptions) -> Result<LoadedModel> {
    let described = path.map(|path| path.with_extension("toml"));
    let described = described.filter(|described| options.preset.is_none() && described.exists());
    let manifest = described.map(|described| Manifest::read(&described)).transpose()?;
    feed_inputs(&mut model, path.unwrap_or(Path::new("")), manifest.as_ref(), options)?;
    let mut notices: Vec<String> = add_batch_axis(&mut model).into_iter().collect();
    let contract = Contract::read(&model)?;
    let loaded = match (manifest, &contract) {
        (Some(mut manifest), _) => {
            let of_graph = take_class_names(&mut model);
            if manifest.labels.is_empty() {
                manifest.labels = of_graph;
            }
            LoadedModel::described(model, manifest)
        }
        (None, Some(contract)) => {
            let input = match options.preset {
                None => contract.preprocessing.clone(),
                preset => bare_input(&model, preset, &Stated::default())?.spec,
            };
            let manifest =
                Manifest { known: contract.known.clone(), ..Manifest::bare(name, contract.labels.clone(), input) };
            LoadedModel::described(model, manifest)
        }
        (None, None) => load_bare(model, name, path, options)?,
    };
    notices.extend(loaded.notices);
    Ok(LoadedModel { contract, path: path.map(Path::to_owned), notices, ..loaded })
}

/// A model without a manifest: what other tools state of it, or else a guess.
fn load_bare(mut model: OnnxModel, name: String, path: Option<&Path>, options: &ModelOptions) -> Result<LoadedModel> {
    let mut notices = Vec::new();
    let stated = match stated(&model)? {
        Some(stated) => stated,
        None => path.map(pretrained).transpose()?.flatten().unwrap_or_default(),
    };
    let of_graph = take_class_names(&mut model);
    if of_graph.is_empty() && options.labels.is_none() {
        notices.extend(stated.notice.clone());
    }
    let labels = if of_graph.is_empty() { stated.labels.clone() } else { of_graph.clone() };
    if !labels.is_empty() && options.labels.is_none() {
        let place = if of_graph.is_empty() { stated.by } else { "the graph" };
        notices.push(format!("labels are read from {place}; --labels chooses"));
    }
    let Bare { spec, guess, unscaled, size_open } = bare_input(&model, options.preset, &stated)?;
    if stated.pixels.is_some() && options.preset.is_none() {
        let but = unscaled.map(|reason| format!(", but stay 0 to 255 ({reason})"));
        let but = but.unwrap_or_default();
        notices.push(format!("pictures are preprocessed as {} say{but}; --preset chooses", stated.by));
    }
    let manifest = Manifest { task: stated.task.map(str::to_owned), ..Manifest::bare(name, labels, spec) };
    Ok(LoadedModel { guess, size_open, notices, ..LoadedModel::described(model, manifest) })
}

/// Gives further inputs what the options and the manifest say, so that the picture is left.
fn feed_inputs(model: &mut OnnxModel, path: &Path, manifest: Option<&Manifest>, options: &ModelOptions) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let stated = manifest.iter().flat_map(|manifest| &manifest.feed);
    let stated = stated.filter(|(input, _)| options.feed.iter().all(|feed| feed.input != **input));
    let stated = stated.map(|(input, value)| Feed { input: input.clone(), value: value.within(folder) });
    let all: Vec<Feed> = stated.chain(options.feed.iter().cloned()).collect();
    feed(model, &all)?;
    let mut words: Vec<&str> = Vec::new();
    for reference in &options.comparison.references {
        match reference {
            Reference::Words(text) if !words.contains(&text.as_str()) => words.push(text),
            _ => {}
        }
    }
    if !words.is_empty() && takes_words(model) {
        feed_words(model, path, &options.comparison, &words)?;
    }
    Ok(())
}

impl LoadedModel {
    /// A request with the method of the manifest, where it names none.
    ///
    /// # Errors
    /// There is no method of the name in the manifest.
    pub fn with_own_method(&self, request: &Request) -> Result<Request> {
        let own = self.manifest.method.as_deref().filter(|_| request.method.is_none());
        let method =
            own.map(cam::find).transpose().map_err(|problem| self.model.error(format!("its manifest: {problem}")))?;
        Ok(Request { method: method.or(request.method), ..request.clone() })
    }

    /// A model that its manifest describes.
    fn described(model: OnnxModel, manifest: Manifest) -> Self {
        Self {
            model,
            manifest,
            guess: None,
            contract: None,
            size_open: false,
            path: None,
            comparison: Comparison::default(),
            compute: Compute::default(),
            notices: Vec::new(),
        }
    }
}
