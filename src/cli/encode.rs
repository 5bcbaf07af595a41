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

/// A film that another thread encodes, or a stream to an address.
pub fn recording(
    path: PathBuf,
    encoding: Encoding,
    overwrite: bool,
    policy: Policy,
    report: Report,
) -> whycam::Result<Box<dyn Sink>> {
    if path.to_str().is_some_and(|name| name.contains("://")) {
        return broadcast(path, encoding, report);
    }
    Ok(Box::new(ThreadedSink::start(policy, move || {
        Ok(Box::new(ResultsSink::new(Destination::File(path), ResultNames::default(), encoding, overwrite, report)?))
    })?))
}

/// A stream to an address. Its receiver may go away and come back.
#[cfg(feature = "video")]
fn broadcast(address: PathBuf, encoding: Encoding, report: Report) -> whycam::Result<Box<dyn Sink>> {
    use whycam::sink::film::Broadcast;
    Broadcast::check(&address, &encoding)?;
    let name = address.display().to_string();
    reconnecting(name, report, move |frame| Ok(Box::new(Broadcast::connect(&address, frame, &encoding)?)))
}

#[cfg(not(feature = "video"))]
fn broadcast(address: PathBuf, _: Encoding, _: Report) -> whycam::Result<Box<dyn Sink>> {
    Err(whycam::Error::output(address, "this build of whycam sends no streams (feature `video`)"))
}

/// The pictures of a virtual camera.
#[cfg(all(feature = "camera", target_os = "linux"))]
pub fn camera_out(device: PathBuf, report: Report) -> whycam::Result<Box<dyn Sink>> {
    use whycam::sink::VirtualCamera;
    VirtualCamera::check(&device)?;
    let name = device.display().to_string();
    reconnecting(name, report, move |frame| Ok(Box::new(VirtualCamera::open(&device, frame)?)))
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
pub fn camera_out(device: PathBuf, _: Report) -> whycam::Result<Box<dyn Sink>> {
    Err(whycam::Error::output(device, "--camera-out is for Linux (feature `camera`)"))
}

/// An output that runs on its own thread, and connects again when the connection is lost.
#[cfg(any(feature = "video", all(feature = "camera", target_os = "linux")))]
fn reconnecting(
    name: String,
    report: Report,
    connect: impl FnMut(&whycam::plumbing::Frame) -> whycam::Result<Box<dyn whycam::sink::LiveOutput>> + Send + 'static,
) -> whycam::Result<Box<dyn Sink>> {
    use std::time::Duration;

    use whycam::sink::ReconnectingSink;
    /// How long a receiver may take to end.
    const TIMEOUT: Duration = Duration::from_secs(3);
    let start = move || Ok(Box::new(ReconnectingSink::new(name, Box::new(connect), report)) as Box<dyn Sink>);
    Ok(Box::new(ThreadedSink::start(Policy::Newest, start)?.with_timeout(TIMEOUT)))
}
