//! The stages on their threads: capture and inference (`stages`), screen and sinks on the thread that calls
//! [`run`] (`front`). Only this module starts threads, but for a camera's own and those that read photos ahead.
//!
//! ```text
//! source ──frames──▶ link ──▶ explainer ▸ overlay ──explained frames──▶ link ──▶ screen, sinks
//! thread "capture"            threads "inference" ◀──changes──────────── calling thread
//! ```
//!
//! Where each frame stands for itself, several explainers share them out, and the front puts them back into order.
//!
//! The order of stopping: the front asks for the stop (a limit is reached, a window closed,
//! an error, Ctrl-C), the inference thread ends after its run, the capture thread at its next one
//! (a stalled camera's is left behind), and the sinks are finished last.

mod behind;
mod front;
mod order;
mod pace;
mod stages;
mod steering;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use crate::link::Policy;
pub use behind::Behind;
use front::{Front, Note, Pause};
use order::InOrder;
pub use pace::Ages;
use pace::PaceMeter;
use stages::{Tap, Worker, capture};
pub use stop::Stop;

use crate::error::{Error, Result};
use crate::explainer::Explainer;
use crate::explanation::{Explanation, Facts};
use crate::frame::Frame;
use crate::link;
use crate::overlay::Overlay;
use crate::permits::{Permit, Permits};
use crate::screen::{Pace, Screen};
use crate::sink::{Flow, Sink};
use crate::source::{Source, Tell};
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
    /// How many stages may work at once. A source takes its own.
    pub permits: Permits,
}

/// What became of the frames: captured = explained + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub captured: u64,
    pub explained: u64,
    /// Replaced by a newer frame before they were explained, or left when the run was stopped or changed.
    pub dropped: u64,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub counts: Counts,
    pub elapsed: Duration,
    /// How old explained frames were when they were shown.
    pub ages: Ages,
    /// Frames that are missing in recordings, since encoding did not keep up.
    pub left_out: u64,
    /// What ended it, where it was not the end of the source or a limit. Sinks are finished all the same.
    pub error: Option<Error>,
}

/// What a run reports while it goes on.
pub struct Progress {
    pub explained: u64,
    /// Of the source, as far as that is known.
    pub total: Option<u64>,
    pub pace: Pace,
}

/// Frames that wait between decoding and inference, and between inference and the sinks, where every frame counts.
const LINK_FRAMES: usize = 2;
const IDLE: Duration = Duration::from_millis(10);
/// A camera that gives no frames can hold its thread for ever; the program does not wait longer for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens a source, which may tell by the given means why no frames come.
pub type Opener = Box<dyn FnOnce(Tell) -> Result<Box<dyn Source>> + Send>;

/// A frame on its way to the explainer.
struct Captured {
    frame: Frame,
    /// Of the source's frames, as far as that is known.
    total: Option<u64>,
    /// Of those that bound how many frames are on their way.
    _place: Permit,
}

/// What goes from thread to thread: its number in the order of the source, and what it is or why there is no more.
type Numbered<T> = (u64, Result<T>);

struct Explained {
    captured: Captured,
    explanation: Explanation,
    facts: Arc<Facts>,
}

/// What one inference thread works with.
pub struct Lane {
    pub explainer: Explainer,
    /// Draws the map onto the frames that sinks get. A screen draws by itself.
    pub overlay: Option<Overlay>,
}

/// Where explained frames go.
pub struct Outputs<'a> {
    pub sinks: &'a mut Vec<Box<dyn Sink>>,
    pub screen: Option<LiveScreen<'a>>,
}

/// A screen with what it draws by and how it records.
pub struct LiveScreen<'a> {
    pub screen: &'a mut dyn Screen,
    pub overlay: Overlay,
    /// Whether the sinks get pictures with the map, too.
    pub pictures: bool,
    /// Begins a recording, and says where it goes.
    pub record: &'a dyn Fn() -> Result<(String, Box<dyn Sink>)>,
}

/// Runs a source through explainers, a lane each, into sinks and onto a screen until it ends, a limit is reached, or `stop` is
/// asked for. Several explainers share the frames out, and for that the link must block, and neither smoothing nor a
/// screen may ask for the frames before.
pub fn run(
    open: Opener,
    lanes: Vec<Lane>,
    outputs: Outputs,
    options: &Options,
    stop: &Stop,
    mut report: impl FnMut(&Progress),
) -> Outcome {
    let started = Instant::now();
    let ended = Stop::default();
    let stops = [stop.clone(), ended.clone()];
    // Where the newest frame counts, none that is explained waits either: it would be an old one when it is shown.
    let (ahead, behind) = if options.policy == Policy::Newest { (1, 0) } else { (LINK_FRAMES, LINK_FRAMES) };
    let (frames_in, frames_out) = link::link::<Numbered<Captured>>(options.policy, ahead);
    let (explained_in, explained_out) = link::link::<Numbered<Explained>>(Policy::Block, behind);
    // The links alone bound no frames that wait for the one before them, which a slow lane has.
    // One lane, too, has a frame decoded ahead of it and one written behind it.
    let places = match options.policy {
        Policy::Block => Permits::new((2 * lanes.len()).max(3)),
        Policy::Newest => Permits::UNBOUNDED,
    };
    let (newest_in, newest_out) = link::link::<Frame>(Policy::Newest, 1);
    let (changes_in, changes_out) = crossbeam_channel::unbounded();
    let (notes_in, notes_out) = crossbeam_channel::unbounded();

    let captured = Arc::new(AtomicU64::new(0));
    let fluid = Arc::new(AtomicBool::new(false));
    let tap = Tap { captured: Arc::clone(&captured), fluid: Arc::clone(&fluid), newest: newest_in, places };
    let capture_stops = stops.clone();
    let waits = notes_in.clone();
    let tell: Tell = Box::new(move |why| drop(waits.send(Note::Lost(why))));
    let capture = spawn("capture", move || capture(|| open(tell), &frames_in, &tap, &capture_stops));
    let mut in_order = InOrder::new(explained_out, lanes.len() == 1);
    let (frames_out, explained_in) = (Arc::new(frames_out), Arc::new(explained_in));
    let inference: Vec<_> = lanes
        .into_iter()
        .map(|lane| {
            let worker = Worker {
                follows: lane.explainer.follows_prediction(),
                lane,
                smoothing: options.smoothing.map(Steady::new),
                frames: Arc::clone(&frames_out),
                explained: Arc::clone(&explained_in),
                changes: changes_out.clone(),
                notes: notes_in.clone(),
                permits: options.permits.clone(),
                stops: stops.clone(),
            };
            spawn("inference", move || worker.work())
        })
        .collect();
    drop((frames_out, explained_in, notes_in));

    let mut front = Front {
        outputs,
        paused: Pause::No,
        heard: started,
        captured_when_heard: 0,
        waiting: false,
        lost: None,
        meter: PaceMeter::new(),
        captured: Arc::clone(&captured),
        fluid,
        changes: changes_in,
        recording: None,
        last: None,
        explained: 0,
        left_out: 0,
    };
    let mut error = None;
    let mut whole = false;
    let within = |explained: u64| {
        options.frames.is_none_or(|limit| explained < limit)
            && options.duration.is_none_or(|limit| started.elapsed() < limit)
    };
    while within(front.explained) {
        let step = match in_order.receive_within(IDLE) {
            link::Received::Item(Ok(explained)) => {
                let _permit = options.permits.take();
                let total = explained.captured.total;
                let result = front.take(explained);
                report(&Progress { explained: front.explained, total, pace: front.pace() });
                result
            }
            link::Received::Item(Err(e)) => Err(e),
            link::Received::Nothing => front.idle(),
            link::Received::End => {
                whole = !stop.is_requested();
                break;
            }
        };
        let step =
            step.and_then(|flow| if flow == Flow::Stop { Ok(flow) } else { front.steer(&newest_out, &notes_out) });
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
    drop(in_order);
    for worker in inference {
        error = error.or(join_within("inference", worker, None).err());
    }
    error = error.or(join_within("capture", capture, Some(PATIENCE)).err());
    let error = front.finish(whole, error);
    let Front { explained, meter, left_out, .. } = front;
    let captured = captured.load(Ordering::Relaxed);
    let counts = Counts { captured, explained, dropped: captured - explained };
    Outcome { counts, elapsed: started.elapsed(), ages: meter.ages(), left_out, error }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::RgbImage;

    use super::*;
    use crate::options::ExplainerOptions;
    use crate::sink::ExplainedFrame;

    /// Counts the frames that it gives.
    struct Counting(Arc<AtomicU64>);

    impl Source for Counting {
        fn next_frame(&mut self) -> Result<Option<Frame>> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            Ok((number < 60).then(|| Frame::alone(Path::new("frame"), RgbImage::new(8, 8), None)))
        }

        fn frame_count(&self) -> Option<u64> {
            None
        }
    }

    /// Notes how many frames were on their way at most.
    struct Noting {
        given: Arc<AtomicU64>,
        most: Arc<AtomicU64>,
    }

    impl Sink for Noting {
        fn write(&mut self, explained: &ExplainedFrame, _: &Facts) -> Result<Flow> {
            self.most.fetch_max(self.given.load(Ordering::Relaxed) - explained.number, Ordering::Relaxed);
            Ok(Flow::Continue)
        }
    }

    #[test]
    fn a_lane_that_is_ahead_waits_for_a_slow_one() {
        let (given, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let lane = |method: &str| {
            let (model, method) = (Some("flowers-vgg".to_owned()), Some(method.to_owned()));
            let explainer = Explainer::new(&ExplainerOptions { model, method, ..ExplainerOptions::default() });
            Lane { explainer: explainer.unwrap_or_else(|e| panic!("{e}")), overlay: None }
        };
        let source = Counting(Arc::clone(&given));
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(Noting { given, most: Arc::clone(&most) })];
        let outcome = run(
            Box::new(|_| Ok(Box::new(source))),
            vec![lane("grad-cam"), lane("smooth-grad-cam++")],
            Outputs { sinks: &mut sinks, screen: None },
            &Options {
                policy: Policy::Block,
                frames: None,
                duration: None,
                smoothing: None,
                permits: Permits::UNBOUNDED,
            },
            &Stop::default(),
            |_| (),
        );
        assert!(outcome.error.is_none() && outcome.counts.explained == 60, "{outcome:?}");
        assert!(most.load(Ordering::Relaxed) <= 2 * 2, "{most:?} frames were on their way");
    }
}
