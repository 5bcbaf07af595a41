//! `whycam explain`

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use clap::Args;
use whycam::ExplanationContext;
use whycam::cam::CamMap;
use whycam::pipeline::{Options, Policy};
use whycam::plumbing::{Report, make_folder};
use whycam::sink::{
    Destination, ExplainedFrame, Flow, JsonSink, MapFormat, MapNames, MapSize, MapsSink, ResultNames, ResultsSink,
    ResumeLog, Sink,
};
use whycam::source::{Input, SequenceSource, Source, is_pipe, is_still, is_tensor, list_inputs};

use super::args::{ExplainArgs, GlobalArgs, share};
use super::encode::EncodeArgs;
use super::output::{ExitStatus, UsageError, check_outputs, report, say, say_error};
use super::resume_key::ResumeKey;
use super::run::PipelineRun;

#[derive(Args)]
pub struct Explain {
    /// Pictures, folders of them, GIFs, films, or addresses of streams
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<OsString>,
    /// The explained picture or film; for several inputs, a folder
    #[arg(short, value_name = "OUT")]
    out: Option<PathBuf>,
    #[command(flatten)]
    encode: EncodeArgs,
    /// Write one JSON object a frame, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Write the raw maps as 000000.npy, 000001.npy …, or with --shard or --resume by input and frame:
    /// 000000-000000.npy
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// The maps as NumPy files, as grey pictures of 16 bits (white is a map's largest value; of a signed map, middle grey is
    /// zero), or as one NumPy archive maps.npz
    #[arg(long, value_name = "npy|png|npz", default_value = "npy", value_parser = ["npy", "png", "npz"], requires = "maps")]
    maps_as: String,
    /// The size of the maps: a number for each cell, or that of the picture, each value where it is drawn
    #[arg(long, value_name = "cells|picture", default_value = "cells", value_parser = ["cells", "picture"],
          requires = "maps")]
    map_size: String,
    /// In the JSON, boxes around the cells with at least this share of the map's largest value
    #[arg(long, value_name = "0..1", value_parser = share, requires = "json")]
    boxes: Option<f32>,
    /// Do the Ith of N parts of the inputs
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// Continue an interrupted run. Completed inputs are logged in FILE.done next to --json FILE, or in the folder of -o
    /// or --maps
    #[arg(long)]
    resume: bool,
    /// INPUTs are .npy files that hold the model's input as it is
    #[arg(long)]
    tensor: bool,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    explain: ExplainArgs,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    parts
        .filter(|(part, parts)| (1..=*parts).contains(part))
        .ok_or_else(|| "give a part of all, from 1/8 to 8/8".into())
}

impl Explain {
    pub fn run(mut self, global: &GlobalArgs) -> Result<ExitStatus> {
        self.explain.map.detections.each = self.json.is_some() || self.maps.is_some();
        let report = report(global.quiet);
        let named: Vec<Input> = self.inputs.iter().map(Input::from).collect();
        let folders = named.iter().filter(|input| input.is_folder());
        let roots: Vec<PathBuf> = folders.filter_map(|input| input.path.clone()).collect();
        let all = list_inputs(&named, &report)?;
        self.check_kinds(&all)?;
        let paths: Vec<PathBuf> = all.iter().filter_map(|input| input.path.clone()).collect();
        let read: Vec<&Path> = paths.iter().map(PathBuf::as_path).chain(self.explain.model.files()).collect();
        check_outputs(&[self.out.as_deref(), self.json.as_deref()], &read)?;
        let destination = self.destination(roots, all.len())?;
        let pictures = destination.is_some();
        let mut log = if self.resume { Some(self.resume_log(destination.as_ref())?) } else { None };
        let listed = listed(&all, log.as_mut());
        let names = self.map_names(&listed)?;
        let results = destination.as_ref().map(|destination| ResultNames::plan(destination, &paths_of(&listed, &all)));
        let inputs = self.remaining(all, &listed, log.as_ref());
        if inputs.is_empty() {
            let failed = tell_failures(&report);
            if !global.quiet {
                say("nothing is left to do");
            }
            return Ok(if failed { ExitStatus::Failed } else { ExitStatus::Done });
        }
        let highest = match self.explain.style.scale.as_str() {
            "film" if pictures => Some(self.highest_values(global, inputs.clone())?),
            _ => None,
        };
        // Nothing is written before the model is read.
        let sinks = || self.sinks(destination.zip(results), &names, log.as_ref(), &report);
        let status =
            PipelineRun { sinks: Box::new(sinks), pictures, highest, ..self.each(global, inputs, &report) }.run();
        let failed = tell_failures(&report);
        let status = status?;
        Ok(if failed && status != ExitStatus::Interrupted { ExitStatus::Failed } else { status })
    }

    /// # Errors
    /// There is a tensor without `--tensor`, or something else with it.
    fn check_kinds(&self, inputs: &[Input]) -> Result<()> {
        let Some(odd) = inputs.iter().find(|input| is_tensor(input) != self.tensor) else { return Ok(()) };
        let remedy =
            if self.tensor { "is no .npy file, which --tensor takes" } else { "holds a tensor; --tensor takes it" };
        Err(UsageError(format!("{} {remedy}", odd.name)).into())
    }

    /// The inputs of this shard that no earlier run has completed.
    fn remaining(&self, all: Vec<Input>, listed: &[String], log: Option<&ResumeLog>) -> Vec<Input> {
        let (part, parts) = self.shard.unwrap_or((1, 1));
        // An input that is named twice has its first number.
        let numbers: HashMap<&String, usize> =
            listed.iter().enumerate().rev().map(|(number, name)| (name, number)).collect();
        let own = |input: &Input| numbers.get(&input.name).is_some_and(|number| number % parts == part - 1);
        let undone = |input: &Input| log.is_none_or(|log| !log.done.contains(&input.name));
        all.into_iter().filter(|input| own(input) && undone(input)).collect()
    }

    /// The names of the raw maps. With `--shard` or `--resume` they count from each input, so that runs do not collide.
    fn map_names(&self, listed: &[String]) -> Result<MapNames> {
        let by_input = self.resume || self.shard.is_some();
        let format = match self.maps_as.as_str() {
            "png" => MapFormat::Png,
            "npz" if by_input => {
                let problem =
                    "--maps-as npz writes one archive for a whole run; with --shard or --resume use --maps-as npy";
                return Err(UsageError(problem.into()).into());
            }
            "npz" => MapFormat::Npz,
            _ => MapFormat::Npy,
        };
        let numbers = || Arc::new(listed.iter().cloned().zip(0..).collect());
        let size = if self.map_size == "picture" { MapSize::Picture } else { MapSize::Cells };
        Ok(MapNames { format, size, inputs: by_input.then(numbers) })
    }

    fn sinks(
        &self,
        results: Option<(Destination, ResultNames)>,
        names: &MapNames,
        log: Option<&ResumeLog>,
        report: &Report,
    ) -> Result<Vec<Box<dyn Sink>>> {
        let begun = log.filter(|log| log.begun);
        let overwrite = self.force || begun.is_some();
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some((destination, names)) = results {
            let encoding = self.encode.encoding(self.explain.model.threads());
            sinks.push(Box::new(ResultsSink::new(destination, names, encoding, overwrite, report.clone())?));
        }
        if let Some(folder) = &self.maps {
            sinks.push(Box::new(MapsSink::new(folder, names.clone(), overwrite)?));
        }
        if let Some(path) = &self.json {
            let names = self.maps.as_ref().map(|_| names.clone());
            sinks.push(Box::new(match begun {
                Some(log) => JsonSink::resume(path, names, self.boxes, &log.done)?,
                None => JsonSink::new(path, names, self.boxes, self.force)?,
            }));
        }
        if let Some(log) = log {
            sinks.push(Box::new(log.sink(report.clone())?));
        }
        Ok(sinks)
    }

    /// The log of what earlier runs have completed.
    fn resume_log(&self, destination: Option<&Destination>) -> Result<ResumeLog> {
        let beside = |path: &Path| PathBuf::from(format!("{}.done", path.display()));
        let (part, parts) = self.shard.unwrap_or((1, 1));
        let inside = |folder: &Path| folder.join(format!(".whycam-{part}-of-{parts}.done"));
        let path = match (&self.json, destination, &self.maps) {
            (Some(json), _, _) if json != Path::new("-") => beside(json),
            (_, Some(Destination::Folder { folder, .. }), _) => inside(folder),
            (_, Some(Destination::File(file)), _) => beside(file),
            (_, _, Some(maps)) => inside(maps),
            _ => {
                let problem = "--resume needs --json FILE, -o or --maps, to log next to them what is completed";
                return Err(UsageError(problem.into()).into());
            }
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_folder(folder)?;
        }
        let mut key = ResumeKey::new(&self.explain.model.options(), &self.explain.map.request()?);
        key.note("boxes", self.boxes, None);
        key.note("maps-as", self.maps_as.as_str(), "npy");
        key.note("map-size", self.map_size.as_str(), "cells");
        key.note("shard", self.shard.map(|(part, parts)| format!("{part}/{parts}")), None);
        // What is done is done in all outputs. Those that hold the log may be moved.
        let lies_in = |output: &Path| path.starts_with(output) || path == beside(output);
        for (name, output) in [("json", &self.json), ("out", &self.out), ("maps", &self.maps)] {
            let elsewhere = output.as_deref().filter(|output| !lies_in(output));
            key.note(name, elsewhere.map(|output| output.display().to_string()), None);
        }
        Ok(ResumeLog::read(&path, &key.text(), "options")?)
    }

    /// A run that explains each frame of the inputs independently, without sinks.
    fn each<'c>(&'c self, global: &'c GlobalArgs, inputs: Vec<Input>, report: &Report) -> PipelineRun<'c> {
        let plan = self.explain.model.thread_plan(1);
        // A few pictures need a few explainers.
        let few = inputs.len() < plan.explainers && inputs.iter().all(|input| is_still(input) || is_tensor(input));
        let explainers = if few { inputs.len() } else { plan.explainers };
        let (threads, semaphore, report) = (plan.decoder, plan.semaphore.clone(), report.clone());
        let open = move |_| Ok(Box::new(SequenceSource::open(inputs, threads, semaphore, report)?) as Box<dyn Source>);
        let semaphore = plan.semaphore;
        PipelineRun {
            global,
            explain: &self.explain,
            open: Box::new(open),
            sinks: Box::new(|| Ok(Vec::new())),
            screen: None,
            options: Options {
                policy: Policy::Block,
                lanes: 1,
                frames: None,
                duration: None,
                smoothing: None,
                semaphore,
            },
            explainers: Some((explainers, plan.threads_each)),
            pictures: false,
            progress: true,
            highest: None,
            taught: None,
        }
    }

    /// The largest value of the maps of each input, by a run that writes nothing.
    fn highest_values(&self, global: &GlobalArgs, inputs: Vec<Input>) -> Result<HashMap<String, f32>> {
        let is_read_once = |input: &&Input| input.path.as_deref().is_none_or(is_pipe);
        if let Some(address) = inputs.iter().find(is_read_once) {
            let problem = "cannot be read twice, as --scale film needs; use --scale logit, which is fixed";
            return Err(UsageError(format!("{} {problem}", address.name)).into());
        }
        let highest = Highest::default();
        let quiet = GlobalArgs { quiet: true, ..global.clone() };
        let kept = Arc::clone(&highest);
        let sinks = || Ok(vec![Box::new(HighestSink(kept)) as Box<dyn Sink>]);
        PipelineRun { sinks: Box::new(sinks), ..self.each(&quiet, inputs, &Report::silent()) }.run()?;
        let highest = std::mem::take(&mut *highest.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(highest)
    }

    /// Where pictures go, or `None` if there are none. `roots` are the inputs that are folders.
    fn destination(&self, roots: Vec<PathBuf>, inputs: usize) -> Result<Option<Destination>> {
        let Some(out) = &self.out else {
            return Ok((self.json.is_none() && self.maps.is_none()).then_some(Destination::Beside));
        };
        let folder = out.is_dir() || out.as_os_str().to_string_lossy().ends_with('/');
        if !folder && roots.is_empty() && inputs == 1 {
            return Ok(Some(Destination::File(out.clone())));
        }
        if !folder && out.extension().is_some() {
            let problem = "takes one input; for several, name a folder (with a / at its end)";
            return Err(UsageError(format!("-o {} {problem}", out.display())).into());
        }
        Ok(Some(Destination::Folder { folder: out.clone(), roots }))
    }
}

/// Prints what failed, and tells whether anything did.
fn tell_failures(report: &Report) -> bool {
    let failures = report.take_failures();
    failures.iter().for_each(say_error);
    !failures.is_empty()
}

/// The names of all inputs in the order that numbers and names of results follow: that of the log, if there is one.
fn listed(all: &[Input], log: Option<&mut ResumeLog>) -> Vec<String> {
    let names = all.iter().map(|input| input.name.as_str());
    let Some(log) = log else { return names.map(str::to_owned).collect() };
    log.list(names);
    log.listed.clone()
}

/// The paths of inputs. Those that are gone keep the names of their results.
fn paths_of(listed: &[String], all: &[Input]) -> Vec<PathBuf> {
    let paths: HashMap<&str, Option<&PathBuf>> =
        all.iter().map(|input| (input.name.as_str(), input.path.as_ref())).collect();
    let path = |name: &String| match paths.get(name.as_str()) {
        Some(path) => path.cloned(),
        None => Some(PathBuf::from(name)),
    };
    listed.iter().filter_map(path).collect()
}

type Highest = Arc<Mutex<HashMap<String, f32>>>;

/// Keeps the value of the hottest colour of the maps of each medium.
struct HighestSink(Highest);

impl Sink for HighestSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> whycam::Result<Flow> {
        let value = explained.explanation.maps().map(CamMap::hottest).fold(0.0, f32::max);
        let mut highest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = highest.entry(explained.frame.medium.name.clone()).or_default();
        *known = known.max(value);
        Ok(Flow::Continue)
    }
}
