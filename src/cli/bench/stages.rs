//! The time of each stage, from the library's spans.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Sums the time of spans by name, without the time of the spans inside them.
#[derive(Clone, Default)]
pub struct Stages(Arc<Mutex<HashMap<&'static str, Duration>>>);

thread_local! {
    /// The open spans of this thread: when each was entered, and the time spent in spans inside it.
    static OPEN: RefCell<Vec<(Instant, Duration)>> = const { RefCell::new(Vec::new()) };
}

impl Stages {
    /// The sums since the last call.
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
