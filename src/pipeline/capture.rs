//! The capture thread: it reads the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tracing::trace_span;

use super::item::{CapturedFrame, Numbered};
use crate::error::Result;
use crate::media::Frame;
use crate::source::{Source, StatusReport};
use crate::sync::channel::Sender;
use crate::sync::{Permit, Semaphore, Stop};

/// Opens a source. The source reports through the callback why no frames arrive.
pub type Opener = Box<dyn FnOnce(StatusReport) -> Result<Box<dyn Source>> + Send>;

/// How often a waiting thread checks for a stop.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What capture shares with the output stage besides the frames.
pub struct CaptureMonitor {
    /// Frames that the source gave or skipped.
    pub captured: Arc<AtomicU64>,
    /// Whether the screen shows every captured frame.
    pub fluid: Arc<AtomicBool>,
    /// The newest frame, for the fluid view.
    pub newest: Sender<Frame>,
    /// Each frame holds a permit until it is written.
    pub in_flight: Semaphore,
}

/// Reads the source until it ends or fails, a stop is requested, or the receiver is gone.
pub fn capture(
    open: impl FnOnce() -> Result<Box<dyn Source>>,
    frames: &Sender<Numbered<CapturedFrame>>,
    monitor: &CaptureMonitor,
    stops: &[Stop],
) {
    let mut source = match open() {
        Ok(source) => source,
        Err(error) => {
            frames.send((0, Err(error)));
            return;
        }
    };
    for number in 0.. {
        let Some(in_flight) = permit(&monitor.in_flight, stops) else { return };
        let Some(item) = next_item(source.as_mut(), monitor, in_flight).transpose() else { return };
        let failed = item.is_err();
        if !frames.send((number, item)) || failed {
            return;
        }
    }
}

/// Waits for a permit. Returns `None` if a stop is requested.
fn permit(in_flight: &Semaphore, stops: &[Stop]) -> Option<Permit> {
    while !stops.iter().any(Stop::is_requested) {
        if let Some(permit) = in_flight.acquire_within(POLL_INTERVAL) {
            return Some(permit);
        }
    }
    None
}

/// Reads one frame and counts it, together with those that the source skipped.
fn next_item(source: &mut dyn Source, monitor: &CaptureMonitor, in_flight: Permit) -> Result<Option<CapturedFrame>> {
    let Some(frame) = trace_span!("decode").in_scope(|| source.next_frame())? else { return Ok(None) };
    monitor.captured.fetch_add(1 + source.passed_over(), Ordering::Relaxed);
    if monitor.fluid.load(Ordering::Relaxed) {
        monitor.newest.send(frame.clone());
    }
    Ok(Some(CapturedFrame { frame, total: source.frame_count(), in_flight }))
}
