//! What a run tells its user on the way, and what failed while the rest went on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// Takes a line for the user.
type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// Gathers what sources leave out and what inputs and outputs fail while the others go on.
#[derive(Clone)]
pub struct Report(Arc<Shared>);

struct Shared {
    tell: Tell,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    told: HashSet<String>,
    failures: Vec<Error>,
    damaged: bool,
    /// The names of the inputs that failed.
    failed: HashSet<String>,
}

impl Report {
    /// `tell` takes each line as soon as it is known, and each one once.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { tell: Box::new(tell), state: Mutex::default() }))
    }

    /// A report without a reader.
    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the user something, unless it was told already.
    pub fn tell(&self, text: impl Into<String>) {
        let text = text.into();
        if self.state().told.insert(text.clone()) {
            (self.0.tell)(&text);
        }
    }

    /// Tells the user what has happened, each time.
    pub fn tell_again(&self, text: &str) {
        (self.0.tell)(text);
    }

    /// Tells the user that a picture is damaged, and notes it.
    pub fn damaged(&self, path: &Path, what: &str) {
        self.note_damage();
        self.tell(format!("{}: {what}", path.display()));
    }

    /// Notes that a part of a picture or a film could not be read.
    pub fn note_damage(&self) {
        self.state().damaged = true;
    }

    /// Whether a part of a picture or a film could not be read.
    pub fn has_damage(&self) -> bool {
        self.state().damaged
    }

    /// Notes that an input, or a result of it, failed while the others go on.
    pub fn fail(&self, input: &str, error: Error) {
        let mut state = self.state();
        state.failed.insert(input.to_owned());
        state.failures.push(error);
    }

    /// Whether an input failed, or a result of it.
    pub fn has_failed(&self, input: &str) -> bool {
        self.state().failed.contains(input)
    }

    /// Takes out what failed so far.
    pub fn take_failures(&self) -> Vec<Error> {
        std::mem::take(&mut self.state().failures)
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}
