//! `whycam evaluate`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use whycam::cam::{self, METHODS, Method};
use whycam::evaluate::{Plan, Progress, evaluate, evaluate_detections};
use whycam::plumbing::{Classifier, Detector, PlainModel, Report, check_place, write_whole};
use whycam::sink::ResumeLog;
use whycam::source::{self, Input};
use whycam::{Device, Explainer, Request, ScoreQuery};

use super::{choose, json, kept, page, table};
use crate::cli::args::{DetectionArgs, GlobalArgs, LayerArgs, ModelArgs};
use crate::cli::output::{ExitStatus, UsageError, print, say, say_error, write_json};
use crate::cli::run::progress_bar;
use crate::cli::style_args::StyleArgs;

#[derive(Args)]
pub struct Evaluate {
    /// A folder of class folders, such as flowers/roses/1.jpg; for a detector, any folder of pictures
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// The methods to measure: one, several separated by commas, or all (see `whycam methods`) [default: grad-cam; for
    /// detectors hires-cam, for vision transformers legrad]
    #[arg(long, value_name = "NAME", value_parser = methods)]
    method: Option<Methods>,
    #[command(flatten)]
    layers: LayerArgs,
    #[command(flatten)]
    detections: DetectionArgs,
    /// Of a detector, measure the objects of these classes alone: names or indices, separated by commas
    #[arg(long, value_name = "NAME|INDEX,…")]
    class: Option<String>,
    #[command(flatten)]
    style: StyleArgs,
    /// The number of photos that maps are measured on; all photos are classified
    #[arg(long, value_name = "N", default_value_t = 100)]
    sample: usize,
    /// The number of grids of four photos for the pointing game
    #[arg(long, value_name = "N", default_value_t = 50)]
    grids: usize,
    /// Also measure flicker and lag of the maps along this film; may be given several times
    #[arg(long, value_name = "FILE")]
    film: Vec<PathBuf>,
    /// The seed of the choice of photos and grids
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write one JSON object, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Write a report with pictures and plots, in one file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the method that explains the model best, and its layer, into the manifest next to the model: the largest mean of
    /// insertion, 1 - deletion and pointing, of those that pass the sanity check
    #[arg(long)]
    choose: bool,
    /// Continue an interrupted evaluation. What is measured of each photo is kept in FILE.done next to --json FILE
    #[arg(long, requires = "json")]
    resume: bool,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

/// The number of photos whose maps are compared with those of a model with other weights.
const SANITY_PHOTOS: usize = 8;
const STEPS: usize = 32;
/// The models that are loaded for each worker: the plain one, the augmented one, and one with other weights.
const MODELS: u64 = 3;

impl Evaluate {
    pub fn run(self, global: &GlobalArgs) -> Result<ExitStatus> {
        if self.choose {
            let named = self.method.as_ref().map(|methods| methods.methods.as_slice()).unwrap_or_default();
            choose::check(&self.model, named, self.sample)?;
        }
        let mut request = Request::default();
        self.detections.apply(&mut request);
        self.layers.apply(&mut request);
        if let Some(classes) = &self.class {
            request.scores = ScoreQuery::parse_list(classes)?;
        }
        let mut plan = Plan {
            options: self.model.options(),
            workers: 1,
            request,
            methods: self.method.as_ref().map(|methods| methods.methods.clone()).unwrap_or_default(),
            sample: self.sample,
            grids: self.grids,
            sanity: SANITY_PHOTOS,
            steps: STEPS,
            seed: self.seed,
            films: self.film.clone(),
        };
        let log = if self.resume { Some(kept::log(self.json.as_deref(), &self.folder, &plan)?) } else { None };
        global.tell_runtime()?;
        self.check_before_measuring(log.as_ref())?;
        self.share_threads(&mut plan);
        let model = PlainModel::new(&plan.options)?;
        global.tell_guess(model.guess);
        if !global.quiet {
            model.notices.iter().for_each(say);
        }
        if plan.methods.is_empty() {
            plan.methods = vec![cam::find(&Explainer::new(&plan.options, &plan.request)?.context().method)?];
        }
        if self.method.as_ref().is_some_and(|methods| methods.all) {
            keep_fitting(&mut plan, global)?;
        }
        if model.task.as_detection().is_some() {
            return self.detections(global, &plan, model);
        }
        if self.class.is_some() {
            let problem =
                "--class is for detectors; the maps of a classifier are measured for the class that it predicts";
            return Err(UsageError(problem.into()).into());
        }
        self.classifications(global, &plan, model, log.as_ref())
    }
}

impl Evaluate {
    /// Refuses what would fail only after everything is measured.
    fn check_before_measuring(&self, log: Option<&ResumeLog>) -> Result<()> {
        if let Some(json) = &self.json {
            check_place(json, self.overwrites(log))?;
        }
        if let Some(html) = &self.html {
            check_place(html, self.force)?;
            self.style.overlay(None)?;
        }
        for film in &self.film {
            source::open(&Input::from(film.as_os_str()), 0, &Report::silent())?;
        }
        Ok(())
    }

    /// Gives each worker its threads. Another device than the processor runs one picture after the other.
    fn share_threads(&self, plan: &mut Plan) {
        if matches!(plan.options.compute.device, Device::Cpu | Device::Xnnpack) {
            let threads = self.model.thread_plan(MODELS);
            (plan.workers, plan.options.compute.threads) = (threads.explainers, threads.threads_each);
        }
    }

    /// Whether results may be replaced: unasked only those of a run that is continued.
    fn overwrites(&self, log: Option<&ResumeLog>) -> bool {
        self.force || log.is_some_and(|log| log.begun)
    }

    /// Evaluates a classifier and its maps.
    fn classifications(
        &self,
        global: &GlobalArgs,
        plan: &Plan,
        model: PlainModel,
        log: Option<&ResumeLog>,
    ) -> Result<ExitStatus> {
        let overwrite = self.overwrites(log);
        let classifier = Classifier::of_model(model)?;
        let bar = if global.quiet { ProgressBar::hidden() } else { progress_bar() };
        bar.set_length(1000);
        let mut open = log.map(ResumeLog::open).transpose()?;
        let done = log.iter().flat_map(|log| &log.done).map(String::as_str);
        let mut keep = open.as_mut().map(|open| |line: &str| open.add(line));
        let keep = keep.as_mut().map(|keep| keep as &mut dyn FnMut(&str) -> whycam::Result<()>);
        let mut report = |share| bar.set_position((share * 1000.0) as u64);
        let progress = Progress::new(done, keep, &mut report);
        let evaluation = evaluate(&self.folder, plan, classifier, progress);
        bar.finish_and_clear();
        let evaluation = evaluation?;
        evaluation.unread.iter().for_each(say_error);
        let status = if evaluation.unread.is_empty() { ExitStatus::Done } else { ExitStatus::Failed };
        if !write_json(self.json.as_deref(), || format!("{}\n", json::json(&evaluation)), overwrite)? {
            print(&table::table(&evaluation))?;
        }
        if let Some(path) = &self.html {
            write_whole(path, page::page(&evaluation, plan, &self.style)?, self.force)?;
        }
        if let Some(model) = self.model.model.as_deref().filter(|_| self.choose) {
            choose::write(model, self.layers.layer.is_some(), &evaluation.methods)?;
        }
        Ok(status)
    }

    /// Evaluates the maps of a detector.
    fn detections(&self, global: &GlobalArgs, plan: &Plan, model: PlainModel) -> Result<ExitStatus> {
        if self.html.is_some() || !self.film.is_empty() || self.choose || self.resume {
            let problem =
                "--html, --film, --choose and --resume are for classifiers; for a detector, --json writes all measures";
            return Err(UsageError(problem.into()).into());
        }
        if self.sample == 0 {
            let problem = "--sample 0 takes none; all that is measured of a detector is measured on the sample";
            return Err(UsageError(problem.into()).into());
        }
        let bar = if global.quiet { ProgressBar::hidden() } else { progress_bar() };
        bar.set_length(1000);
        let detector = Detector::new(model)?;
        let evaluation =
            evaluate_detections(&self.folder, plan, detector, |share| bar.set_position((share * 1000.0) as u64));
        bar.finish_and_clear();
        let evaluation = evaluation?;
        evaluation.unread.iter().for_each(say_error);
        let as_json = || format!("{}\n", json::of_detections(&evaluation));
        if !write_json(self.json.as_deref(), as_json, self.force)? {
            print(&table::of_detections(&evaluation))?;
        }
        Ok(if evaluation.unread.is_empty() { ExitStatus::Done } else { ExitStatus::Failed })
    }
}

/// Parsed methods.
#[derive(Clone)]
struct Methods {
    methods: Vec<&'static Method>,
    /// Whether all are measured that the model has what they need of.
    all: bool,
}

/// Parses one method, several separated by commas, or `all`.
fn methods(names: &str) -> whycam::Result<Methods> {
    let all = names == "all";
    let named = || names.split(',').map(|name| cam::find(name.trim())).collect::<whycam::Result<_>>();
    Ok(Methods { methods: if all { METHODS.iter().collect() } else { named()? }, all })
}

/// Leaves out the methods that the model has nothing for: those of transformers if it is none, or those of one layer if it has
/// several heads. It is an error if none is left.
fn keep_fitting(plan: &mut Plan, global: &GlobalArgs) -> Result<()> {
    let mut request = plan.request.clone();
    let mut refused = None;
    plan.methods.retain(|method| {
        request.method = Some(method);
        let Err(refusal) = Explainer::new(&plan.options, &request) else { return true };
        if !global.quiet {
            say(format_args!("{} is left out: {refusal}", method.name));
        }
        refused = Some(refusal);
        false
    });
    match refused {
        Some(refusal) if plan.methods.is_empty() => Err(refusal.into()),
        _ => Ok(()),
    }
}
