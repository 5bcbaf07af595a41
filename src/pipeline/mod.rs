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
mod pace;
mod steering;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use link::Policy;
pub use pace::Ages;
use pace::PaceMeter;
use steering::Change;
pub use stop::Stop;

use crate::error::{Error, Result};
use crate::explainer::{Explainer, Explanation, Facts};
use crate::frame::Frame;
use crate::overlay::Overlay;
use crate::screen::{Command, Screen, View};
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
    /// How old explained frames were when they were shown.
    pub ages: Ages,
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

/// A frame on its way to the explainer.
struct Captured {
    frame: Frame,
    /// Of the source's frames, as far as that is known.
    total: Option<u64>,
    taken: Instant,
}

struct Explained {
    captured: Captured,
    explanation: Explanation,
    facts: Arc<Facts>,
}

/// Where explained frames go.
pub struct Outputs<'a> {
    /// Draws the map onto the frames that `sinks` get.
    pub overlay: Option<Overlay>,
    pub sinks: &'a mut Vec<Box<dyn Sink>>,
    pub screen: Option<LiveScreen<'a>>,
}

/// A screen with what it draws by and how it records.
pub struct LiveScreen<'a> {
    pub screen: &'a mut dyn Screen,
    pub overlay: Overlay,
    /// Begins a recording, and says where it goes.
    pub record: &'a dyn Fn() -> Result<(String, Box<dyn Sink>)>,
}

/// Runs a source through an explainer into sinks and onto a screen until it ends, a limit is reached, or `stop` is
/// asked for. The source is opened on its own thread, since cameras may not change theirs.
pub fn run(
    open: Opener,
    explainer: Explainer,
    outputs: Outputs,
    options: &Options,
    stop: &Stop,
    mut report: impl FnMut(&Progress),
) -> Outcome {
    let started = Instant::now();
    let ended = Stop::default();
    let stops = [stop.clone(), ended.clone()];
    let (frames_in, frames_out) = link::link::<Result<Captured>>(options.policy, LINK_FRAMES);
    let (explained_in, explained_out) = link::link::<Result<Explained>>(Policy::Block, LINK_FRAMES);
    let (newest_in, newest_out) = link::link::<Captured>(Policy::Newest, 1);
    let (changes_in, changes_out) = crossbeam_channel::unbounded();
    let (notes_in, notes_out) = crossbeam_channel::unbounded();

    let captured = Arc::new(AtomicU64::new(0));
    let fluid = Arc::new(AtomicBool::new(false));
    let tap = Tap { captured: Arc::clone(&captured), fluid: Arc::clone(&fluid), newest: newest_in };
    let capture_stops = stops.clone();
    let capture = spawn("capture", move || capture(open, &frames_in, &tap, &capture_stops));
    let smoothing = options.smoothing.map(Steady::new);
    let inference = spawn("inference", move || {
        infer(explainer, smoothing, &frames_out, &explained_in, &changes_out, &notes_in, &stops);
    });

    let mut main = Main {
        outputs,
        pace: PaceMeter::new(),
        captured: Arc::clone(&captured),
        fluid,
        changes: changes_in,
        recording: None,
        last: None,
        explained: 0,
    };
    let mut error = None;
    let mut whole = false;
    let within = |explained: u64| {
        options.frames.is_none_or(|limit| explained < limit)
            && options.duration.is_none_or(|limit| started.elapsed() < limit)
    };
    while within(main.explained) {
        let step = match explained_out.receive_within(IDLE) {
            link::Received::Item(Ok(explained)) => {
                let total = explained.captured.total;
                let result = main.take(explained);
                report(&Progress { explained: main.explained, total });
                result
            }
            link::Received::Item(Err(e)) => Err(e),
            link::Received::Nothing => main.idle(),
            link::Received::End => {
                whole = !stop.is_requested();
                break;
            }
        };
        let step =
            step.and_then(|flow| if flow == Flow::Stop { Ok(flow) } else { main.steer(&newest_out, &notes_out) });
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
    let Main { outputs, recording, explained, pace, .. } = main;
    for sink in outputs.sinks.iter_mut().chain(recording.map(|recording| recording.sink).as_mut()) {
        let finished = sink.finish(ending);
        error = error.or(finished.err());
    }
    let captured = captured.load(Ordering::Relaxed);
    let counts = Counts { captured, explained, dropped: captured - explained };
    Outcome { counts, elapsed: started.elapsed(), ages: pace.ages(), error }
}

/// Explains frames until they end, and changes what is explained as it is asked for.
fn infer(
    mut explainer: Explainer,
    mut smoothing: Option<Steady>,
    frames: &link::Receiver<Result<Captured>>,
    explained: &link::Sender<Result<Explained>>,
    changes: &crossbeam_channel::Receiver<Change>,
    notes: &crossbeam_channel::Sender<String>,
    stops: &[Stop],
) {
    let mut facts = Arc::new(explainer.facts().clone());
    let mut follows = explainer.follows_prediction();
    // A stalled camera ends the link never, so the stop is looked for too.
    while !stops.iter().any(Stop::is_requested) {
        for asked in changes.try_iter() {
            let note = steering::change(&mut explainer, asked).unwrap_or_else(|error| error.to_string());
            let _ = notes.send(note);
            facts = Arc::new(explainer.facts().clone());
            follows = explainer.follows_prediction();
            if let Some(steady) = &mut smoothing {
                steady.reset();
            }
        }
        let item = match frames.receive_within(IDLE) {
            link::Received::Item(item) => item,
            link::Received::Nothing => continue,
            link::Received::End => break,
        };
        let result = item.and_then(|captured| {
            let frame = &captured.frame;
            if let Some(steady) = smoothing.as_mut().filter(|_| follows) {
                explainer.set_class(steady.class_for(&frame.picture))?;
            }
            let mut explanation = match &frame.tensor {
                Some(tensor) => explainer.explain_tensor(tensor.view())?,
                None => explainer.explain(&frame.picture)?,
            };
            if let Some(steady) = &mut smoothing {
                steady.smooth(&frame.picture, frame.time.as_us(), &mut explanation);
            }
            Ok(Explained { captured, explanation, facts: Arc::clone(&facts) })
        });
        if !explained.send(result) {
            break;
        }
    }
}

/// What happens on the thread that runs the pipeline.
struct Main<'a> {
    outputs: Outputs<'a>,
    pace: PaceMeter,
    captured: Arc<AtomicU64>,
    fluid: Arc<AtomicBool>,
    changes: crossbeam_channel::Sender<Change>,
    recording: Option<Recording>,
    /// The last explanation, for the fluid view and for ranks, and when its frame was taken.
    last: Option<(Explanation, Arc<Facts>, Instant)>,
    explained: u64,
}

/// What a person began while the pipeline ran.
struct Recording {
    name: String,
    sink: Box<dyn Sink>,
    frames: u64,
}

impl Main<'_> {
    /// Shows an explained frame and gives it to the sinks.
    fn take(&mut self, explained: Explained) -> Result<Flow> {
        let Explained { captured: Captured { mut frame, taken, .. }, explanation, facts } = explained;
        let number = self.explained;
        self.explained += 1;
        self.pace.shown(taken);
        let pace = self.pace.after(self.captured.load(Ordering::Relaxed), self.explained);
        let recording = self.recording.is_some();
        if let Some(live) = &mut self.outputs.screen {
            self.last = Some((explanation.clone(), Arc::clone(&facts), taken));
            if !self.fluid.load(Ordering::Relaxed) {
                let view = View { frame: &frame, explanation: &explanation, facts: &facts, pace, recording };
                live.screen.show(&view, &mut live.overlay)?;
            }
        }
        let overlay = match &mut self.outputs.screen {
            Some(live) if recording || self.outputs.overlay.is_some() => Some(&mut live.overlay),
            _ => self.outputs.overlay.as_mut(),
        };
        if let Some(overlay) = overlay {
            overlay.draw(&mut frame, &explanation, &facts)?;
        }
        let item = ExplainedFrame { frame, explanation, number };
        if let Some(Recording { sink, frames, .. }) = &mut self.recording {
            let item =
                ExplainedFrame { frame: item.frame.clone(), explanation: item.explanation.clone(), number: *frames };
            *frames += 1;
            sink.write(&item, &facts)?;
        }
        all(self.outputs.sinks, |sink| sink.write(&item, &facts))
    }

    fn idle(&mut self) -> Result<Flow> {
        all(self.outputs.sinks, |sink| sink.idle())
    }

    /// Does what was asked for on the screen, and shows the newest frame in the fluid view.
    fn steer(
        &mut self,
        newest: &link::Receiver<Captured>,
        notes: &crossbeam_channel::Receiver<String>,
    ) -> Result<Flow> {
        let Some(live) = &mut self.outputs.screen else { return Ok(Flow::Continue) };
        if self.fluid.load(Ordering::Relaxed)
            && let link::Received::Item(Captured { frame, .. }) = newest.receive_within(Duration::ZERO)
            && let Some((explanation, facts, taken)) = &self.last
        {
            let mut pace = self.pace.after(self.captured.load(Ordering::Relaxed), self.explained);
            pace.age = taken.elapsed();
            let recording = self.recording.is_some();
            live.screen.show(&View { frame: &frame, explanation, facts, pace, recording }, &mut live.overlay)?;
        }
        notes.try_iter().for_each(|note| live.screen.tell(&note));
        for command in live.screen.poll()? {
            match command {
                Command::Quit => return Ok(Flow::Stop),
                Command::NextMethod => drop(self.changes.send(Change::Method)),
                Command::NextLayer => drop(self.changes.send(Change::Layer)),
                Command::NextColormap => live.screen.tell(live.overlay.next_colormap()?),
                Command::Alpha(by) => {
                    let alpha = live.overlay.change_alpha(by);
                    live.screen.tell(&format!("opacity {:.0} %", 100.0 * alpha));
                }
                Command::Explain(rank) => {
                    let of_rank = |rank: usize| self.last.as_ref()?.0.top.get(rank).map(|ranked| ranked.class_index);
                    match rank.map(of_rank) {
                        Some(None) => live.screen.tell("there are not so many classes"),
                        class => drop(self.changes.send(Change::Class(class.flatten()))),
                    }
                }
                Command::Fluid(on) => self.fluid.store(on, Ordering::Relaxed),
                Command::Record => match self.recording.take() {
                    Some(mut recording) => {
                        recording.sink.finish(Ending::Cut)?;
                        live.screen.tell(&format!("written: {}", recording.name));
                    }
                    None => match (live.record)() {
                        Ok((name, sink)) => self.recording = Some(Recording { name, sink, frames: 0 }),
                        Err(error) => live.screen.tell(&error.to_string()),
                    },
                },
            }
        }
        Ok(Flow::Continue)
    }
}

/// What the capture thread tells beside the frames.
struct Tap {
    captured: Arc<AtomicU64>,
    fluid: Arc<AtomicBool>,
    newest: link::Sender<Captured>,
}

/// Reads the source to its end, counting its frames.
fn capture(open: Opener, link: &link::Sender<Result<Captured>>, tap: &Tap, stops: &[Stop]) {
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
                tap.captured.fetch_add(1, Ordering::Relaxed);
                let (total, taken) = (source.frame_count(), Instant::now());
                if tap.fluid.load(Ordering::Relaxed) {
                    tap.newest.send(Captured { frame: frame.clone(), total, taken });
                }
                Ok(Captured { frame, total, taken })
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
