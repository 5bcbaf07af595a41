//! The stages that have threads of their own: capture and inference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::front::Note;
use super::steering::{self, Change};
use super::{Captured, Explained, IDLE, Stop};
use crate::error::Result;
use crate::explainer::Explainer;
use crate::link;
use crate::source::Source;
use crate::steady::Steady;

/// What the capture thread tells beside the frames.
pub struct Tap {
    pub captured: Arc<AtomicU64>,
    pub fluid: Arc<AtomicBool>,
    pub newest: link::Sender<Captured>,
}

/// Reads the source to its end, counting its frames.
pub fn capture(
    open: impl FnOnce() -> Result<Box<dyn Source>>,
    link: &link::Sender<Result<Captured>>,
    tap: &Tap,
    stops: &[Stop],
) {
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
                tap.captured.fetch_add(1 + source.passed_over(), Ordering::Relaxed);
                let total = source.frame_count();
                if tap.fluid.load(Ordering::Relaxed) {
                    tap.newest.send(Captured { frame: frame.clone(), total });
                }
                Ok(Captured { frame, total })
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

/// Explains frames until they end, and changes what is explained as it is asked for.
pub fn infer(
    mut explainer: Explainer,
    mut smoothing: Option<Steady>,
    frames: &link::Receiver<Result<Captured>>,
    explained: &link::Sender<Result<Explained>>,
    changes: &Receiver<Change>,
    notes: &Sender<Note>,
    stops: &[Stop],
) {
    let mut facts = Arc::new(explainer.facts().clone());
    let mut follows = explainer.follows_prediction();
    // A stalled camera ends the link never, so the stop is looked for too.
    while !stops.iter().any(Stop::is_requested) {
        for asked in changes.try_iter() {
            let note = steering::change(&mut explainer, asked).unwrap_or_else(|error| error.to_string());
            let _ = notes.send(Note::Said(note));
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
