//! What happens on the thread that runs the pipeline: the screen must live there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::pace::PaceMeter;
use super::steering::Change;
use super::{Captured, Explained, Outputs, link};
use crate::error::Result;
use crate::explainer::{Explanation, Facts};
use crate::screen::{Command, View};
use crate::sink::{Ending, ExplainedFrame, Flow, Sink};

/// What happens on the thread that runs the pipeline.
pub struct Front<'a> {
    pub outputs: Outputs<'a>,
    pub pace: PaceMeter,
    pub captured: Arc<AtomicU64>,
    pub fluid: Arc<AtomicBool>,
    pub changes: Sender<Change>,
    pub recording: Option<Recording>,
    /// The last explanation, for the fluid view and for ranks, and when its frame was taken.
    pub last: Option<(Explanation, Arc<Facts>, Instant)>,
    pub explained: u64,
}

/// What a person began while the pipeline ran.
pub struct Recording {
    name: String,
    pub sink: Box<dyn Sink>,
}

impl Front<'_> {
    /// Shows an explained frame and gives it to the sinks.
    pub fn take(&mut self, explained: Explained) -> Result<Flow> {
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
        if let Some(recording) = &mut self.recording {
            recording.sink.write(&item, &facts)?;
        }
        all(self.outputs.sinks, |sink| sink.write(&item, &facts))
    }

    pub fn idle(&mut self) -> Result<Flow> {
        all(self.outputs.sinks, |sink| sink.idle())
    }

    /// Does what was asked for on the screen, and shows the newest frame in the fluid view.
    pub fn steer(&mut self, newest: &link::Receiver<Captured>, notes: &Receiver<String>) -> Result<Flow> {
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
                        Ok((name, sink)) => self.recording = Some(Recording { name, sink }),
                        Err(error) => live.screen.tell(&error.to_string()),
                    },
                },
            }
        }
        Ok(Flow::Continue)
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
