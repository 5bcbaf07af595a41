//! Options that several commands share.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr;

use super::{UsageError, say};
use anyhow::{Result, anyhow};
use clap::Args;
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::layer::SubscriberExt;
use whycam::overlay::{Colormap, HeatScale, Overlay, Style};
use whycam::{Compute, Device, Explainer, ExplainerOptions, Facts, Fusion, Guess, Permits, session};

#[derive(Args, Clone)]
pub struct Common {
    /// A built-in model (see `whycam models`) or an ONNX file
    #[arg(long, global = true, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// How the map is made; `whycam methods` lists the ways (grad-cam is the default)
    #[arg(long, global = true, value_name = "NAME")]
    pub method: Option<String>,
    /// The layer that is explained: a tensor or node, a unique part of its name, or -1, -2 … from the last;
    /// with commas between them several, whose maps are fused
    #[arg(long, global = true, value_name = "NAME", allow_hyphen_values = true)]
    pub layer: Option<String>,
    /// How the maps of several layers become one
    #[arg(long, global = true, value_name = "max|mean", default_value = "max", value_parser = ["max", "mean"])]
    pub fuse: String,
    /// The classes that are explained: names, indices, top, top3, or several with commas between them
    #[arg(long, global = true, value_name = "NAME|INDEX|top|top3|A,B…")]
    pub class: Option<String>,
    /// Explain what speaks for class A against class B
    #[arg(long, global = true, value_name = "A,B", conflicts_with = "class")]
    pub contrast: Option<String>,
    /// jet, turbo, viridis, inferno, magma, plasma or cividis
    #[arg(long, global = true, value_name = "NAME", default_value = "jet")]
    pub colormap: String,
    /// The map's share of the picture, 0 to 1
    #[arg(long, global = true, value_name = "A", default_value_t = Style::DEFAULT_ALPHA, value_parser = share)]
    pub alpha: f32,
    /// What the hottest colour stands for: the largest value of each frame's map, of all maps of a film
    /// (which is explained twice), or a fixed one, 20 logits over the whole map
    #[arg(long, global = true, value_name = "frame|film|logit", default_value = "frame", value_parser = ["frame", "film", "logit"])]
    pub scale: String,
    /// Draw a bar that says what the colours stand for
    #[arg(long, global = true)]
    pub bar: bool,
    /// A file of class names, one a line
    #[arg(long, global = true, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Preprocessing for an ONNX file without a manifest: imagenet, unit, symmetric or raw
    #[arg(long, global = true, value_name = "NAME")]
    pub preset: Option<String>,
    /// The model's output that has the class scores, where it has several
    #[arg(long = "output", global = true, value_name = "NAME")]
    pub head: Option<String>,
    /// Threads that work at once; 0 takes as many as there are cores
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// What the model runs on: auto, cpu, cuda, tensorrt, coreml, directml, openvino or xnnpack, as ONNX Runtime's
    /// library has them
    #[arg(long, global = true, value_name = "NAME", default_value = "auto", value_parser = Device::from_str)]
    pub device: Device,
    /// Write what each thread did when, as a Chrome trace (Perfetto opens it)
    #[arg(long, global = true, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say which runtime, model and layer are used, and every second how live view keeps up
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

pub fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("give a number from 0 to 1".into()),
    }
}

/// How many threads do what, where each frame stands for itself.
pub struct Shares {
    /// Explainers, of one thread each where the model is not huge: a frame takes one thread less time than two threads
    /// take half of it each, and results do not depend on the number of threads.
    pub explainers: usize,
    pub threads_each: usize,
    /// Of the decoder, which has less to do than all others and costs more the more threads it has.
    pub decoder: usize,
    pub encoder: usize,
    /// How many of these work at once.
    pub permits: Permits,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `$XDG_CACHE_HOME/whycam`, or where a user has none of it, in the home folder.
fn cache_folder() -> Option<PathBuf> {
    let said = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = said.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    Some(folder.join("whycam").join("models"))
}

impl Common {
    /// Bytes that the weights of all explainers may take.
    const MEMORY: u64 = 4 << 30;

    /// Writes a trace until what is returned goes away.
    pub fn begin_trace(&self) -> Result<Option<FlushGuard>> {
        let Some(path) = &self.trace else { return Ok(None) };
        let file = File::create(path).map_err(|e| whycam::Error::writing(path, &e))?;
        let (layer, guard) = ChromeLayerBuilder::new().writer(file).build();
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
        Ok(Some(guard))
    }

    /// The threads asked for, or as many as there are cores.
    pub fn threads(&self) -> usize {
        if self.threads > 0 { self.threads } else { cores() }
    }

    pub fn shares(&self) -> Shares {
        let threads = self.threads();
        // Where all cores may be used, the system shares them out better than permits would.
        let permits = if threads < cores() { Permits::new(threads) } else { Permits::UNBOUNDED };
        // Each has the weights of the model about three times: as read, as loaded and as packed for the processor.
        let model =
            self.model.as_ref().and_then(|path| std::fs::metadata(path).ok()).map_or(1, |file| file.len().max(1));
        let explainers = threads.min((Self::MEMORY / (3 * model)).max(1) as usize);
        let threads_each = threads / explainers;
        Shares { explainers, threads_each, decoder: (threads / 2).max(1), encoder: threads, permits }
    }

    pub fn explainer_options(&self) -> ExplainerOptions {
        ExplainerOptions {
            model: self.model.clone(),
            layer: self.layer.clone(),
            method: self.method.clone(),
            class: self.class.clone(),
            contrast: self.contrast.clone(),
            fusion: if self.fuse == "mean" { Fusion::Mean } else { Fusion::Max },
            labels: self.labels.clone(),
            preset: self.preset.clone(),
            output: self.head.clone(),
            compute: Compute { threads: self.threads, device: self.device },
            cache: cache_folder(),
            randomised: None,
        }
    }

    /// The explainer asked for, its runtime named on standard error as far as wanted.
    pub fn explainer(&self) -> Result<Explainer> {
        self.tell_runtime()?;
        let explainer = Explainer::new(&self.explainer_options())?;
        self.tell_facts(explainer.facts());
        Ok(explainer)
    }

    /// So many explainers of so many threads.
    pub fn explainers(&self, count: usize, threads: usize) -> Result<Vec<Explainer>> {
        self.tell_runtime()?;
        let compute = Compute { threads, device: self.device };
        let options = ExplainerOptions { compute, ..self.explainer_options() };
        // The first one prepares the model, if that has not been done before; the others find it prepared.
        let first = Explainer::new(&options)?;
        self.tell_facts(first.facts());
        std::thread::scope(|scope| {
            let making: Vec<_> = (1..count).map(|_| scope.spawn(|| Explainer::new(&options))).collect();
            let made = making.into_iter().map(|made| made.join().map_err(|_| anyhow!("loading the model broke off")));
            std::iter::once(Ok(first)).chain(made.map(|made| Ok(made??))).collect()
        })
    }

    fn tell_facts(&self, facts: &Facts) {
        self.tell_guess(facts.guess);
        if self.verbose {
            say(format_args!("model {}, layer {}, method {}", facts.model, facts.layer, facts.method));
        }
    }

    /// Says how pictures are preprocessed where nobody said how they should be.
    pub fn tell_guess(&self, guess: Option<Guess>) {
        if let Some(Guess { preset, reason }) = guess.filter(|_| !self.quiet) {
            say(format_args!("pictures are preprocessed as '{preset}' ({reason}); --preset chooses"));
        }
    }

    pub fn tell_runtime(&self) -> Result<()> {
        let runtime = session::runtime()?;
        if let Some(slower) = runtime.slower.as_ref().filter(|_| !self.quiet) {
            say(slower);
        }
        if self.verbose {
            say(format_args!("runtime {}", runtime.name));
        }
        Ok(())
    }

    /// `tops` are the largest values of the films' maps, where the scale is of a film.
    pub fn overlay(&self, tops: Option<&HashMap<String, f32>>) -> Result<Overlay> {
        let scale = match (tops, self.scale.as_str()) {
            (Some(tops), _) => HeatScale::Film(tops.clone()),
            (None, "logit") => HeatScale::Whole(HeatScale::LOGITS),
            (None, "film") => {
                return Err(
                    UsageError("--scale film is for `whycam explain`, which can read a film twice".into()).into()
                );
            }
            _ => HeatScale::Frame,
        };
        let colormap = Colormap::named(&self.colormap)?;
        Ok(Overlay::new(Style { colormap, alpha: self.alpha, scale, bar: self.bar })?)
    }
}
