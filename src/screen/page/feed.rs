//! What the viewers of the page get, shared by the main thread and the server.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use crate::media::Picture;

/// Events that may wait for a viewer. Later ones push the earliest out.
const EVENTS: usize = 64;

/// What the viewers get.
#[derive(Debug)]
pub struct Feed {
    /// The newest picture; `None` before the first, and while nobody watches.
    pub shown: watch::Sender<Option<Arc<Shown>>>,
    /// Events in the form of server-sent events.
    pub events: broadcast::Sender<Bytes>,
    watching: AtomicUsize,
    /// The newest event of the state, for viewers who come later.
    state: Mutex<Bytes>,
    history: Mutex<VecDeque<Moment>>,
}

/// A picture as viewers get it.
#[derive(Debug)]
pub struct Shown {
    pub picture: Picture,
    /// The picture as a part of a multipart answer, in JPEG.
    pub part: Bytes,
}

/// What the model said at one moment.
#[derive(Debug)]
struct Moment {
    at: Instant,
    label: Option<String>,
    probability: Option<f32>,
}

impl Feed {
    /// How far the history reaches back.
    const HISTORY: Duration = Duration::from_mins(5);
    /// The least time between two moments of the history.
    const STEP: Duration = Duration::from_millis(250);

    pub fn new() -> Self {
        Self {
            shown: watch::Sender::new(None),
            events: broadcast::Sender::new(EVENTS),
            watching: AtomicUsize::new(0),
            state: Mutex::default(),
            history: Mutex::default(),
        }
    }

    /// The number of viewers of the picture.
    pub fn watching(&self) -> usize {
        self.watching.load(Ordering::Relaxed)
    }

    /// Shows a picture, unless the last viewer has gone: it would be old when the next one comes.
    pub fn show(&self, shown: Shown) {
        self.shown.send_replace(Some(Arc::new(shown)));
        if self.watching() == 0 {
            self.forget_picture();
        }
    }

    pub fn forget_picture(&self) {
        self.shown.send_replace(None);
    }

    /// Sends an event of a kind to all viewers. `data` is one line.
    pub fn send(&self, kind: &str, data: &str) {
        // An error says that there are no viewers.
        let _ = self.events.send(event(kind, data));
    }

    /// Sends the state to all viewers, and to those who come later.
    pub fn send_state(&self, data: &str) {
        *lock(&self.state) = event("state", data);
        self.send("state", data);
    }

    pub fn state(&self) -> Bytes {
        lock(&self.state).clone()
    }

    /// Notes what the model says, unless it did so a moment ago.
    pub fn note(&self, answer: impl FnOnce() -> Option<(String, f32)>) {
        let mut history = lock(&self.history);
        if history.back().is_some_and(|last| last.at.elapsed() < Self::STEP) {
            return;
        }
        while history.front().is_some_and(|first| first.at.elapsed() > Self::HISTORY) {
            history.pop_front();
        }
        let (label, probability) = answer().unzip();
        history.push_back(Moment { at: Instant::now(), label, probability });
    }

    /// The history as JSON: `[milliseconds before now, label, probability]` for each moment, the oldest first.
    pub fn history(&self) -> String {
        #[derive(Serialize)]
        struct Row<'m>(u128, Option<&'m str>, Option<f32>);
        let history = lock(&self.history);
        let rows = history.iter().map(|m| Row(m.at.elapsed().as_millis(), m.label.as_deref(), m.probability));
        serde_json::to_string(&rows.collect::<Vec<_>>()).unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn event(kind: &str, data: &str) -> Bytes {
    format!("event: {kind}\ndata: {data}\n\n").into()
}

/// Counts a viewer of the picture until it is dropped.
pub struct Watching(Arc<Feed>);

impl Watching {
    pub fn new(feed: &Arc<Feed>) -> Self {
        feed.watching.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(feed))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watching.fetch_sub(1, Ordering::Relaxed);
    }
}
