//! `whycam bench`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use cpu_time::ProcessTime;
use serde_json::{Value, json};
use whycam::pipeline::{self, Options, Outputs, Policy, Stop};
use whycam::source::{self, PatternSource, Source};
use whycam::{Classifier, Error, Explainer, ExplainerOptions, Frame};

use super::{Common, Status, UsageError, print};

#[derive(Args)]
pub struct Bench {
    /// A film to measure on; else the drawn flowers, 640x480
    #[arg(long, value_name = "FILM")]
    input: Option<String>,
    /// How many frames are measured
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    /// One JSON object, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

/// Milliseconds a frame, medians, but for the two rates.
struct Figures {
    model: String,
    method: String,
    layer: String,
    frames: usize,
    threads: usize,
    /// The model alone, and with its explanation, in turns.
    forward: f64,
    explained: f64,
    /// Frames a second through the whole pipeline, and as many as the processor could at best: all threads busy with
    /// nothing but decoding and plain forward passes.
    pipeline: f64,
    bound: f64,
    decode: f64,
    preprocess: f64,
    overlay: f64,
}

const WARM_UP: usize = 5;

impl Bench {
    pub fn run(self, common: &Common) -> Result<Status> {
        if let Some(path) = self.json.as_ref().filter(|path| path.is_file() && !self.force) {
            return Err(Error::output(path, "it exists already; --force overwrites it").into());
        }
        if common.class.as_deref().is_some_and(|class| class.contains(',')) {
            return Err(UsageError("bench measures one class; leave --class out or name one".into()).into());
        }
        common.tell_runtime()?;
        let figures = self.measure(common)?;
        let json = || format!("{}\n", figures.as_json());
        match &self.json {
            Some(path) if path == Path::new("-") => return print(&json()),
            Some(path) => std::fs::write(path, json()).map_err(|e| Error::writing(path, &e))?,
            None => {}
        }
        print(&figures.as_table())
    }

    fn measure(&self, common: &Common) -> Result<Figures> {
        let options = common.explainer_options();
        let (frames, decode) = self.decode()?;
        let mut explainer = Explainer::new(&options)?;
        let mut classifier = Classifier::new(&options)?;
        let mut single = Classifier::new(&ExplainerOptions { threads: 1, ..options.clone() })?;
        let mut overlay = common.overlay(None)?;
        let facts = explainer.facts().clone();
        let [mut preprocess, mut forward, mut explained, mut drawn, mut alone] = [const { Vec::new() }; 5];
        // The same frames again where a film is short, for the runtime to warm up on.
        let warm_up = frames.iter().cycle().take(WARM_UP);
        for (number, frame) in warm_up.chain(&frames).enumerate() {
            let mut times = [Duration::ZERO; 5];
            let mut timed = |at: usize, began: Instant| times[at] = began.elapsed();
            let began = Instant::now();
            let input = classifier.preprocess(&frame.picture)?;
            timed(0, began);
            let began = Instant::now();
            classifier.classify(input.view())?;
            timed(1, began);
            let tensor = classifier.as_input(input.view());
            let began = Instant::now();
            let explanation = explainer.explain_tensor(tensor.view())?;
            timed(2, began);
            let mut picture = frame.clone();
            let began = Instant::now();
            overlay.draw(&mut picture, &explanation, &facts)?;
            timed(3, began);
            let began = Instant::now();
            single.classify(input.view())?;
            timed(4, began);
            if number >= WARM_UP {
                let all = [&mut preprocess, &mut forward, &mut explained, &mut drawn, &mut alone];
                all.into_iter().zip(times).for_each(|(list, time)| list.push(milliseconds(time)));
            }
        }
        let threads = match common.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        Ok(Figures {
            model: facts.model,
            method: facts.method,
            layer: facts.layer,
            frames: frames.len(),
            threads,
            forward: median(forward),
            explained: median(explained),
            pipeline: self.pipeline(common, explainer)?,
            bound: 1000.0 * threads as f64 / (decode + median(alone)),
            decode,
            preprocess: median(preprocess),
            overlay: median(drawn),
        })
    }

    /// The frames, and what one costs to decode or draw, in milliseconds of processor time.
    fn decode(&self) -> Result<(Vec<Frame>, f64)> {
        let mut source = open(self.input.as_deref(), self.frames)?;
        let mut frames = Vec::new();
        let began = ProcessTime::try_now()?;
        while frames.len() < self.frames as usize
            && let Some(frame) = source.next_frame()?
        {
            frames.push(frame);
        }
        let spent = milliseconds(began.try_elapsed()?);
        if frames.is_empty() {
            return Err(Error::input(self.input.as_deref().unwrap_or("drawn flowers"), "it has no frames").into());
        }
        let count = frames.len() as f64;
        Ok((frames, spent / count))
    }

    /// Frames a second from decoding to overlay.
    fn pipeline(&self, common: &Common, explainer: Explainer) -> Result<f64> {
        let (input, frames) = (self.input.clone(), self.frames);
        let open = move |_| open(input.as_deref(), frames);
        let outputs = Outputs { overlay: Some(common.overlay(None)?), sinks: &mut Vec::new(), screen: None };
        let options = Options { policy: Policy::Block, frames: Some(frames), duration: None, smoothing: None };
        let outcome = pipeline::run(Box::new(open), explainer, outputs, &options, &Stop::default(), |_| {});
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        Ok(outcome.counts.explained as f64 / outcome.elapsed.as_secs_f64())
    }
}

impl Figures {
    fn as_json(&self) -> Value {
        json!({
            "model": self.model,
            "method": self.method,
            "layer": self.layer,
            "frames": self.frames,
            "threads": self.threads,
            "forward_ms": self.forward,
            "explained_ms": self.explained,
            "ratio": self.explained / self.forward,
            "pipeline_fps": self.pipeline,
            "bound_fps": self.bound,
            "stages": {
                "decode_ms": self.decode,
                "preprocess_ms": self.preprocess,
                "explained_ms": self.explained,
                "overlay_ms": self.overlay,
            },
        })
    }

    fn as_table(&self) -> String {
        let Self { model, method, layer, frames, threads, .. } = self;
        let lines = [
            format!("{model}, {method} at {layer}, {frames} frames, {threads} threads"),
            String::new(),
            format!("plain forward pass  {:8.2} ms", self.forward),
            format!(
                "explained           {:8.2} ms   {:.3} of the plain one",
                self.explained,
                self.explained / self.forward
            ),
            format!("whole pipeline      {:8.1} frames a second", self.pipeline),
            format!("at best             {:8.1} frames a second, decoding and plain forward passes alone", self.bound),
            String::new(),
            format!(
                "decode {:.2} ms, preprocess {:.2} ms, overlay {:.2} ms a frame",
                self.decode, self.preprocess, self.overlay
            ),
        ];
        lines.join("\n") + "\n"
    }
}

fn open(input: Option<&str>, frames: u64) -> whycam::Result<Box<dyn Source>> {
    match input {
        Some(input) => source::open(input),
        None => Ok(Box::new(PatternSource::new((640, 480), 30, false, Some(frames))?)),
    }
}

fn milliseconds(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
