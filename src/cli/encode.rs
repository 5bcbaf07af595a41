//! Writing films.

use std::path::PathBuf;

use clap::Args;
use whycam::pipeline::{Policy, ThreadedSink};
use whycam::plumbing::Report;
use whycam::sink::{Destination, Encoding, ResultNames, ResultsSink, Sink};

#[derive(Args, Clone)]
pub struct EncodeArgs {
    /// FFmpeg's encoder for films, such as libx265 [default: by the file's extension]
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// The encoder's constant rate factor: smaller is better and larger (libx264: 20)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=63))]
    quality: Option<u8>,
}

impl EncodeArgs {
    pub fn encoding(&self, threads: usize) -> Encoding {
        Encoding { encoder: self.encoder.clone(), quality: self.quality, threads }
    }
}

/// A film that another thread encodes.
pub fn recording(
    path: PathBuf,
    encoding: Encoding,
    overwrite: bool,
    policy: Policy,
    report: Report,
) -> whycam::Result<Box<dyn Sink>> {
    Ok(Box::new(ThreadedSink::start(policy, move || {
        Ok(Box::new(ResultsSink::new(Destination::File(path), ResultNames::default(), encoding, overwrite, report)?))
    })?))
}
