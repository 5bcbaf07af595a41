//! The stages on their threads: capture, inference, and the sinks on the thread that calls
//! [`run`]. Only this module starts threads.
//!
//! ```text
//! source ──frames──▶ link ──▶ explainer ──explained frames──▶ link ──▶ overlay, sinks
//! thread "capture"            thread "inference"                       calling thread
//! ```
//!
//! The order of stopping: the sinks' side asks for the stop (a limit is reached, a window closed,
//! an error, Ctrl-C), the inference thread ends after its frame, the capture thread at its next one
//! (a stalled camera's is left behind), and the sinks are finished last.

mod link;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use link::Policy;
pub use stop::Stop;

use crate::error::{Error, Result};
use crate::explainer::{Explainer, Explanation};
use crate::frame::Frame;
use crate::overlay::Overlay;
use crate::sink::{Ending, ExplainedFrame, Flow, Sink};
use crate::source::Source;
use crate::steady::Steady;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    pub policy: Policy,
    /// Stop after so many explained frames.
    pub frames: Option<u64>,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// The time constant by which maps are smoothed, in seconds; `None` leaves each frame to itself.
    pub smoothing: Option<f64>,
}

/// What became of the frames: captured = explained + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub captured: u64,
    pub explained: u64,
    /// Replaced by a newer frame before they were explained, or left when the run was stopped.
    pub dropped: u64,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub counts: Counts,
    pub elapsed: Duration,
    /// What ended it, where it was not the end of the source or a limit. Sinks are finished all the same.
    pub error: Option<Error>,
}

/// What a run reports while it goes on.
pub struct Progress {
    pub explained: u64,
    /// Of the source, as far as that is known.
    pub total: Option<u64>,
}

/// Frames that wait between decoding and inference, and between inference and the sinks.
const LINK_FRAMES: usize = 4;
const IDLE: Duration = Duration::from_millis(10);
/// A camera that gives no frames can hold its thread for ever; the program does not wait longer for it.
const PATIENCE: Duration = Duration::from_secs(1);

type Opener = Box<dyn FnOnce() -> Result<Box<dyn Source>> + Send>;
type Captured = (Frame, Option<u64>);
type Explained = (Frame, Explanation, Option<u64>);

/// Runs a source through an explainer into sinks until it ends, a limit is reached, or `stop` is
/// asked for. The source is opened on its own thread, since cameras may not change theirs.
pub fn run(
    open: Opener,
    mut explainer: Explainer,
    mut overlay: Option<Overlay>,
    sinks: &mut [Box<dyn Sink>],
    options: &Options,
    stop: &Stop,
    mut report: impl FnMut(&Progress),
) -> Outcome {
    let started = Instant::now();
    let facts = explainer.facts().clone();
    let ended = Stop::default();
    let (frames_in, frames_out) = link::link::<Result<Captured>>(options.policy, LINK_FRAMES);
    let (explained_in, explained_out) = link::link::<Result<Explained>>(Policy::Block, LINK_FRAMES);

    let captured = Arc::new(AtomicU64::new(0));
    let (counter, stops) = (Arc::clone(&captured), [stop.clone(), ended.clone()]);
    let capture = spawn("capture", move || capture(open, &frames_in, &counter, &stops));
    let stops = [stop.clone(), ended.clone()];
    let mut steady = options.smoothing.map(|seconds| (Steady::new(seconds), explainer.follows_prediction()));
    let inference = spawn("inference", move || {
        // A stalled camera ends the link never, so the stop is looked for too.
        while !stops.iter().any(Stop::is_requested) {
            let item = match frames_out.receive_within(IDLE) {
                link::Received::Item(item) => item,
                link::Received::Nothing => continue,
                link::Received::End => break,
            };
            let explained = item.and_then(|(frame, total)| {
                if let Some((steady, true)) = &mut steady {
                    explainer.set_class(steady.class_for(&frame.picture))?;
                }
                let mut explanation = match &frame.tensor {
                    Some(tensor) => explainer.explain_tensor(tensor.view())?,
                    None => explainer.explain(&frame.picture)?,
                };
                if let Some((steady, _)) = &mut steady {
                    steady.smooth(&frame.picture, frame.time.as_us(), &mut explanation);
                }
                Ok((frame, explanation, total))
            });
            if !explained_in.send(explained) {
                break;
            }
        }
    });

    let mut error = None;
    let mut explained = 0;
    let mut whole = false;
    let within = |explained: u64| {
        options.frames.is_none_or(|limit| explained < limit)
            && options.duration.is_none_or(|limit| started.elapsed() < limit)
    };
    while within(explained) {
        let step = match explained_out.receive_within(IDLE) {
            link::Received::Item(Ok((mut frame, explanation, total))) => {
                let drawn = overlay.as_mut().map_or(Ok(()), |o| o.draw(&mut frame, &explanation, &facts));
                let result = drawn.and_then(|()| {
                    let item = ExplainedFrame { frame, explanation, number: explained };
                    all(sinks, |sink| sink.write(&item, &facts))
                });
                explained += 1;
                report(&Progress { explained, total });
                result
            }
            link::Received::Item(Err(e)) => Err(e),
            link::Received::Nothing => all(sinks, |sink| sink.idle()),
            link::Received::End => {
                whole = !stop.is_requested();
                break;
            }
        };
        match step {
            Ok(Flow::Continue) => {}
            Ok(Flow::Stop) => break,
            Err(e) => {
                error = Some(e);
                break;
            }
        }
    }
    ended.request();
    drop(explained_out);
    let joined =
        join_within("inference", inference, None).and_then(|()| join_within("capture", capture, Some(PATIENCE)));
    error = error.or(joined.err());
    let ending = if whole { Ending::Whole } else { Ending::Cut };
    for sink in sinks {
        let finished = sink.finish(ending);
        error = error.or(finished.err());
    }
    let captured = captured.load(Ordering::Relaxed);
    Outcome { counts: Counts { captured, explained, dropped: captured - explained }, elapsed: started.elapsed(), error }
}

/// Reads the source to its end, counting its frames.
fn capture(open: Opener, link: &link::Sender<Result<Captured>>, captured: &AtomicU64, stops: &[Stop]) {
    let mut source = match open() {
        Ok(source) => source,
        Err(e) => {
            link.send(Err(e));
            return;
        }
    };
    while !stops.iter().any(Stop::is_requested) {
        let item = match source.next_frame() {
            Ok(Some(frame)) => {
                captured.fetch_add(1, Ordering::Relaxed);
                Ok((frame, source.frame_count()))
            }
            Ok(None) => return,
            Err(e) => Err(e),
        };
        let broken = item.is_err();
        if !link.send(item) || broken {
            return;
        }
    }
}

fn all(sinks: &mut [Box<dyn Sink>], mut step: impl FnMut(&mut Box<dyn Sink>) -> Result<Flow>) -> Result<Flow> {
    let mut flow = Flow::Continue;
    for sink in sinks {
        if step(sink)? == Flow::Stop {
            flow = Flow::Stop;
        }
    }
    Ok(flow)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work).ok()
}

/// Waits for a thread's end; one that does not end in time is left to itself.
fn join_within(name: &str, handle: Option<JoinHandle<()>>, patience: Option<Duration>) -> Result<()> {
    let broken = |problem: &str| Error::Runtime { runtime: format!("thread {name}"), problem: problem.into() };
    let handle = handle.ok_or_else(|| broken("the system gives no further thread"))?;
    let deadline = patience.map(|patience| Instant::now() + patience);
    while !handle.is_finished() {
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    handle.join().map_err(|_| broken("it broke off; please report this"))
}
