//! What each stage takes, from the library's spans.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Sums the time that spans take by their names, without that of the spans inside them.
#[derive(Clone, Default)]
pub struct Stages(Arc<Mutex<HashMap<&'static str, Duration>>>);

thread_local! {
    /// The spans that this thread is in: since when, and how long it was in spans inside them.
    static OPEN: RefCell<Vec<(Instant, Duration)>> = const { RefCell::new(Vec::new()) };
}

impl Stages {
    /// What was summed since the last call.
    pub fn take(&self) -> HashMap<&'static str, Duration> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stages {
    fn on_enter(&self, _: &span::Id, _: Context<S>) {
        OPEN.with_borrow_mut(|open| open.push((Instant::now(), Duration::ZERO)));
    }

    fn on_exit(&self, id: &span::Id, context: Context<S>) {
        let own = OPEN.with_borrow_mut(|open| {
            let (since, inside) = open.pop()?;
            let whole = since.elapsed();
            if let Some((_, inside)) = open.last_mut() {
                *inside += whole;
            }
            Some(whole.saturating_sub(inside))
        });
        if let (Some(own), Some(span)) = (own, context.span(id)) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(span.name()).or_default() += own;
        }
    }
}
