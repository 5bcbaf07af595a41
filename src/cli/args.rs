//! Options that several commands share, each group flattened into the commands that use it.

use std::env;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use whycam::cam::{self, Method};
use whycam::grad::{Background, BoxOrder, Probability, TASKS};
use whycam::plumbing::SIDES;
use whycam::{
    Area, Comparison, Compute, DetectionOptions, Device, Direction, Feed, FeedValue, Fusion, LayerName, ModelOptions,
    Preset, Reference, Request, ScoreQuery,
};

use super::style_args::StyleArgs;

/// Options of every command.
#[derive(Args, Clone)]
#[command(next_help_heading = "General")]
pub struct GlobalArgs {
    /// Write what each thread does when, as a Chrome trace (Perfetto opens it)
    #[arg(long, global = true, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Print errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print the runtime, model and layer, and every second how live view keeps up
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// Which model, and how it runs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A built-in model (see `whycam models`), an ONNX file, or a folder as Transformers.js has it
    #[arg(long, value_name = "NAME|FILE|DIR")]
    pub model: Option<String>,
    #[command(flatten)]
    pub settings: ModelSettings,
}

/// How a model is read and run.
#[derive(Args, Clone)]
#[command(next_help_heading = "Model")]
pub struct ModelSettings {
    /// What the model does, if its graph does not tell: classify, detect, segment, embed or value
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(TASKS).map(task))]
    pub task: Option<&'static str>,
    /// How a detector's logits become scores, if its graph does not do it: softmax (its last class is "no object") or
    /// sigmoid
    #[arg(long, value_name = "softmax|sigmoid", value_parser = named(Probability::NAMES, Probability::named))]
    pub scores: Option<Probability>,
    /// Which class of a detector's softmax stands for "no object": first or last
    #[arg(long, value_name = "first|last", value_parser = named(Background::NAMES, Background::named))]
    pub background: Option<Background>,
    /// What the four numbers of a detector's boxes are: corners, also with y before x, upper left corners and sizes, or
    /// centres and sizes
    #[arg(long, value_name = "xyxy|yxyx|xywh|cxcywh", value_parser = named(BoxOrder::NAMES, BoxOrder::named))]
    pub box_order: Option<BoxOrder>,
    /// A file of class names, one a line; or the built-in lists coco and imagenet
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Preprocessing for an ONNX file without a manifest: imagenet, unit, symmetric, raw, caffe, yolo, yolox, detr,
    /// nanodet, fastestdet or ultraface
    #[arg(long, value_name = "NAME", value_parser = Preset::from_str)]
    pub preset: Option<Preset>,
    /// The output to explain, if the model has several outputs
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// The size of the model's input, if the model leaves it open
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub input_size: Option<(u32, u32)>,
    /// What a further input of the model is given in every run: a number that fills it, or a .npy file. Again for more
    #[arg(long, value_name = "NAME=NUMBER|FILE.npy", value_parser = Feed::from_str)]
    pub feed: Vec<Feed>,
    #[command(flatten)]
    pub comparison: ComparisonArgs,
    /// Number of threads; 0 means one a core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// The device that runs the model: auto, cpu, cuda, tensorrt, coreml, directml, openvino or xnnpack, if ONNX
    /// Runtime's library has it
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = Device::from_str)]
    pub device: Device,
    /// Whether decoding and drawing go on while the model runs, as in live view.
    #[arg(skip)]
    pub shares_processor: bool,
}

/// What an embedding is compared with.
#[derive(Args, Clone)]
#[command(next_help_heading = "Embeddings")]
pub struct ComparisonArgs {
    /// Compare the model's embedding with that of a picture, called NAME. Again for more; several of one name count by their
    /// mean
    #[arg(long, value_name = "NAME=PICTURE", value_parser = Reference::parse_picture)]
    pub like: Vec<Reference>,
    /// Compare the picture with words, by a model of pictures and words such as CLIP
    #[arg(long, value_name = "A,B,…")]
    pub words: Option<String>,
    /// The model that embeds words [default: `text_model.onnx` next to the model of pictures]
    #[arg(long, value_name = "FILE", requires = "words")]
    pub text_model: Option<PathBuf>,
    /// The tokenizer of the words [default: `tokenizer.json` next to the model of words]
    #[arg(long, value_name = "FILE", requires = "words")]
    pub tokenizer: Option<PathBuf>,
    /// What the cosine of two embeddings is multiplied by [default: the model's own, else 100 for words and 1 for pictures]
    #[arg(long, value_name = "S", value_parser = number, allow_hyphen_values = true)]
    pub logit_scale: Option<f32>,
    /// What is added to it
    #[arg(long, value_name = "B", value_parser = number, allow_hyphen_values = true)]
    pub logit_bias: Option<f32>,
}

impl ComparisonArgs {
    fn comparison(&self) -> Comparison {
        let words = self.words.as_deref().map(Reference::parse_words).unwrap_or_default();
        Comparison {
            references: self.like.iter().cloned().chain(words).collect(),
            text_model: self.text_model.clone(),
            tokenizer: self.tokenizer.clone(),
            scale: self.logit_scale,
            bias: self.logit_bias,
        }
    }
}

/// The method.
#[derive(Args, Clone)]
#[command(next_help_heading = "Map")]
pub struct MethodArgs {
    /// The method that makes the map (see `whycam methods`) [default: grad-cam; for detectors hires-cam, for vision
    /// transformers legrad]
    #[arg(long, value_name = "NAME", value_parser = cam::find)]
    pub method: Option<&'static Method>,
}

/// Which map, of which class.
#[derive(Args, Clone)]
#[command(next_help_heading = "Map")]
pub struct MapArgs {
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub layers: LayerArgs,
    /// The classes or values to explain: names, indices, top, top3, or several separated by commas. Of a detector or
    /// segmenter, only these classes count
    #[arg(long, value_name = "NAME|INDEX|top|top3|A,B…")]
    pub class: Option<String>,
    /// Explain what speaks for class A against class B
    #[arg(long, value_name = "A,B", conflicts_with = "class")]
    pub contrast: Option<String>,
    /// Explain a segmenter's scores over this part of the picture, in its pixels, in place of the segment
    #[arg(long, value_name = "X,Y,W,H", allow_hyphen_values = true)]
    pub region: Option<Area>,
    /// Keep what speaks against the score, in a second colour and as negative numbers
    #[arg(long)]
    pub signed: bool,
    /// Explain what makes a value rise or fall
    #[arg(long, value_name = "up|down", default_value = "up", value_parser = ["up", "down"])]
    pub direction: String,
    #[command(flatten)]
    pub detections: DetectionArgs,
}

/// Which detections count.
#[derive(Args, Clone)]
#[command(next_help_heading = "Detectors")]
pub struct DetectionArgs {
    /// The least score of a detection, 0 to 1
    #[arg(long, value_name = "P", default_value_t = DetectionOptions::default().threshold, value_parser = share)]
    pub threshold: f32,
    /// Of two boxes of one class that overlap by more (intersection over union), the weaker one is suppressed. Has no
    /// effect on models that choose their boxes themselves
    #[arg(long, value_name = "IOU", default_value_t = DetectionOptions::default().overlap, value_parser = share)]
    pub overlap: f32,
    /// The most detections of a picture
    #[arg(long, value_name = "N", default_value_t = DetectionOptions::default().most,
          value_parser = most)]
    pub detections: usize,
    /// Whether each detection gets a map of its own: where maps are written, or JSON that describes them.
    #[arg(skip)]
    pub each: bool,
}

/// Where in the model the map is made.
#[derive(Args, Clone)]
#[command(next_help_heading = "Map")]
pub struct LayerArgs {
    /// The layer to explain: a tensor or node, a unique part of its name, or -1, -2 … from the last. The maps of several
    /// layers, separated by commas, are fused
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub layer: Option<String>,
    /// How the maps of several layers are fused
    #[arg(long, value_name = "max|mean|product", default_value = "max", value_parser = ["max", "mean", "product"])]
    pub fuse: String,
}

/// The options of a command that explains pictures.
#[derive(Args, Clone)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub map: MapArgs,
    #[command(flatten)]
    pub style: StyleArgs,
}

fn most(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|most| *most > 0).ok_or_else(|| "give a number from 1 on".into())
}

fn task(name: String) -> &'static str {
    TASKS.iter().find(|task| **task == name).copied().unwrap_or(TASKS[0])
}

/// Parses one of these names.
fn named<T: Clone + Send + Sync + 'static>(
    names: &'static [&'static str],
    of: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(move |name| of(&name).ok_or("it is none of these"))
}

/// Parses a finite number.
fn number(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| "give a number".into())
}

/// Parses a share from 0 to 1.
pub fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("give a number from 0 to 1".into()),
    }
}

/// The folder `whycam` in the one that a variable of the XDG base directories names, or else in this folder of the user's.
pub fn user_folder(variable: &str, usual: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = named.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(usual)))?;
    Some(folder.join("whycam"))
}

impl ModelArgs {
    pub fn options(&self) -> ModelOptions {
        self.settings.options(self.model.as_deref())
    }

    /// The files that the model is read from, where they exist.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let likes = self.settings.comparison.like.iter().filter_map(|reference| match reference {
            Reference::Picture { path, .. } => Some(path.as_path()),
            _ => None,
        });
        let fed = self.settings.feed.iter().filter_map(|feed| match &feed.value {
            FeedValue::File(path) => Some(path.as_path()),
            FeedValue::Number(_) => None,
        });
        let ComparisonArgs { text_model, tokenizer, .. } = &self.settings.comparison;
        let named = [&self.settings.labels, text_model, tokenizer].into_iter().flatten().map(PathBuf::as_path);
        self.model.as_deref().map(Path::new).into_iter().chain(named).chain(likes).chain(fed)
    }
}

impl ModelSettings {
    /// The options for a model, or without one for the default model.
    pub fn options(&self, model: Option<&str>) -> ModelOptions {
        let mut options = ModelOptions::default();
        if let Some(model) = model {
            options.model = model.into();
        }
        options.labels.clone_from(&self.labels);
        options.preset = self.preset;
        options.output.clone_from(&self.output);
        options.task = self.task;
        let Self { scores, background, box_order, .. } = *self;
        (options.reading.scores, options.reading.background, options.reading.box_order) =
            (scores, background, box_order);
        options.input_size = self.input_size;
        options.feed.clone_from(&self.feed);
        options.comparison = self.comparison.comparison();
        let Self { threads, device, shares_processor, .. } = *self;
        options.compute = Compute { threads, device, shares_processor };
        options.cache = user_folder("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("models"));
        options
    }
}

impl LayerArgs {
    /// The predicted class, by the usual method at these layers.
    pub fn request(&self) -> Request {
        let mut request = Request::default();
        self.apply(&mut request);
        request
    }

    /// Writes layers and fusion into a request.
    pub fn apply(&self, request: &mut Request) {
        request.layers = self.layer.as_deref().map(LayerName::parse_list).unwrap_or_default();
        request.fusion = match self.fuse.as_str() {
            "mean" => Fusion::Mean,
            "product" => Fusion::Product,
            _ => Fusion::Max,
        };
    }
}

impl MethodArgs {
    /// A request for the predicted class at the default layer.
    pub fn request(&self) -> Request {
        let mut request = Request::default();
        request.method = self.method;
        request
    }
}

impl MapArgs {
    /// The predicted class, by this method at these layers.
    pub fn at(method: &MethodArgs, layers: &LayerArgs) -> Self {
        let DetectionOptions { threshold, overlap, most, each, .. } = DetectionOptions::default();
        Self {
            method: method.clone(),
            layers: layers.clone(),
            class: None,
            contrast: None,
            region: None,
            direction: "up".into(),
            signed: false,
            detections: DetectionArgs { threshold, overlap, detections: most, each },
        }
    }

    /// # Errors
    /// A class or contrast is malformed.
    pub fn request(&self) -> Result<Request> {
        let mut request = self.method.request();
        self.layers.apply(&mut request);
        if let Some(classes) = &self.class {
            request.scores = ScoreQuery::parse_list(classes)?;
        }
        if let Some(pair) = &self.contrast {
            request.scores = vec![ScoreQuery::parse_contrast(pair)?];
        }
        request.area = self.region;
        request.signed = self.signed;
        request.direction = if self.direction == "down" { Direction::Down } else { Direction::Up };
        self.detections.apply(&mut request);
        Ok(request)
    }
}

impl DetectionArgs {
    /// Writes which detections count into a request.
    pub fn apply(&self, request: &mut Request) {
        request.detections.threshold = self.threshold;
        request.detections.overlap = self.overlap;
        request.detections.most = self.detections;
        request.detections.each = self.each;
    }
}

/// Parses the size of a picture.
pub fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let sensible = sides.filter(|(w, h)| SIDES.contains(w) && SIDES.contains(h));
    sensible.ok_or_else(|| "give width and height up to 8192, like 640x480".into())
}

/// Parses a frame rate.
pub fn rate(text: &str) -> Result<f64, String> {
    let sensible = text.parse().ok().filter(|rate| (0.01..=1000.0).contains(rate));
    sensible.ok_or_else(|| "give frames per second, like 30 or 12.5".into())
}
