//! How many stages may work at once.

use crossbeam_channel::{Receiver, Sender, bounded};

/// A number of permits to work, of which each stage takes one a step: a counting semaphore.
#[derive(Clone, Debug)]
pub struct Permits(Option<(Sender<()>, Receiver<()>)>);

/// Gives itself back.
pub struct Permit<'p>(Option<&'p Sender<()>>);

impl Permits {
    /// Everyone works as they like.
    pub const UNBOUNDED: Self = Self(None);

    /// So many, and at least one.
    pub fn new(count: usize) -> Self {
        let (back, free) = bounded(count.max(1));
        while back.try_send(()).is_ok() {}
        Self(Some((back, free)))
    }

    /// Waits for a permit. Whoever has one must not wait for another stage.
    pub fn take(&self) -> Permit<'_> {
        Permit(self.0.as_ref().map(|(back, free)| {
            let _ = free.recv();
            back
        }))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(back) = self.0 {
            let _ = back.send(());
        }
    }
}
