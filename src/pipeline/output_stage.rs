//! The stage on the calling thread: it shows explained frames, writes them to the sinks, and carries out the viewer's
//! commands. A window needs this thread to be the main one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use tracing::trace_span;

use super::composer::{Composer, Shown};
use super::control::Change;
use super::item::{CapturedFrame, ExplainedItem, Status};
use super::pace::{Ages, PaceMeter};
use super::recording::Recording;
use super::stall::StallWatch;
use super::teaching::Teacher;
use crate::error::{Error, Result};
use crate::explain::{Explanation, ExplanationContext};
use crate::media::{Frame, Picture};
use crate::model::Request;
use crate::overlay::{Overlay, Style};
use crate::screen::{Pace, Screen, ScreenFrame, Switches};
use crate::sink::{Ending, ExplainedFrame, Flow, Sink};
use crate::sync::channel::{self, Received};
use crate::teach::PupilOptions;

/// Where explained frames go.
pub struct Outputs<'a> {
    pub sinks: &'a mut Vec<Box<dyn Sink>>,
    pub screen: Option<LiveScreen<'a>>,
}

/// A screen, its overlay and its recordings.
pub struct LiveScreen<'a> {
    pub screen: &'a mut dyn Screen,
    pub overlay: Overlay,
    /// Whether the sinks, too, get pictures with the map.
    pub pictures: bool,
    /// Starts a recording and returns its name and its sink.
    pub record: &'a dyn Fn() -> Result<(String, Box<dyn Sink>)>,
    pub teaching: Teaching<'a>,
}

/// Whether and how classes are taught.
pub struct Teaching<'a> {
    /// What is taught, and where it goes.
    pub options: &'a dyn Fn() -> PupilOptions,
    /// What explainers of it explain.
    pub request: Request,
    /// Whether it begins without a key.
    pub at_once: bool,
}

/// What the output stage shares with the other threads.
pub struct StageChannels {
    /// Frames that the source gave or skipped.
    pub captured: Arc<AtomicU64>,
    /// Whether the screen shows every captured frame with the latest map.
    pub fluid: Arc<AtomicBool>,
    /// The newest captured frame, for the fluid view.
    pub newest: channel::Receiver<Frame>,
    pub changes: Sender<Change>,
    pub status: Receiver<Status>,
    /// Where the learning thread reports.
    pub reports: Sender<Status>,
}

/// The stage on the calling thread.
pub struct OutputStage<'a> {
    pub(super) outputs: Outputs<'a>,
    pub(super) channels: StageChannels,
    meter: PaceMeter,
    pub(super) stall: StallWatch,
    pub(super) pause: Pause,
    pub(super) recording: Recording,
    /// Used by the fluid view and to look up classes by rank.
    pub(super) latest: Option<Latest>,
    pub(super) teacher: Option<Teacher>,
    pub(super) composer: Composer,
    /// How the overlay drew at the beginning.
    pub(super) first_style: Option<Style>,
    /// The class that a viewer chose.
    pub(super) class: Option<usize>,
    /// Whether the next frame that is shown is written to files.
    pub(super) snapshot: bool,
    explained: u64,
    /// Frames missing from the sinks' recordings.
    left_out: u64,
}

/// Whether the screen holds a frame while the pipeline goes on.
pub enum Pause {
    Off,
    /// Holds the next frame that is shown.
    AtNextFrame,
    Held(Arc<HeldFrame>),
}

pub struct HeldFrame {
    frame: Frame,
    explanation: Explanation,
    context: Arc<ExplanationContext>,
    pace: Pace,
}

/// The latest explanation.
pub struct Latest {
    pub explanation: Explanation,
    context: Arc<ExplanationContext>,
    /// When its frame was taken.
    taken: Instant,
    /// The picture, for an embedding, which can be compared with it from then on, and while classes are taught.
    pub picture: Option<Picture>,
}

impl<'a> OutputStage<'a> {
    pub fn new(outputs: Outputs<'a>, channels: StageChannels, lanes: usize) -> Self {
        let at_once = outputs.screen.as_ref().is_some_and(|live| live.teaching.at_once);
        let first_style = outputs.screen.as_ref().map(|live| live.overlay.style().clone());
        let mut stage = Self {
            outputs,
            channels,
            meter: PaceMeter::new(),
            stall: StallWatch::new(),
            pause: Pause::Off,
            recording: Recording::default(),
            latest: None,
            teacher: None,
            composer: Composer::new(lanes),
            first_style,
            class: None,
            snapshot: false,
            explained: 0,
            left_out: 0,
        };
        if at_once {
            stage.begin_teaching();
        }
        stage
    }

    pub fn captured(&self) -> u64 {
        self.channels.captured.load(Ordering::Relaxed)
    }

    pub fn explained(&self) -> u64 {
        self.explained
    }

    /// Frames missing from recordings and streams because encoding did not keep up or the receiver was gone.
    pub fn left_out(&self) -> u64 {
        self.left_out + self.recording.left_out()
    }

    pub fn ages(&self) -> Ages {
        self.meter.ages()
    }

    pub fn pace(&mut self) -> Pace {
        self.meter.pace(self.captured(), self.explained)
    }
}

/// Frames.
impl OutputStage<'_> {
    /// Shows an explained frame, records it and writes it to the sinks.
    pub fn take(&mut self, item: ExplainedItem) -> Result<Flow> {
        let ExplainedItem { captured, explanation, context } = item;
        let CapturedFrame { mut frame, in_flight: _in_flight, .. } = captured;
        let number = self.explained;
        self.explained += 1;
        self.meter.shown(frame.taken);
        if self.stall.frame_arrived(self.captured()) {
            self.show_held()?;
        }
        self.show_explained(&frame, &explanation, &context)?;
        let recording = self.recording.is_on();
        if let Some(live) = self.outputs.screen.as_mut().filter(|live| recording || live.pictures) {
            live.overlay.draw(&mut frame, &explanation, &context)?;
        }
        let explained = ExplainedFrame { frame, explanation, number };
        // The view goes on if the recording fails.
        if let Err(error) = self.recording.write(&explained, &context) {
            self.tell(&error.to_string());
        }
        trace_span!("write").in_scope(|| for_each(self.outputs.sinks, |sink| sink.write(&explained, &context)))
    }

    /// Lets the sinks work while no frame arrives.
    pub fn idle(&mut self) -> Result<Flow> {
        for_each(self.outputs.sinks, |sink| sink.idle())
    }

    /// Keeps an explanation for the screen. The aligned view shows its frame now.
    fn show_explained(
        &mut self,
        frame: &Frame,
        explanation: &Explanation,
        context: &Arc<ExplanationContext>,
    ) -> Result<()> {
        if self.outputs.screen.is_none() {
            return Ok(());
        }
        self.latest = Some(Latest {
            explanation: explanation.clone(),
            context: Arc::clone(context),
            taken: frame.taken,
            picture: (context.task == "embed" || self.teacher.is_some()).then(|| frame.picture.clone()),
        });
        if let Some(teacher) = &mut self.teacher {
            teacher.see(&frame.picture, explanation, context);
        }
        if self.channels.fluid.load(Ordering::Relaxed) {
            return Ok(());
        }
        let pace = self.pace();
        self.show(frame, explanation, context, pace)
    }

    /// In the fluid view, shows the newest captured frame with the latest map.
    pub(super) fn show_newest(&mut self) -> Result<()> {
        if self.channels.fluid.load(Ordering::Relaxed)
            && let Received::Item(frame) = self.channels.newest.receive_within(Duration::ZERO)
            && let Some(latest) = self.latest.take()
        {
            let pace = Pace { age: latest.taken.elapsed(), ..self.pace() };
            self.show(&frame, &latest.explanation, &latest.context, pace)?;
            self.latest = Some(latest);
        }
        Ok(())
    }

    /// Shows a frame, unless the screen holds another one.
    fn show(
        &mut self,
        frame: &Frame,
        explanation: &Explanation,
        context: &Arc<ExplanationContext>,
        pace: Pace,
    ) -> Result<()> {
        match &self.pause {
            Pause::Held(_) => return Ok(()),
            Pause::AtNextFrame => {
                let (frame, explanation, context) = (frame.clone(), explanation.clone(), Arc::clone(context));
                self.pause = Pause::Held(Arc::new(HeldFrame { frame, explanation, context, pace }));
            }
            Pause::Off => {}
        }
        self.draw(frame, explanation, context, pace)
    }

    /// Shows the held frame again, if there is one, with the current look.
    pub(super) fn show_held(&mut self) -> Result<()> {
        let Pause::Held(held) = &self.pause else { return Ok(()) };
        let held = Arc::clone(held);
        self.draw(&held.frame, &held.explanation, &held.context, held.pace)
    }

    /// Draws a frame at the size at which it is shown, and hands it to the screen.
    fn draw(
        &mut self,
        frame: &Frame,
        explanation: &Explanation,
        context: &Arc<ExplanationContext>,
        pace: Pace,
    ) -> Result<()> {
        if std::mem::take(&mut self.snapshot) {
            self.take_snapshot(frame, explanation, context)?;
        }
        let switches = Switches {
            paused: !matches!(self.pause, Pause::Off),
            recording: self.recording.is_on(),
            fluid: self.channels.fluid.load(Ordering::Relaxed),
            side_by_side: self.composer.side_by_side,
        };
        let Some(live) = &mut self.outputs.screen else { return Ok(()) };
        let shown = match live.screen.size() {
            Some(size) => trace_span!("draw")
                .in_scope(|| self.composer.draw(&mut live.overlay, frame, explanation, context, size))?,
            None => Shown { picture: Picture::default(), natural: frame.picture.dimensions() },
        };
        let taught = self.teacher.as_ref().map(Teacher::view);
        let (style, teaching, class) = (live.overlay.style(), taught.as_ref(), self.class);
        live.screen.show(&ScreenFrame {
            drawn: &shown.picture,
            natural: shown.natural,
            frame,
            explanation,
            context,
            pace,
            switches,
            class,
            style,
            teaching,
        })
    }

    /// Finishes the sinks and the recording. Returns the first error, which is `error` if there is one.
    pub fn finish(&mut self, whole: bool, mut error: Option<Error>) -> Option<Error> {
        // What was taught goes to disk.
        self.teacher = None;
        let mut recording = self.recording.take_sink();
        for sink in self.outputs.sinks.iter_mut().chain(recording.as_mut()) {
            // After one sink has failed, the next must not report a whole run.
            let finished = sink.finish(if whole && error.is_none() { Ending::Whole } else { Ending::Cut });
            error = error.or(finished.err());
            // Frames that are missing because of an error are not counted.
            self.left_out += if error.is_none() { sink.left_out() } else { 0 };
        }
        error
    }
}

/// Runs a step on every sink. The flow stops if one sink stops it.
fn for_each(sinks: &mut [Box<dyn Sink>], mut step: impl FnMut(&mut Box<dyn Sink>) -> Result<Flow>) -> Result<Flow> {
    let mut flow = Flow::Continue;
    for sink in sinks {
        if step(sink)? == Flow::Stop {
            flow = Flow::Stop;
        }
    }
    Ok(flow)
}
