//! What happens on the thread that runs the pipeline: the screen must live there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use tracing::trace_span;

use super::pace::PaceMeter;
use super::steering::Change;
use super::{Captured, Explained, Outputs};
use crate::error::{Error, Result};
use crate::explanation::{Explanation, Facts};
use crate::frame::Frame;
use crate::link;
use crate::screen::{Command, Pace, View};
use crate::sink::{Ending, ExplainedFrame, Flow, Sink};

/// What happens on the thread that runs the pipeline.
pub struct Front<'a> {
    pub outputs: Outputs<'a>,
    pub paused: Pause,
    /// When the last explained frame came, how many were captured by then, and whether the screen says that none comes.
    pub heard: Instant,
    pub captured_when_heard: u64,
    pub waiting: bool,
    /// Why no frames come, where the source knows.
    pub lost: Option<String>,
    pub meter: PaceMeter,
    pub captured: Arc<AtomicU64>,
    pub fluid: Arc<AtomicBool>,
    pub changes: Sender<Change>,
    pub recording: Option<Recording>,
    /// The last explanation, for the fluid view and for ranks, and when its frame was taken.
    pub last: Option<(Explanation, Arc<Facts>, Instant)>,
    pub explained: u64,
    /// Missing in recordings that have ended.
    pub left_out: u64,
}

/// What the other threads say to whoever looks.
pub enum Note {
    /// For a moment.
    Said(String),
    /// Why no frames come, or nothing when they come again.
    Lost(Option<String>),
}

/// After this long without a frame, the screen says so.
const STALL: Duration = Duration::from_secs(2);

/// What is held on the screen while frames go on behind it.
pub enum Pause {
    No,
    /// The next frame that is shown.
    AtNext,
    Held(Box<Held>),
}

/// A frame to look at for longer.
pub struct Held {
    frame: Frame,
    explanation: Explanation,
    facts: Arc<Facts>,
    pace: Pace,
}

/// What a person began while the pipeline ran.
pub struct Recording {
    name: String,
    pub sink: Box<dyn Sink>,
}

impl Front<'_> {
    /// Shows an explained frame and gives it to the sinks.
    pub fn take(&mut self, explained: Explained) -> Result<Flow> {
        let Explained { captured: Captured { mut frame, .. }, explanation, facts } = explained;
        let number = self.explained;
        self.explained += 1;
        self.meter.shown(frame.taken);
        self.heard = Instant::now();
        self.captured_when_heard = self.captured.load(Ordering::Relaxed);
        if std::mem::take(&mut self.waiting) {
            self.show_held()?;
        }
        let recording = self.recording.is_some();
        if self.outputs.screen.is_some() {
            self.last = Some((explanation.clone(), Arc::clone(&facts), frame.taken));
            if !self.fluid.load(Ordering::Relaxed) {
                let pace = self.pace();
                self.show(&frame, &explanation, &facts, pace)?;
            }
        }
        if let Some(live) = self.outputs.screen.as_mut().filter(|live| recording || live.pictures) {
            live.overlay.draw(&mut frame, &explanation, &facts)?;
        }
        let item = ExplainedFrame { frame, explanation, number };
        if let Some(recording) = &mut self.recording
            && let Err(error) = recording.sink.write(&item, &facts)
        {
            // The view goes on; what was recorded stays.
            self.left_out += recording.sink.left_out();
            self.recording = None;
            if let Some(live) = &mut self.outputs.screen {
                live.screen.tell(&error.to_string());
            }
        }
        trace_span!("write").in_scope(|| all(self.outputs.sinks, |sink| sink.write(&item, &facts)))
    }

    /// Puts a frame onto the screen, unless another one is held there.
    fn show(&mut self, frame: &Frame, explanation: &Explanation, facts: &Arc<Facts>, pace: Pace) -> Result<()> {
        let Some(live) = &mut self.outputs.screen else { return Ok(()) };
        let recording = self.recording.is_some();
        match &self.paused {
            Pause::Held(_) => return Ok(()),
            Pause::AtNext => {
                let (frame, explanation, facts) = (frame.clone(), explanation.clone(), Arc::clone(facts));
                self.paused = Pause::Held(Box::new(Held { frame, explanation, facts, pace }));
            }
            Pause::No => {}
        }
        live.screen.show(&View { frame, explanation, facts, pace, recording }, &mut live.overlay)
    }

    pub fn pace(&mut self) -> Pace {
        self.meter.after(self.captured.load(Ordering::Relaxed), self.explained)
    }

    /// Completes what was written by a run that ended by itself or by an error. The first error is returned.
    pub fn finish(&mut self, whole: bool, mut error: Option<Error>) -> Option<Error> {
        let mut recording = self.recording.take().map(|recording| recording.sink);
        for sink in self.outputs.sinks.iter_mut().chain(recording.as_mut()) {
            // One that follows another which failed must not take the run for a whole one.
            let finished = sink.finish(if whole && error.is_none() { Ending::Whole } else { Ending::Cut });
            error = error.or(finished.err());
            // What an error has ended was not left out for want of speed.
            self.left_out += if error.is_none() { sink.left_out() } else { 0 };
        }
        error
    }

    pub fn idle(&mut self) -> Result<Flow> {
        all(self.outputs.sinks, |sink| sink.idle())
    }

    /// Does what was asked for on the screen, and shows the newest frame in the fluid view.
    pub fn steer(&mut self, newest: &link::Receiver<Frame>, notes: &Receiver<Note>) -> Result<Flow> {
        if self.fluid.load(Ordering::Relaxed)
            && let link::Received::Item(frame) = newest.receive_within(Duration::ZERO)
            && let Some((explanation, facts, taken)) = self.last.take()
        {
            let mut pace = self.pace();
            pace.age = taken.elapsed();
            self.show(&frame, &explanation, &facts, pace)?;
            self.last = Some((explanation, facts, taken));
        }
        let Some(live) = &mut self.outputs.screen else { return Ok(Flow::Continue) };
        for note in notes.try_iter() {
            match note {
                Note::Said(note) => live.screen.tell(&note),
                Note::Lost(why) => self.lost = why,
            }
        }
        let stalled = (self.heard.elapsed() > STALL).then(|| {
            if self.captured.load(Ordering::Relaxed) > self.captured_when_heard + 1 {
                "this map takes long\nM and L choose another method or layer"
            } else {
                "no frames are coming\nwaiting for more"
            }
        });
        if let Some(why) = self.lost.as_deref().or(stalled).filter(|_| !self.waiting) {
            live.screen.wait(why);
            self.waiting = true;
        }
        let commands = live.screen.poll()?;
        let asked = !commands.is_empty();
        for command in commands {
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
                Command::Pause => {
                    self.paused = if matches!(self.paused, Pause::No) { Pause::AtNext } else { Pause::No };
                }
                Command::Redraw => {}
                Command::Record => match self.recording.take() {
                    Some(mut recording) => {
                        let finished = recording.sink.finish(Ending::Cut).map_err(|error| error.to_string());
                        live.screen.tell(&finished.err().unwrap_or_else(|| format!("written: {}", recording.name)));
                        self.left_out += recording.sink.left_out();
                    }
                    None => match (live.record)() {
                        Ok((name, sink)) => self.recording = Some(Recording { name, sink }),
                        Err(error) => live.screen.tell(&error.to_string()),
                    },
                },
            }
        }
        if asked {
            self.show_held()?;
        }
        Ok(Flow::Continue)
    }

    /// Shows the frame that is held, if one is, as it is to look now.
    fn show_held(&mut self) -> Result<()> {
        let (Pause::Held(held), Some(live)) = (&self.paused, &mut self.outputs.screen) else { return Ok(()) };
        let Held { frame, explanation, facts, pace } = held.as_ref();
        let view = View { frame, explanation, facts, pace: *pace, recording: self.recording.is_some() };
        live.screen.show(&view, &mut live.overlay)
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
