//! An inference thread: it explains frames and carries out changes between them.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use tracing::trace_span;

use super::capture::POLL_INTERVAL;
use super::control::{Change, change, effective};
use super::item::{CapturedFrame, ExplainedItem, Numbered, Status};
use crate::error::{Error, Result};
use crate::explain::{Explainer, Explanation, ExplanationContext, TemporalSmoother};
use crate::media::Frame;
use crate::overlay::Overlay;
use crate::sync::channel::{self, Received};
use crate::sync::{Semaphore, Stop};

/// What one inference thread works with.
pub struct Worker {
    pub explainer: Explainer,
    /// Draws the map onto the frames for the sinks. A screen draws its own.
    pub overlay: Option<Overlay>,
}

/// The ends of the channels that a worker holds.
#[derive(Clone)]
pub struct WorkerChannels {
    pub frames: Arc<channel::Receiver<Numbered<CapturedFrame>>>,
    pub explained: Arc<channel::Sender<Numbered<ExplainedItem>>>,
    pub changes: Receiver<Change>,
    pub status: Sender<Status>,
}

/// A worker on its thread.
pub struct WorkerThread {
    worker: Worker,
    context: Arc<ExplanationContext>,
    /// The time constant of the smoothing, in seconds.
    smoothing: Option<f64>,
    /// The smoother of each source, if there is smoothing.
    smoothers: Vec<TemporalSmoother>,
    /// Whether it explains the predicted class, which smoothing may hold.
    follows_prediction: bool,
    channels: WorkerChannels,
    semaphore: Semaphore,
    stops: [Stop; 2],
}

impl WorkerThread {
    pub fn new(
        worker: Worker,
        smoothing: Option<f64>,
        channels: WorkerChannels,
        semaphore: Semaphore,
        stops: [Stop; 2],
    ) -> Self {
        let context = Arc::new(worker.explainer.context().clone());
        let follows_prediction = worker.explainer.follows_prediction();
        Self { worker, context, smoothing, smoothers: Vec::new(), follows_prediction, channels, semaphore, stops }
    }

    /// Explains frames until they end, the receiver is gone, or a stop is requested.
    pub fn work(mut self) {
        self.cancel_on_change_or_stop();
        // A stalled camera never ends its channel, so the loop checks for a stop as well.
        while !self.stops.iter().any(Stop::is_requested) {
            self.apply_changes();
            let (number, item) = match self.channels.frames.receive_within(POLL_INTERVAL) {
                Received::Item(item) => item,
                Received::Timeout => continue,
                Received::End => break,
            };
            let explained = item.and_then(|captured| self.explain_captured(captured));
            if matches!(explained, Err(Error::Cancelled)) {
                continue;
            }
            if !self.channels.explained.send((number, explained)) {
                break;
            }
        }
    }

    /// Cancels a map that takes minutes once a change or a stop is requested.
    fn cancel_on_change_or_stop(&mut self) {
        let (changes, stops) = (self.channels.changes.clone(), self.stops.clone());
        self.worker.explainer.cancel_when(move || !changes.is_empty() || stops.iter().any(Stop::is_requested));
    }

    /// Carries out the changes that were requested, as far as later ones do not undo them.
    fn apply_changes(&mut self) {
        for requested in effective(self.channels.changes.try_iter().collect()) {
            if self.stops.iter().any(Stop::is_requested) {
                return;
            }
            let explainer = &mut self.worker.explainer;
            if matches!(requested, Change::ListLayers) {
                let _ = self.channels.status.send(Status::Layers(explainer.layers().unwrap_or_default()));
                continue;
            }
            // A class that smoothing holds is not chosen, also where the change is refused.
            if self.follows_prediction {
                let _ = explainer.set_class(None);
            }
            let message = change(explainer, requested).unwrap_or_else(|error| error.to_string());
            let (status, request) = (&self.channels.status, explainer.request().clone());
            let _ = status.send(Status::Request(Box::new(request)));
            let _ = status.send(Status::Class(explainer.chosen_class()));
            if !message.is_empty() {
                let _ = status.send(Status::Message(message));
            }
            self.context = Arc::new(explainer.context().clone());
            self.follows_prediction = explainer.follows_prediction();
            self.smoothers.clear();
            self.cancel_on_change_or_stop();
        }
    }

    fn explain_captured(&mut self, mut captured: CapturedFrame) -> Result<ExplainedItem> {
        let explanation = self.explain(&mut captured.frame)?;
        Ok(ExplainedItem { captured, explanation, context: Arc::clone(&self.context) })
    }

    /// Explains a frame, smooths the maps over time and draws them, if the worker has an overlay.
    fn explain(&mut self, frame: &mut Frame) -> Result<Explanation> {
        let _permit = self.semaphore.acquire();
        if let Some(seconds) = self.smoothing {
            self.smoothers.resize_with(self.smoothers.len().max(frame.lane + 1), || TemporalSmoother::new(seconds));
        }
        let mut smoother = self.smoothers.get_mut(frame.lane);
        let Worker { explainer, overlay } = &mut self.worker;
        explainer.set_lane(frame.lane);
        if let Some(smoother) = smoother.as_mut().filter(|_| self.follows_prediction) {
            explainer.set_class(smoother.class_for(&frame.picture))?;
        }
        let mut explanation = match &frame.tensor {
            Some(tensor) => explainer.explain_tensor(tensor.view())?,
            None => explainer.explain_shown(&frame.picture, frame.medium.pixel_aspect())?,
        };
        if let Some(smoother) = smoother {
            smoother.smooth(&frame.picture, frame.time.as_us(), &mut explanation);
        }
        if let Some(overlay) = overlay {
            trace_span!("overlay").in_scope(|| overlay.draw(frame, &explanation, &self.context))?;
        }
        Ok(explanation)
    }
}
