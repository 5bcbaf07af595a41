//! `whycam bench`

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Args;
use cpu_time::ProcessTime;
use ndarray::ArrayViewD;
use tracing_subscriber::layer::SubscriberExt;
use whycam::pipeline::{self, Options, Outputs, Policy, Stop, Worker};
use whycam::plumbing::{ForwardPass, Report, Semaphore, check_free};
use whycam::sink::{Destination, ResultNames, ResultsSink, Sink};
use whycam::source::{self, PatternSource, SequenceSource, Source};
use whycam::{Compute, Explainer, ModelOptions, Request};

use super::figures::{Figures, StageTimes};
use super::stages::Stages;
use crate::cli::args::{ExplainArgs, GlobalArgs};
use crate::cli::encode::EncodeArgs;
use crate::cli::output::{ExitStatus, UsageError, print, write_json};

#[derive(Args)]
pub struct Bench {
    /// A film to measure on [default: the drawn flowers, 640x480]
    #[arg(long, value_name = "FILM")]
    input: Option<String>,
    /// The number of frames that go through the pipeline
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    #[command(flatten)]
    encode: EncodeArgs,
    #[command(flatten)]
    explain: ExplainArgs,
    /// Write one JSON object, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

/// Consecutive runs of one kind, before the next kind has its turn.
const BLOCK: usize = 10;
const BLOCKS: usize = 8;
/// The runtime's threads keep looking for work for a moment after a run. Nothing else is measured then.
const REST: Duration = Duration::from_millis(60);

impl Bench {
    pub fn run(self, global: &GlobalArgs) -> Result<ExitStatus> {
        if let Some(path) = &self.json {
            check_free(path, self.force)?;
        }
        if self.explain.map.request()?.scores.len() > 1 {
            return Err(UsageError("bench measures one class; leave --class out or name one".into()).into());
        }
        global.tell_runtime()?;
        let figures = self.measure(global)?;
        if write_json(self.json.as_deref(), || format!("{}\n", figures.as_json()), self.force)? {
            return Ok(ExitStatus::Done);
        }
        print(&figures.as_table())
    }

    fn measure(&self, global: &GlobalArgs) -> Result<Figures> {
        let options = self.explain.model.options();
        let frame = self.opener(1, Semaphore::UNBOUNDED)()?.next_frame()?;
        let frame = frame.ok_or_else(|| anyhow!("{}: it has no frames", self.name()))?;
        let mut plain = ForwardPass::new(&options)?;
        let input = plain.preprocess(&frame.picture)?;
        let request = self.explain.map.request()?;
        let boxes = boxes_of(&options, &request, input.view())?;
        let mut explainer = Explainer::new(&options, boxes.as_ref().map_or(&request, |boxes| &boxes.sum))?;
        let context = explainer.context().clone();
        let [forward, explained] =
            in_turns([&mut || plain.run(input.view()), &mut || explainer.explain_tensor(input.view()).map(drop)])?;
        let each = match &boxes {
            Some(boxes) => {
                let mut explainer = Explainer::new(&options, &boxes.each)?;
                let [_, each] = in_turns([&mut || plain.run(input.view()), &mut || {
                    explainer.explain_tensor(input.view()).map(drop)
                }])?;
                Some(each)
            }
            None => None,
        };
        let mut one_thread = options;
        one_thread.compute = Compute { threads: 1, ..one_thread.compute };
        let mut plain = ForwardPass::new(&one_thread)?;
        let [alone] = in_turns([&mut || plain.run(input.view())])?;
        let stages = Stages::default();
        let subscriber = tracing_subscriber::registry().with(stages.clone());
        // --trace may have set another one, which stays.
        let _ = tracing::subscriber::set_global_default(subscriber);
        let (pipeline, _) = self.pipeline(global, &stages, None)?;
        let film = std::env::temp_dir().join(format!("whycam-bench-{}.mp4", std::process::id()));
        // The first pipeline has printed the notices.
        let silent = GlobalArgs { quiet: true, verbose: false, ..global.clone() };
        let encoded = self.pipeline(&silent, &stages, Some(&film));
        let _ = std::fs::remove_file(film);
        let (encoded, stages) = encoded?;
        let decode = self.decode()?;
        let threads = self.explain.model.threads();
        Ok(Figures {
            model: context.model,
            method: context.method,
            layer: context.layer,
            input: self.name().to_owned(),
            frames: self.frames,
            threads,
            forward,
            explained,
            each,
            pipeline,
            bound: 1000.0 * threads as f64 / (decode + alone),
            encoded,
            stages,
        })
    }

    fn name(&self) -> &str {
        self.input.as_deref().unwrap_or("drawn flowers, 640x480")
    }

    /// A function that opens the frames, on any thread.
    fn opener(&self, threads: usize, semaphore: Semaphore) -> impl FnOnce() -> whycam::Result<Box<dyn Source>> + use<> {
        let (input, frames) = (self.input.clone(), self.frames);
        move || {
            Ok(match input {
                Some(input) => {
                    Box::new(SequenceSource::open(vec![input.as_str().into()], threads, semaphore, Report::silent())?)
                }
                None => Box::new(PatternSource::new((640, 480), 30, false, Some(frames))?),
            })
        }
    }

    /// The least that reading or drawing a frame costs, in milliseconds of processor time.
    fn decode(&self) -> Result<f64> {
        let began = ProcessTime::try_now()?;
        let frames = if let Some(input) = &self.input {
            source::decode_only(input, self.frames)?
        } else {
            let mut source = self.opener(1, Semaphore::UNBOUNDED)()?;
            std::iter::from_fn(|| source.next_frame().ok().flatten()).count() as u64
        };
        Ok(milliseconds(began.try_elapsed()?) / frames.max(1) as f64)
    }

    /// Frames a second from decoding to overlay, or to a film, and the milliseconds that each stage takes for a frame.
    fn pipeline(&self, global: &GlobalArgs, stages: &Stages, film: Option<&Path>) -> Result<(f64, StageTimes)> {
        let plan = self.explain.model.thread_plan(1);
        let explainers = self.explain.explainers(global, plan.explainers, plan.threads_each)?;
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(film) = film {
            let destination = Destination::File(film.to_owned());
            sinks.push(Box::new(ResultsSink::new(
                destination,
                ResultNames::default(),
                self.encode.encoding(plan.encoder),
                true,
                Report::silent(),
            )?));
        }
        let open = self.opener(plan.decoder, plan.semaphore.clone());
        let worker = |explainer| Ok(Worker { explainer, overlay: Some(self.explain.style.overlay(None)?) });
        let workers = explainers.into_iter().map(worker).collect::<Result<Vec<_>>>()?;
        let outputs = Outputs { sinks: &mut sinks, screen: None };
        let (policy, semaphore) = (Policy::Block, plan.semaphore);
        let options =
            Options { policy, lanes: 1, frames: Some(self.frames), duration: None, smoothing: None, semaphore };
        drop(stages.take());
        let outcome = pipeline::run(Box::new(move |_| open()), workers, outputs, &options, &Stop::default(), |_| {});
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        let frames = outcome.counts.explained.max(1) as f64;
        let taken = stages.take();
        let of = |name: &str| taken.get(name).map_or(0.0, |time| milliseconds(*time) / frames);
        let stages = StageTimes {
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

/// Requests to a detector.
struct Boxes {
    /// One map of all boxes that are found, or of the best where none is certain enough.
    sum: Request,
    /// A map of each of the ten most certain boxes, whatever the picture shows.
    each: Request,
}

/// `None` for a classifier.
fn boxes_of(options: &ModelOptions, request: &Request, input: ArrayViewD<f32>) -> Result<Option<Boxes>> {
    let (mut sum, mut each) = (request.clone(), request.clone());
    (each.detections.threshold, each.detections.overlap, each.detections.most) = (0.0, 1.0, 10);
    let explanation = Explainer::new(options, &each)?.explain_tensor(input)?;
    let Some(found) = explanation.detections() else { return Ok(None) };
    let [best, last] = [found.detections.first(), found.detections.last()]
        .map(|detection| detection.map_or(0.0, |detection| detection.probability));
    sum.detections.threshold = best.min(sum.detections.threshold);
    each.detections.threshold = last;
    each.detections.each = true;
    Ok(Some(Boxes { sum, each }))
}

/// The median time of several kinds of run in milliseconds, measured in turns.
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
