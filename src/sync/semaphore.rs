//! A limit on how much happens at once.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// A counting semaphore. A pipeline stage holds a permit while it works; a frame may hold one from capture to sink.
#[derive(Clone, Debug)]
pub struct Semaphore(Option<(Sender<()>, Receiver<()>)>);

/// One permit of a [`Semaphore`]. Dropping it returns it.
#[derive(Debug)]
pub struct Permit(Option<Sender<()>>);

impl Semaphore {
    /// Always has a permit.
    pub const UNBOUNDED: Self = Self(None);

    /// A semaphore with `count` permits, at least one.
    pub fn new(count: usize) -> Self {
        let (returned, free) = bounded(count.max(1));
        while returned.try_send(()).is_ok() {}
        Self(Some((returned, free)))
    }

    /// Waits for a permit. A holder of a work permit must not wait for another stage.
    pub fn acquire(&self) -> Permit {
        Permit(self.0.as_ref().map(|(returned, free)| {
            let _ = free.recv();
            returned.clone()
        }))
    }

    /// Waits for a permit for at most `timeout`.
    pub fn acquire_within(&self, timeout: Duration) -> Option<Permit> {
        let Some((returned, free)) = &self.0 else { return Some(Permit(None)) };
        free.recv_timeout(timeout).ok().map(|()| Permit(Some(returned.clone())))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(returned) = &self.0 {
            let _ = returned.send(());
        }
    }
}
