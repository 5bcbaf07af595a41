//! How much may go on at once.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// A counting semaphore: permits to work, of which each stage takes one a step, or to be on the way, of which each frame
/// takes one.
#[derive(Clone, Debug)]
pub struct Permits(Option<(Sender<()>, Receiver<()>)>);

/// Gives itself back.
#[derive(Debug)]
pub struct Permit(Option<Sender<()>>);

impl Permits {
    /// Everyone works as they like.
    pub const UNBOUNDED: Self = Self(None);

    /// So many, and at least one.
    pub fn new(count: usize) -> Self {
        let (back, free) = bounded(count.max(1));
        while back.try_send(()).is_ok() {}
        Self(Some((back, free)))
    }

    /// Waits for a permit. Whoever has one to work must not wait for another stage.
    pub fn take(&self) -> Permit {
        Permit(self.0.as_ref().map(|(back, free)| {
            let _ = free.recv();
            back.clone()
        }))
    }

    /// A permit, if one comes in time.
    pub fn take_within(&self, patience: Duration) -> Option<Permit> {
        let Some((back, free)) = &self.0 else { return Some(Permit(None)) };
        free.recv_timeout(patience).ok().map(|()| Permit(Some(back.clone())))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(back) = &self.0 {
            let _ = back.send(());
        }
    }
}
