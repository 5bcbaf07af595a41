//! `whycam explain`

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use anyhow::{Result, bail};
use clap::Args;
use whycam::pipeline::{Options, Policy};
use whycam::sink::{JsonSink, MapsSink, Place, ResultsSink, Sink};
use whycam::source::{Failures, SequenceSource, list_inputs};

use super::run::Run;
use super::{Common, Status};

#[derive(Args)]
pub struct Explain {
    /// Pictures, folders of them, GIFs, films, or addresses of streams
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// The explained picture or film; for several inputs, a folder
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// One JSON object a frame, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// The raw maps as 000000.npy, 000001.npy …
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

impl Explain {
    pub fn run(self, common: &Common) -> Result<Status> {
        let folders = self.inputs.iter().any(|input| Path::new(input).is_dir());
        let inputs = list_inputs(&self.inputs)?;
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        let place = self.place(folders || inputs.len() > 1)?;
        let pictures = place.is_some();
        if let Some(place) = place {
            sinks.push(Box::new(ResultsSink::new(place, self.force)?));
        }
        if let Some(folder) = &self.maps {
            sinks.push(Box::new(MapsSink::new(folder, self.force)?));
        }
        if let Some(path) = &self.json {
            sinks.push(Box::new(JsonSink::new(path, self.maps.is_some(), self.force)?));
        }
        let failures = Failures::default();
        let noted = Arc::clone(&failures);
        let status = Run {
            common,
            open: Box::new(move || Ok(Box::new(SequenceSource::open(inputs, noted)?))),
            sinks,
            options: Options { policy: Policy::Block, frames: None, duration: None },
            pictures,
            progress: true,
        }
        .run()?;
        let failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        for failure in failures.iter() {
            eprintln!("whycam: {failure}");
        }
        Ok(if failures.is_empty() || status == Status::Interrupted { status } else { Status::Failed })
    }

    /// Where pictures go, or `None` if none are asked for.
    fn place(&self, several: bool) -> Result<Option<Place>> {
        let Some(output) = &self.output else {
            return Ok((self.json.is_none() && self.maps.is_none()).then_some(Place::Beside));
        };
        if output.is_dir() || output.as_os_str().to_string_lossy().ends_with('/') {
            return Ok(Some(Place::Folder(output.clone())));
        }
        if !several {
            return Ok(Some(Place::File(output.clone())));
        }
        if output.extension().is_some() {
            bail!("-o {} takes one input; for several, name a folder (with a / at its end)", output.display());
        }
        Ok(Some(Place::Folder(output.clone())))
    }
}
