//! `whycam explain`

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use clap::Args;
use whycam::pipeline::{Options, Policy};
use whycam::sink::{ExplainedFrame, Flow, JsonSink, MapFormat, MapNames, MapsSink, Marks, Place, ResultsSink, Sink};
use whycam::source::{Failures, SequenceSource, Source, is_address, is_still, is_tensor, list_inputs};
use whycam::{Compute, ExplainerOptions, Facts};

use super::common::Shares;
use super::encode::Encode;
use super::run::Run;
use super::{Common, Status, UsageError, say};

#[derive(Args)]
pub struct Explain {
    /// Pictures, folders of them, GIFs, films, or addresses of streams
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// The explained picture or film; for several inputs, a folder
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    encode: Encode,
    /// One JSON object a frame, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// The raw maps as 000000.npy, 000001.npy …, or with --shard or --resume by input and frame: 000000-000000.npy
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// The maps as NumPy files, as grey pictures of 16 bits (white is a map's largest value), or as one
    /// NumPy archive maps.npz
    #[arg(long, value_name = "npy|png|npz", default_value = "npy", value_parser = ["npy", "png", "npz"], requires = "maps")]
    maps_as: String,
    /// In the JSON, boxes around what is at least this share of the map's largest value
    #[arg(long, value_name = "0..1", value_parser = super::common::share, requires = "json")]
    boxes: Option<f32>,
    /// Of N runs that share the inputs, do the part of the Ith
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// Go on where a run that broke off has stopped. What is done is noted in FILE.done beside --json FILE, or in the
    /// folder of -o or --maps
    #[arg(long)]
    resume: bool,
    /// INPUTs are .npy files that hold the model's input as it is
    #[arg(long)]
    tensor: bool,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    parts
        .filter(|(part, parts)| (1..=*parts).contains(part))
        .ok_or_else(|| "give a part of all, from 1/8 to 8/8".into())
}

impl Explain {
    pub fn run(self, common: &Common) -> Result<Status> {
        let roots: Vec<PathBuf> = self.inputs.iter().map(PathBuf::from).filter(|input| input.is_dir()).collect();
        let inputs = list_inputs(&self.inputs)?;
        if let Some(odd) = inputs.iter().find(|input| is_tensor(input) != self.tensor) {
            let mend =
                if self.tensor { "is no .npy file, which --tensor takes" } else { "holds a tensor; --tensor takes it" };
            return Err(UsageError(format!("{odd} {mend}")).into());
        }
        let shares = common.shares();
        let place = self.place(roots, inputs.len())?;
        let pictures = place.is_some();
        let marks = if self.resume { Some(self.marks(common, place.as_ref())?) } else { None };
        let numbers: Option<Arc<HashMap<String, usize>>> = (self.resume || self.shard.is_some())
            .then(|| Arc::new(inputs.iter().enumerate().map(|(number, input)| (input.clone(), number)).collect()));
        let (part, parts) = self.shard.unwrap_or((1, 1));
        let mine = inputs.into_iter().enumerate().filter(|(number, _)| number % parts == part - 1);
        let undone = |input: &String| marks.as_ref().is_none_or(|marks| !marks.done.contains(input));
        let inputs: Vec<String> = mine.map(|(_, input)| input).filter(undone).collect();
        if inputs.is_empty() {
            if !common.quiet {
                say(format_args!("nothing is left to do"));
            }
            return Ok(Status::Done);
        }
        let overwrite = self.force || marks.as_ref().is_some_and(|marks| marks.begun);
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(place) = place {
            sinks.push(Box::new(ResultsSink::new(place, self.encode.encoding(shares.encoder), overwrite)?));
        }
        let format = match self.maps_as.as_str() {
            "png" => MapFormat::Png,
            "npz" => MapFormat::Npz,
            _ => MapFormat::Npy,
        };
        if format == MapFormat::Npz && numbers.is_some() {
            let mend = "--maps-as npz is one archive of one whole run; take npy with --shard or --resume";
            return Err(UsageError(mend.into()).into());
        }
        let names = MapNames { format, inputs: numbers };
        if let Some(folder) = &self.maps {
            sinks.push(Box::new(MapsSink::new(folder, names.clone(), overwrite)?));
        }
        if let Some(path) = &self.json {
            let names = self.maps.as_ref().map(|_| names);
            sinks.push(Box::new(match marks.as_ref().filter(|marks| marks.begun) {
                Some(marks) => JsonSink::resume(path, names, self.boxes, &marks.done)?,
                None => JsonSink::new(path, names, self.boxes, self.force)?,
            }));
        }
        if let Some(marks) = &marks {
            sinks.push(Box::new(marks.sink()?));
        }
        let tops = if common.scale == "film" && pictures { Self::first_pass(common, inputs.clone())? } else { None };
        let failures = Failures::default();
        let status = Run { sinks, pictures, tops, ..Self::each(common, &shares, inputs, &failures) }.run()?;
        let failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        for failure in failures.iter() {
            say(failure);
        }
        Ok(if failures.is_empty() || status == Status::Interrupted { status } else { Status::Failed })
    }

    /// What earlier runs have done.
    fn marks(&self, common: &Common, place: Option<&Place>) -> Result<Marks> {
        let beside = |path: &Path| PathBuf::from(format!("{}.done", path.display()));
        let (part, parts) = self.shard.unwrap_or((1, 1));
        let inside = |folder: &Path| folder.join(format!(".whycam-{part}-of-{parts}.done"));
        let path = match (&self.json, place, &self.maps) {
            (Some(json), _, _) if json != Path::new("-") => beside(json),
            (_, Some(Place::Folder { folder, .. }), _) => inside(folder),
            (_, Some(Place::File(file)), _) => beside(file),
            (_, _, Some(maps)) => inside(maps),
            _ => {
                return Err(
                    UsageError("--resume needs --json FILE, -o or --maps to note beside what is done".into()).into()
                );
            }
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| whycam::Error::writing(folder, &e))?;
        }
        let options = ExplainerOptions { compute: Compute::default(), cache: None, ..common.explainer_options() };
        let asked = format!("{options:?} {:?} {} {:?}", self.boxes, self.maps_as, self.shard);
        Ok(Marks::read(&path, &asked)?)
    }

    /// A run in which each frame of the inputs stands for itself.
    fn each<'c>(common: &'c Common, shares: &Shares, inputs: Vec<String>, failures: &Failures) -> Run<'c> {
        // Few pictures need few explainers.
        let few = inputs.len() < shares.explainers && inputs.iter().all(|input| is_still(input) || is_tensor(input));
        let explainers = if few { inputs.len() } else { shares.explainers };
        let (threads, permits, failures) = (shares.decoder, shares.permits.clone(), Arc::clone(failures));
        let open = move |_| Ok(Box::new(SequenceSource::open(inputs, threads, permits, failures)?) as Box<dyn Source>);
        let permits = shares.permits.clone();
        Run {
            common,
            open: Box::new(open),
            sinks: Vec::new(),
            screen: None,
            options: Options { policy: Policy::Block, frames: None, duration: None, smoothing: None, permits },
            explainers: Some((explainers, shares.threads_each)),
            pictures: false,
            progress: true,
            tops: None,
        }
    }

    /// The largest value of the maps of each input, by a run that writes nothing.
    fn first_pass(common: &Common, inputs: Vec<String>) -> Result<Option<HashMap<String, f32>>> {
        if let Some(address) = inputs.iter().find(|input| is_address(input)) {
            return Err(UsageError(format!(
                "{address} cannot be read twice, as --scale film asks for; --scale logit is fixed"
            ))
            .into());
        }
        let tops = Tops::default();
        let quiet = Common { quiet: true, ..common.clone() };
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(TopSink(Arc::clone(&tops)))];
        Run { sinks, ..Self::each(&quiet, &common.shares(), inputs, &Failures::default()) }.run()?;
        let tops = std::mem::take(&mut *tops.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Some(tops))
    }

    /// Where pictures go, or `None` if none are asked for. `roots` are the inputs that are folders.
    fn place(&self, roots: Vec<PathBuf>, inputs: usize) -> Result<Option<Place>> {
        let Some(output) = &self.output else {
            return Ok((self.json.is_none() && self.maps.is_none()).then_some(Place::Beside));
        };
        let folder = output.is_dir() || output.as_os_str().to_string_lossy().ends_with('/');
        if !folder && roots.is_empty() && inputs == 1 {
            return Ok(Some(Place::File(output.clone())));
        }
        if !folder && output.extension().is_some() {
            let mend = "takes one input; for several, name a folder (with a / at its end)";
            return Err(UsageError(format!("-o {} {mend}", output.display())).into());
        }
        Ok(Some(Place::Folder { folder: output.clone(), roots }))
    }
}

type Tops = Arc<Mutex<HashMap<String, f32>>>;

/// Notes the largest value of the maps of each medium.
struct TopSink(Tops);

impl Sink for TopSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &Facts) -> whycam::Result<Flow> {
        let explanation = &explained.explanation;
        let of_others = explanation.others.iter().map(|other| other.map.max);
        let highest = of_others.fold(explanation.map.max, f32::max);
        let mut tops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let top = tops.entry(explained.frame.medium.name.clone()).or_default();
        *top = top.max(highest);
        Ok(Flow::Continue)
    }
}
