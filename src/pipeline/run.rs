//! Starting the threads, running the output stage, and stopping the threads in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::capture::{CaptureMonitor, Opener, POLL_INTERVAL, capture};
use super::control::Change;
use super::item::{CapturedFrame, ExplainedItem, Numbered, Status};
use super::order::InOrder;
use super::output_stage::{OutputStage, Outputs, StageChannels};
use super::pace::Ages;
use super::worker::{Worker, WorkerChannels, WorkerThread};
use crate::error::{Error, Result};
use crate::media::Frame;
use crate::screen::Pace;
use crate::sink::Flow;
use crate::source::StatusReport;
use crate::sync::channel::{self, Policy, Received};
use crate::sync::{Semaphore, Stop};

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    pub policy: Policy,
    /// The number of sources that share the model.
    pub lanes: usize,
    /// The number of explained frames to stop after.
    pub frames: Option<u64>,
    /// The time to stop after.
    pub duration: Option<Duration>,
    /// The time constant of the smoothing, in seconds. `None` explains each frame independently.
    pub smoothing: Option<f64>,
    /// Limits how many stages work at once. A source takes its own permits.
    pub semaphore: Semaphore,
}

/// The number of frames: captured = explained + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub captured: u64,
    pub explained: u64,
    /// Frames that a newer one replaced, and frames left over when the run stopped or changed.
    pub dropped: u64,
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    pub counts: Counts,
    pub elapsed: Duration,
    /// The ages of explained frames when they were shown.
    pub ages: Ages,
    /// Frames missing from recordings and streams because encoding did not keep up or the receiver was gone.
    pub left_out: u64,
    /// The error that ended the run. The sinks are finished in any case.
    pub error: Option<Error>,
}

/// The state of a run, reported after each explained frame.
pub struct Progress {
    pub explained: u64,
    /// The source's frame count, if known.
    pub total: Option<u64>,
    pub pace: Pace,
}

/// Frames that wait before and after inference under [`Policy::Block`].
const QUEUE_FRAMES: usize = 4;
/// How long to wait for the capture thread, which a silent camera may block for ever.
const CAPTURE_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a source through workers into sinks and onto a screen, until the source ends, a limit is reached, `stop` is
/// requested, or an error occurs.
///
/// Several workers share the frames. They need [`Policy::Block`], and neither smoothing nor a screen, which depend on
/// earlier frames.
pub fn run(
    open: Opener,
    workers: Vec<Worker>,
    outputs: Outputs,
    options: &Options,
    stop: &Stop,
    mut report: impl FnMut(&Progress),
) -> Outcome {
    let started = Instant::now();
    let Channels { frames, explained, newest, changes, status } = Channels::new(options.policy);
    let (captured, fluid) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let ended = Stop::default();
    let stops = [stop.clone(), ended.clone()];
    let mut explained_items = InOrder::new(explained.1, workers.len() == 1);

    let in_flight = in_flight_limit(options, workers.len());
    let monitor =
        CaptureMonitor { captured: Arc::clone(&captured), fluid: Arc::clone(&fluid), newest: newest.0, in_flight };
    let capture = spawn_capture(open, frames.0, monitor, status.0.clone(), stops.clone());
    let channels = WorkerChannels {
        frames: Arc::new(frames.1),
        explained: Arc::new(explained.0),
        changes: changes.1,
        status: status.0,
    };
    let reports = channels.status.clone();
    let inference = spawn_workers(workers, &channels, options, &stops);
    // Only the threads keep their ends, so that each channel ends with its threads.
    drop(channels);

    let shared = StageChannels { captured, fluid, newest: newest.1, changes: changes.0, status: status.1, reports };
    let mut stage = OutputStage::new(outputs, shared, options.lanes);
    let output = output_frames(&mut stage, &mut explained_items, options, started, stop, &mut report);
    ended.request();
    let error = stop_in_order(&mut stage, explained_items, inference, capture, output);

    let (captured, explained) = (stage.captured(), stage.explained());
    let counts = Counts { captured, explained, dropped: captured - explained };
    Outcome { counts, elapsed: started.elapsed(), ages: stage.ages(), left_out: stage.left_out(), error }
}

/// The channels between the threads, each with its sender and its receiver.
struct Channels {
    /// From capture to the workers.
    frames: (channel::Sender<Numbered<CapturedFrame>>, channel::Receiver<Numbered<CapturedFrame>>),
    /// From the workers to the output stage.
    explained: (channel::Sender<Numbered<ExplainedItem>>, channel::Receiver<Numbered<ExplainedItem>>),
    /// From capture to the output stage, for the fluid view.
    newest: (channel::Sender<Frame>, channel::Receiver<Frame>),
    /// From the output stage to the workers.
    changes: (crossbeam_channel::Sender<Change>, crossbeam_channel::Receiver<Change>),
    /// From capture and the workers to the output stage.
    status: (crossbeam_channel::Sender<Status>, crossbeam_channel::Receiver<Status>),
}

impl Channels {
    fn new(policy: Policy) -> Self {
        // Under `Newest` no explained frame waits: it would be old when it is shown.
        let (before_inference, after_inference) = match policy {
            Policy::Newest => (1, 0),
            Policy::Block => (QUEUE_FRAMES, QUEUE_FRAMES),
        };
        Self {
            frames: channel::channel(policy, before_inference),
            explained: channel::channel(Policy::Block, after_inference),
            newest: channel::channel(Policy::Newest, 1),
            changes: crossbeam_channel::unbounded(),
            status: crossbeam_channel::unbounded(),
        }
    }
}

/// Limits the frames between capture and sinks. The channels alone do not: frames that are explained early wait in
/// memory for a slower worker. A single worker has one frame decoded before it and one written after it; several have a
/// queue of decoded frames as well, since a decoder gives frames in bursts.
///
/// Several sources wait for the model, so that none of their turns is lost.
fn in_flight_limit(options: &Options, workers: usize) -> Semaphore {
    match options.policy {
        Policy::Block => Semaphore::new(if workers == 1 { 3 } else { 2 * workers + QUEUE_FRAMES }),
        Policy::Newest if options.lanes > 1 => Semaphore::new(2),
        Policy::Newest => Semaphore::UNBOUNDED,
    }
}

/// A thread, or `None` if the system gave none.
type Handle = Option<JoinHandle<()>>;

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Handle {
    thread::Builder::new().name(name.to_owned()).spawn(work).ok()
}

fn spawn_capture(
    open: Opener,
    frames: channel::Sender<Numbered<CapturedFrame>>,
    monitor: CaptureMonitor,
    status: crossbeam_channel::Sender<Status>,
    stops: [Stop; 2],
) -> Handle {
    let report: StatusReport = Box::new(move |why| drop(status.send(Status::Interrupted(why))));
    spawn("capture", move || capture(|| open(report), &frames, &monitor, &stops))
}

fn spawn_workers(workers: Vec<Worker>, channels: &WorkerChannels, options: &Options, stops: &[Stop; 2]) -> Vec<Handle> {
    let start = |worker| {
        let thread =
            WorkerThread::new(worker, options.smoothing, channels.clone(), options.semaphore.clone(), stops.clone());
        spawn_worker(stops[1].clone(), move || thread.work())
    };
    workers.into_iter().map(start).collect()
}

fn spawn_worker(ended: Stop, work: impl FnOnce() + Send + 'static) -> Handle {
    spawn("inference", move || {
        let _ends_run = EndsRun(ended);
        work();
    })
}

/// Ends the run if its thread panics. The others would wait for the frame that the thread had.
struct EndsRun(Stop);

impl Drop for EndsRun {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.request();
        }
    }
}

/// Feeds explained frames to the output stage. Returns whether the source ended, rather than a limit or a stop.
fn output_frames(
    stage: &mut OutputStage,
    items: &mut InOrder<Result<ExplainedItem>>,
    options: &Options,
    started: Instant,
    stop: &Stop,
    report: &mut impl FnMut(&Progress),
) -> Result<bool> {
    let within_limits = |explained: u64| {
        options.frames.is_none_or(|limit| explained < limit)
            && options.duration.is_none_or(|limit| started.elapsed() < limit)
    };
    while within_limits(stage.explained()) {
        let flow = match items.receive_within(POLL_INTERVAL) {
            Received::Item(item) => {
                let item = item?;
                let _permit = options.semaphore.acquire();
                let total = item.captured.total;
                let flow = stage.take(item);
                report(&Progress { explained: stage.explained(), total, pace: stage.pace() });
                flow?
            }
            Received::Timeout => stage.idle()?,
            Received::End => return Ok(!stop.is_requested()),
        };
        if flow == Flow::Stop || stage.steer()? == Flow::Stop {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Stops a run whose end is requested already:
///
/// 1. closes the channel of explained frames, so that no worker waits to send;
/// 2. waits for the workers, each of which ends after its current run;
/// 3. waits for the capture thread, which ends after its current frame, and abandons it after [`CAPTURE_TIMEOUT`];
/// 4. finishes the sinks.
///
/// Returns the first error.
fn stop_in_order(
    stage: &mut OutputStage,
    items: InOrder<Result<ExplainedItem>>,
    inference: Vec<Handle>,
    capture: Handle,
    output: Result<bool>,
) -> Option<Error> {
    let (whole, mut error) = match output {
        Ok(whole) => (whole, None),
        Err(error) => (false, Some(error)),
    };
    drop(items);
    for worker in inference {
        error = error.or(join_within("inference", worker, None).err());
    }
    error = error.or(join_within("capture", capture, Some(CAPTURE_TIMEOUT)).err());
    stage.finish(whole, error)
}

/// Waits for a thread to end. Abandons it after `timeout`.
fn join_within(name: &str, handle: Handle, timeout: Option<Duration>) -> Result<()> {
    let failed = |problem: &str| Error::runtime(format!("thread {name}"), problem);
    let handle = handle.ok_or_else(|| failed("the system cannot start another thread"))?;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    while !handle.is_finished() {
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    handle.join().map_err(|_| failed("it panicked; please report this"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::Ordering;

    use image::RgbImage;

    use super::*;
    use crate::explain::{Explainer, ExplanationContext};
    use crate::sink::{ExplainedFrame, Sink};
    use crate::source::Source;

    /// Counts the frames that it gives.
    struct CountingSource(Arc<AtomicU64>);

    impl Source for CountingSource {
        fn next_frame(&mut self) -> Result<Option<Frame>> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            Ok((number < 60).then(|| Frame::alone(Path::new("frame"), RgbImage::new(8, 8), None)))
        }

        fn frame_count(&self) -> Option<u64> {
            None
        }
    }

    /// Notes the largest number of frames in the pipeline.
    struct InFlightSink {
        given: Arc<AtomicU64>,
        most: Arc<AtomicU64>,
    }

    impl Sink for InFlightSink {
        fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
            self.most.fetch_max(self.given.load(Ordering::Relaxed) - explained.number, Ordering::Relaxed);
            Ok(Flow::Continue)
        }
    }

    fn worker(method: &str) -> Worker {
        let method = crate::cam::find(method).unwrap_or_else(|e| panic!("{e}"));
        let explainer = Explainer::builder().model("flowers-vgg").method(method).build();
        Worker { explainer: explainer.unwrap_or_else(|e| panic!("{e}")), overlay: None }
    }

    #[test]
    fn a_thread_that_panics_ends_the_run() {
        let ended = Stop::default();
        for panics in [false, true] {
            let thread = spawn_worker(ended.clone(), move || assert!(!panics, "this panic belongs to the test"));
            assert_eq!(join_within("inference", thread, None).is_err(), panics);
            assert_eq!(ended.is_requested(), panics);
        }
    }

    #[test]
    fn a_fast_worker_waits_for_a_slow_one() {
        let (given, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let source = CountingSource(Arc::clone(&given));
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(InFlightSink { given, most: Arc::clone(&most) })];
        let options = Options {
            policy: Policy::Block,
            lanes: 1,
            frames: None,
            duration: None,
            smoothing: None,
            semaphore: Semaphore::UNBOUNDED,
        };
        let outcome = run(
            Box::new(|_| Ok(Box::new(source))),
            vec![worker("grad-cam"), worker("smooth-grad-cam++")],
            Outputs { sinks: &mut sinks, screen: None },
            &options,
            &Stop::default(),
            |_| (),
        );
        assert!(outcome.error.is_none() && outcome.counts.explained == 60, "{outcome:?}");
        let limit = (2 * 2 + QUEUE_FRAMES) as u64;
        assert!(most.load(Ordering::Relaxed) <= limit, "{most:?} frames were in the pipeline");
    }
}
