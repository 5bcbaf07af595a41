//! `whycam bench`

mod figures;
mod stages;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Args;
use cpu_time::ProcessTime;
use figures::Figures;
use stages::Stages;
use tracing_subscriber::layer::SubscriberExt;
use whycam::pipeline::{self, Lane, Options, Outputs, Policy, Stop};
use whycam::sink::{Place, ResultsSink, Sink};
use whycam::source::{self, Failures, PatternSource, SequenceSource, Source};
use whycam::{Classifier, Compute, Explainer, ExplainerOptions, Permits};
use whycam::{check_free, write_whole};

use super::encode::Encode;
use super::{Common, Status, UsageError, print};

#[derive(Args)]
pub struct Bench {
    /// A film to measure on; else the drawn flowers, 640x480
    #[arg(long, value_name = "FILM")]
    input: Option<String>,
    /// How many frames go through the pipeline
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    #[command(flatten)]
    encode: Encode,
    /// One JSON object, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

/// Runs one after the other, before another model has its turn.
const BLOCK: usize = 10;
const BLOCKS: usize = 8;
/// The runtime's threads go on looking for work for a moment after a run; no other model is to be run beside them.
const REST: Duration = Duration::from_millis(60);

impl Bench {
    pub fn run(self, common: &Common) -> Result<Status> {
        if let Some(path) = &self.json {
            check_free(path, self.force)?;
        }
        if common.class.as_deref().is_some_and(|class| class.contains(',')) {
            return Err(UsageError("bench measures one class; leave --class out or name one".into()).into());
        }
        common.tell_runtime()?;
        let figures = self.measure(common)?;
        let json = || format!("{}\n", figures.as_json());
        match &self.json {
            Some(path) if path == Path::new("-") => return print(&json()),
            Some(path) => write_whole(path, json(), self.force)?,
            None => {}
        }
        print(&figures.as_table())
    }

    fn measure(&self, common: &Common) -> Result<Figures> {
        let options = common.explainer_options();
        let frame = self.opener(1, Permits::UNBOUNDED)()?.next_frame()?;
        let frame = frame.ok_or_else(|| anyhow!("{}: it has no frames", self.name()))?;
        let mut explainer = Explainer::new(&options)?;
        let facts = explainer.facts().clone();
        let mut classifier = Classifier::new(&options)?;
        let input = classifier.preprocess(&frame.picture)?;
        let tensor = classifier.as_input(input.view());
        let [forward, explained] = in_turns([&mut || classifier.classify(input.view()).map(drop), &mut || {
            explainer.explain_tensor(tensor.view()).map(drop)
        }])?;
        let compute = Compute { threads: 1, ..options.compute };
        let mut classifier = Classifier::new(&ExplainerOptions { compute, ..options })?;
        let [alone] = in_turns([&mut || classifier.classify(input.view()).map(drop)])?;
        let stages = Stages::default();
        let subscriber = tracing_subscriber::registry().with(stages.clone());
        // Where --trace has set another one, that is what is wanted.
        let _ = tracing::subscriber::set_global_default(subscriber);
        let (pipeline, _) = self.pipeline(common, &stages, None)?;
        let film = std::env::temp_dir().join(format!("whycam-bench-{}.mp4", std::process::id()));
        let encoded = self.pipeline(common, &stages, Some(&film));
        let _ = std::fs::remove_file(film);
        let (encoded, stages) = encoded?;
        let decode = self.decode()?;
        Ok(Figures {
            model: facts.model,
            method: facts.method,
            layer: facts.layer,
            input: self.name().to_owned(),
            frames: self.frames,
            threads: common.threads(),
            forward,
            explained,
            pipeline,
            bound: 1000.0 * common.threads() as f64 / (decode + alone),
            encoded,
            stages,
        })
    }

    fn name(&self) -> &str {
        self.input.as_deref().unwrap_or("drawn flowers, 640x480")
    }

    /// What opens the frames, on another thread too.
    fn opener(&self, threads: usize, permits: Permits) -> impl FnOnce() -> whycam::Result<Box<dyn Source>> + use<> {
        let (input, frames) = (self.input.clone(), self.frames);
        move || {
            Ok(match input {
                Some(input) => Box::new(SequenceSource::open(vec![input], threads, permits, Failures::default())?),
                None => Box::new(PatternSource::new((640, 480), 30, false, Some(frames))?),
            })
        }
    }

    /// What it costs at least to read or draw a frame, in milliseconds of processor time.
    fn decode(&self) -> Result<f64> {
        let began = ProcessTime::try_now()?;
        let frames = if let Some(input) = &self.input {
            source::decode_alone(input, self.frames)?
        } else {
            let mut source = self.opener(1, Permits::UNBOUNDED)()?;
            std::iter::from_fn(|| source.next_frame().ok().flatten()).count() as u64
        };
        Ok(milliseconds(began.try_elapsed()?) / frames.max(1) as f64)
    }

    /// Frames a second from decoding to overlay, or to a film; and what each stage takes on its thread, in milliseconds
    /// a frame.
    fn pipeline(&self, common: &Common, stages: &Stages, film: Option<&Path>) -> Result<(f64, figures::Stages)> {
        let shares = common.shares();
        let explainers = common.explainers(shares.explainers, shares.threads_each)?;
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(film) = film {
            let place = Place::File(film.to_owned());
            sinks.push(Box::new(ResultsSink::new(place, self.encode.encoding(shares.encoder), true)?));
        }
        let open = self.opener(shares.decoder, shares.permits.clone());
        let lane = |explainer| Ok(Lane { explainer, overlay: Some(common.overlay(None)?) });
        let lanes = explainers.into_iter().map(lane).collect::<Result<Vec<_>>>()?;
        let outputs = Outputs { sinks: &mut sinks, screen: None };
        let (policy, permits) = (Policy::Block, shares.permits);
        let options = Options { policy, frames: Some(self.frames), duration: None, smoothing: None, permits };
        drop(stages.take());
        let outcome = pipeline::run(Box::new(move |_| open()), lanes, outputs, &options, &Stop::default(), |_| {});
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        let frames = outcome.counts.explained.max(1) as f64;
        let taken = stages.take();
        let of = |name: &str| taken.get(name).map_or(0.0, |time| milliseconds(*time) / frames);
        let stages = figures::Stages {
            decode: of("decode"),
            preprocess: of("preprocess"),
            inference: of("inference"),
            map: of("map"),
            overlay: of("overlay"),
            encode: of("write"),
        };
        Ok((frames / outcome.elapsed.as_secs_f64(), stages))
    }
}

/// What several kinds of run take, measured in turns: medians in milliseconds.
fn in_turns<const N: usize>(mut runs: [&mut dyn FnMut() -> whycam::Result<()>; N]) -> Result<[f64; N]> {
    let mut times = [const { Vec::new() }; N];
    for block in 0..=BLOCKS {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            for _ in 0..BLOCK {
                let began = Instant::now();
                run()?;
                // The first block is for the runtime to warm up on.
                if block > 0 {
                    times.push(milliseconds(began.elapsed()));
                }
            }
            thread::sleep(REST);
        }
    }
    Ok(times.map(median))
}

fn milliseconds(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
