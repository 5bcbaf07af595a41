//! The stage on the calling thread: it shows explained frames, writes them to the sinks, and carries out the viewer's
//! commands. A window needs this thread to be the main one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use tracing::trace_span;

use super::control::Change;
use super::item::{CapturedFrame, ExplainedItem, Status};
use super::pace::{Ages, PaceMeter};
use super::recording::Recording;
use super::stall::StallWatch;
use crate::error::{Error, Result};
use crate::explain::{Explanation, ExplanationContext};
use crate::media::{Frame, Picture};
use crate::overlay::Overlay;
use crate::screen::{Pace, Screen, ScreenFrame, ViewerCommand};
use crate::sink::{Ending, ExplainedFrame, Flow, Sink};
use crate::sync::channel::{self, Received};

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
}

/// The stage on the calling thread.
pub struct OutputStage<'a> {
    outputs: Outputs<'a>,
    channels: StageChannels,
    meter: PaceMeter,
    stall: StallWatch,
    pause: Pause,
    recording: Recording,
    /// Used by the fluid view and to look up classes by rank.
    latest: Option<Latest>,
    explained: u64,
    /// Frames missing from the sinks' recordings.
    left_out: u64,
}

/// Whether the screen holds a frame while the pipeline goes on.
enum Pause {
    Off,
    /// Holds the next frame that is shown.
    AtNextFrame,
    Held(Box<HeldFrame>),
}

struct HeldFrame {
    frame: Frame,
    explanation: Explanation,
    context: Arc<ExplanationContext>,
    pace: Pace,
}

/// The latest explanation.
struct Latest {
    explanation: Explanation,
    context: Arc<ExplanationContext>,
    /// When its frame was taken.
    taken: Instant,
    /// The picture, for an embedding, which can be compared with it from then on.
    picture: Option<Picture>,
}

impl<'a> OutputStage<'a> {
    pub fn new(outputs: Outputs<'a>, channels: StageChannels) -> Self {
        Self {
            outputs,
            channels,
            meter: PaceMeter::new(),
            stall: StallWatch::new(),
            pause: Pause::Off,
            recording: Recording::default(),
            latest: None,
            explained: 0,
            left_out: 0,
        }
    }

    pub fn captured(&self) -> u64 {
        self.channels.captured.load(Ordering::Relaxed)
    }

    pub fn explained(&self) -> u64 {
        self.explained
    }

    /// Frames missing from recordings because encoding did not keep up.
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
            picture: (context.task == "embed").then(|| frame.picture.clone()),
        });
        if self.channels.fluid.load(Ordering::Relaxed) {
            return Ok(());
        }
        let pace = self.pace();
        self.show(frame, explanation, context, pace)
    }

    /// In the fluid view, shows the newest captured frame with the latest map.
    fn show_newest(&mut self) -> Result<()> {
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
        let Some(live) = &mut self.outputs.screen else { return Ok(()) };
        match &self.pause {
            Pause::Held(_) => return Ok(()),
            Pause::AtNextFrame => {
                let (frame, explanation, context) = (frame.clone(), explanation.clone(), Arc::clone(context));
                self.pause = Pause::Held(Box::new(HeldFrame { frame, explanation, context, pace }));
            }
            Pause::Off => {}
        }
        let recording = self.recording.is_on();
        live.screen.show(&ScreenFrame { frame, explanation, context, pace, recording }, &mut live.overlay)
    }

    /// Shows the held frame again, if there is one, with the current look.
    fn show_held(&mut self) -> Result<()> {
        let (Pause::Held(held), Some(live)) = (&self.pause, &mut self.outputs.screen) else { return Ok(()) };
        let HeldFrame { frame, explanation, context, pace } = held.as_ref();
        let recording = self.recording.is_on();
        live.screen.show(&ScreenFrame { frame, explanation, context, pace: *pace, recording }, &mut live.overlay)
    }

    /// Finishes the sinks and the recording. Returns the first error, which is `error` if there is one.
    pub fn finish(&mut self, whole: bool, mut error: Option<Error>) -> Option<Error> {
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

/// Commands.
impl OutputStage<'_> {
    /// Carries out the viewer's commands and updates the screen between explained frames.
    pub fn steer(&mut self) -> Result<Flow> {
        if self.outputs.screen.is_none() {
            return Ok(Flow::Continue);
        }
        self.show_newest()?;
        self.read_status();
        self.show_stall();
        let commands = self.outputs.screen.as_mut().map_or_else(|| Ok(Vec::new()), |live| live.screen.poll())?;
        let redraw = !commands.is_empty();
        for command in commands {
            if self.obey(command)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        if redraw {
            self.show_held()?;
        }
        Ok(Flow::Continue)
    }

    fn obey(&mut self, command: ViewerCommand) -> Result<Flow> {
        match command {
            ViewerCommand::Quit => return Ok(Flow::Stop),
            ViewerCommand::NextMethod => self.request(Change::Method),
            ViewerCommand::NextLayer => self.request(Change::Layer),
            ViewerCommand::NextColormap => self.next_colormap()?,
            ViewerCommand::Alpha(step) => self.change_alpha(step),
            ViewerCommand::Explain(rank) => self.explain_rank(rank),
            ViewerCommand::NextObject => self.explain_next_object(),
            ViewerCommand::TakeReference(number) => self.take_reference(number),
            ViewerCommand::Words(words) => self.request(Change::Words(words)),
            ViewerCommand::Fluid(on) => self.channels.fluid.store(on, Ordering::Relaxed),
            ViewerCommand::Pause => self.toggle_pause(),
            ViewerCommand::Record => self.toggle_recording(),
            ViewerCommand::Redraw => {}
        }
        Ok(Flow::Continue)
    }

    fn request(&self, change: Change) {
        let _ = self.channels.changes.send(change);
    }

    fn next_colormap(&mut self) -> Result<()> {
        if let Some(live) = &mut self.outputs.screen {
            live.screen.tell(live.overlay.next_colormap()?);
        }
        Ok(())
    }

    fn change_alpha(&mut self, step: f32) {
        if let Some(live) = &mut self.outputs.screen {
            let alpha = live.overlay.change_alpha(step);
            live.screen.tell(&format!("opacity {:.0} %", 100.0 * alpha));
        }
    }

    /// Explains the class at a rank of the latest prediction, or the predicted class from frame to frame.
    fn explain_rank(&mut self, rank: Option<usize>) {
        if let Some(objects) = self.objects() {
            let Some(rank) = rank else { return self.request(Change::Object(None)) };
            return match objects.iter().find(|(number, _)| *number == rank + 1) {
                Some((_, object)) => self.request(Change::Object(Some(*object))),
                None => self.tell("no object has this number"),
            };
        }
        let Some(rank) = rank else { return self.request(Change::Class(None)) };
        let choices = self.latest.as_ref().map(|latest| latest.explanation.prediction.choices()).unwrap_or_default();
        match choices.get(rank) {
            Some(class) => self.request(Change::Class(Some(*class))),
            None => self.tell("the list has fewer classes"),
        }
    }

    /// Explains the object with the next number, and all objects after the last one.
    fn explain_next_object(&mut self) {
        let Some(objects) = self.objects() else { return self.tell("the model finds no objects") };
        let found = self.latest.as_ref().and_then(|latest| latest.explanation.detections());
        let chosen = found.and_then(|found| found.detections.get(found.chosen?)?.number).unwrap_or(0);
        let next = objects.iter().find(|(number, _)| *number > chosen).map(|(_, object)| *object);
        self.request(Change::Object(next));
    }

    /// Makes the latest picture a reference of an embedding. Other models have none.
    fn take_reference(&mut self, number: usize) {
        if let Some(picture) = self.latest.as_ref().and_then(|latest| latest.picture.clone()) {
            self.request(Change::Reference { number, picture });
        }
    }

    /// The objects that the latest explanation shows, by their numbers; `None` for another task than detection.
    fn objects(&self) -> Option<Vec<(usize, u64)>> {
        let found = self.latest.as_ref()?.explanation.detections()?;
        let numbered = found.detections.iter().filter_map(|object| Some((object.number?, object.object?)));
        let mut objects: Vec<(usize, u64)> = numbered.collect();
        objects.sort_unstable();
        Some(objects)
    }

    fn toggle_pause(&mut self) {
        self.pause = if matches!(self.pause, Pause::Off) { Pause::AtNextFrame } else { Pause::Off };
    }

    fn toggle_recording(&mut self) {
        let Some(live) = &mut self.outputs.screen else { return };
        if let Some(message) = self.recording.toggle(live.record) {
            live.screen.tell(&message);
        }
    }

    fn read_status(&mut self) {
        while let Ok(status) = self.channels.status.try_recv() {
            match status {
                Status::Message(message) => self.tell(&message),
                Status::Interrupted(why) => self.stall.set_interruption(why),
            }
        }
    }

    fn show_stall(&mut self) {
        let captured = self.captured();
        if let Some(live) = &mut self.outputs.screen
            && let Some(why) = self.stall.new_stall(captured)
        {
            live.screen.wait(why);
        }
    }

    fn tell(&mut self, message: &str) {
        if let Some(live) = &mut self.outputs.screen {
            live.screen.tell(message);
        }
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
