//! The stages that have threads of their own: capture and inference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use tracing::trace_span;

use super::front::Note;
use super::steering::{self, Change};
use super::{Captured, Explained, IDLE, Lane, Numbered, Stop};
use crate::error::{Error, Result};
use crate::explanation::{Explanation, Facts};
use crate::frame::Frame;
use crate::link;
use crate::permits::Permits;
use crate::source::Source;
use crate::steady::Steady;

/// What the capture thread tells beside the frames.
pub struct Tap {
    pub captured: Arc<AtomicU64>,
    pub fluid: Arc<AtomicBool>,
    pub newest: link::Sender<Frame>,
    /// Of which each frame takes one on its way.
    pub places: Permits,
}

/// Reads the source to its end, counting its frames.
pub fn capture(
    open: impl FnOnce() -> Result<Box<dyn Source>>,
    link: &link::Sender<Numbered<Captured>>,
    tap: &Tap,
    stops: &[Stop],
) {
    let mut source = match open() {
        Ok(source) => source,
        Err(e) => {
            link.send((0, Err(e)));
            return;
        }
    };
    for number in 0.. {
        let place = loop {
            if stops.iter().any(Stop::is_requested) {
                return;
            }
            if let Some(place) = tap.places.take_within(IDLE) {
                break place;
            }
        };
        let item = match trace_span!("decode").in_scope(|| source.next_frame()) {
            Ok(Some(frame)) => {
                tap.captured.fetch_add(1 + source.passed_over(), Ordering::Relaxed);
                let total = source.frame_count();
                if tap.fluid.load(Ordering::Relaxed) {
                    tap.newest.send(frame.clone());
                }
                Ok(Captured { frame, total, _place: place })
            }
            Ok(None) => return,
            Err(e) => Err(e),
        };
        let broken = item.is_err();
        if !link.send((number, item)) || broken {
            return;
        }
    }
}

/// Explains frames on a thread of its own.
pub struct Worker {
    /// Whether it explains what is predicted, so that smoothing may hold the class.
    pub follows: bool,
    pub lane: Lane,
    pub smoothing: Option<Steady>,
    pub frames: Arc<link::Receiver<Numbered<Captured>>>,
    pub explained: Arc<link::Sender<Numbered<Explained>>>,
    pub changes: Receiver<Change>,
    pub notes: Sender<Note>,
    pub permits: Permits,
    pub stops: [Stop; 2],
}

impl Worker {
    /// Explains frames until they end, and changes what is explained as it is asked for.
    pub fn work(mut self) {
        let mut facts = Arc::new(self.lane.explainer.facts().clone());
        self.give_up_when_asked();
        // A stalled camera ends the link never, so the stop is looked for too.
        while !self.stops.iter().any(Stop::is_requested) {
            while let Ok(asked) = self.changes.try_recv() {
                let note = steering::change(&mut self.lane.explainer, asked).unwrap_or_else(|error| error.to_string());
                let _ = self.notes.send(Note::Said(note));
                self.give_up_when_asked();
                facts = Arc::new(self.lane.explainer.facts().clone());
                self.follows = self.lane.explainer.follows_prediction();
                if let Some(steady) = &mut self.smoothing {
                    steady.reset();
                }
            }
            let (number, item) = match self.frames.receive_within(IDLE) {
                link::Received::Item(item) => item,
                link::Received::Nothing => continue,
                link::Received::End => break,
            };
            let result = item.and_then(|mut captured| {
                let explanation = self.explain(&mut captured.frame, &facts)?;
                Ok(Explained { captured, explanation, facts: Arc::clone(&facts) })
            });
            if matches!(result, Err(Error::GivenUp)) {
                continue;
            }
            if !self.explained.send((number, result)) {
                break;
            }
        }
    }

    /// A change or a stop that is asked for need not wait for a map that takes minutes.
    fn give_up_when_asked(&mut self) {
        let (changes, stops) = (self.changes.clone(), self.stops.clone());
        let asked = move || !changes.is_empty() || stops.iter().any(Stop::is_requested);
        self.lane.explainer.give_up_when(asked);
    }

    fn explain(&mut self, frame: &mut Frame, facts: &Facts) -> Result<Explanation> {
        let _permit = self.permits.take();
        if let Some(steady) = self.smoothing.as_mut().filter(|_| self.follows) {
            self.lane.explainer.set_class(steady.class_for(&frame.picture))?;
        }
        let mut explanation = match &frame.tensor {
            Some(tensor) => self.lane.explainer.explain_tensor(tensor.view())?,
            None => self.lane.explainer.explain(&frame.picture)?,
        };
        if let Some(steady) = &mut self.smoothing {
            steady.smooth(&frame.picture, frame.time.as_us(), &mut explanation);
        }
        if let Some(overlay) = &mut self.lane.overlay {
            trace_span!("overlay").in_scope(|| overlay.draw(frame, &explanation, facts))?;
        }
        Ok(explanation)
    }
}
