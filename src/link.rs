//! What joins two threads: a bounded queue whose policy says what happens when it is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver as ChannelReceiver, RecvTimeoutError, Sender as ChannelSender, TrySendError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The sender waits: every frame counts.
    Block,
    /// The oldest frame makes room: the newest counts.
    Newest,
}

pub struct Sender<T> {
    channel: ChannelSender<T>,
    /// For [`Policy::Newest`], to take the oldest out.
    oldest: Option<ChannelReceiver<T>>,
    closed: Arc<AtomicBool>,
}

pub struct Receiver<T> {
    channel: ChannelReceiver<T>,
    closed: Arc<AtomicBool>,
}

pub enum Received<T> {
    Item(T),
    Nothing,
    End,
}

/// A link of `capacity` items.
pub fn link<T>(policy: Policy, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let closed = Arc::new(AtomicBool::new(false));
    let oldest = (policy == Policy::Newest).then(|| receiver.clone());
    (Sender { channel: sender, oldest, closed: Arc::clone(&closed) }, Receiver { channel: receiver, closed })
}

impl<T> Sender<T> {
    /// Passes an item on; false if nobody takes it any more.
    pub fn send(&self, item: T) -> bool {
        let Some(oldest) = &self.oldest else {
            return self.channel.send(item).is_ok();
        };
        let mut item = item;
        while !self.closed.load(Ordering::Relaxed) {
            match self.channel.try_send(item) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) => {
                    item = back;
                    drop(oldest.try_recv());
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        false
    }
}

impl<T> Receiver<T> {
    /// The next item, however long it takes; `None` at the end.
    pub fn receive(&self) -> Option<T> {
        self.channel.recv().ok()
    }

    pub fn receive_within(&self, patience: Duration) -> Received<T> {
        match self.channel.recv_timeout(patience) {
            Ok(item) => Received::Item(item),
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => Received::End,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that comes within a moment.
    fn taken(receiver: &Receiver<i32>) -> Vec<i32> {
        std::iter::from_fn(|| match receiver.receive_within(Duration::from_millis(200)) {
            Received::Item(item) => Some(item),
            Received::Nothing | Received::End => None,
        })
        .collect()
    }

    #[test]
    fn the_newest_frame_wins() {
        let (sender, receiver) = link(Policy::Newest, 1);
        for item in 0..10 {
            assert!(sender.send(item));
        }
        assert_eq!(taken(&receiver), [9]);
    }

    #[test]
    fn a_blocking_link_keeps_every_frame_in_order() {
        let (sender, receiver) = link(Policy::Block, 2);
        let producer = std::thread::spawn(move || (0..50).all(|item| sender.send(item)));
        let taken = taken(&receiver);
        assert!(producer.join().is_ok_and(|sent| sent));
        assert_eq!(taken, (0..50).collect::<Vec<i32>>());
    }

    #[test]
    fn a_sender_learns_that_nobody_takes_any_more() {
        for policy in [Policy::Block, Policy::Newest] {
            let (sender, receiver) = link(policy, 1);
            drop(receiver);
            assert!(!sender.send(1), "{policy:?}");
        }
    }
}
