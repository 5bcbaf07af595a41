//! A bounded channel between two threads. Its policy decides what a sender does when the channel is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver as ChannelReceiver, RecvTimeoutError, Sender as ChannelSender, TrySendError};

/// What a sender does when the channel is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It waits. Every item counts.
    Block,
    /// It drops the oldest item. The newest item counts.
    Newest,
}

/// The sending end of a channel.
pub struct Sender<T> {
    channel: ChannelSender<T>,
    /// Takes out the oldest item under [`Policy::Newest`].
    oldest: Option<ChannelReceiver<T>>,
    closed: Arc<AtomicBool>,
}

/// The receiving end of a channel. Dropping it closes the channel.
pub struct Receiver<T> {
    channel: ChannelReceiver<T>,
    closed: Arc<AtomicBool>,
}

/// The result of waiting for an item.
pub enum Received<T> {
    Item(T),
    /// No item arrived in time.
    Timeout,
    /// The channel is empty and its sender is gone.
    End,
}

/// Makes a channel that holds up to `capacity` items.
pub fn channel<T>(policy: Policy, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let closed = Arc::new(AtomicBool::new(false));
    let oldest = (policy == Policy::Newest).then(|| receiver.clone());
    (Sender { channel: sender, oldest, closed: Arc::clone(&closed) }, Receiver { channel: receiver, closed })
}

impl<T> Sender<T> {
    /// Sends an item. Returns false if the receiver is gone.
    pub fn send(&self, item: T) -> bool {
        let Some(oldest) = &self.oldest else {
            return self.channel.send(item).is_ok();
        };
        let mut item = item;
        while !self.closed.load(Ordering::Relaxed) {
            match self.channel.try_send(item) {
                Ok(()) => return true,
                Err(TrySendError::Full(returned)) => {
                    item = returned;
                    drop(oldest.try_recv());
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        false
    }
}

impl<T> Receiver<T> {
    /// Waits for the next item. Returns `None` at the end.
    pub fn receive(&self) -> Option<T> {
        self.channel.recv().ok()
    }

    /// Waits for the next item for at most `timeout`.
    pub fn receive_within(&self, timeout: Duration) -> Received<T> {
        match self.channel.recv_timeout(timeout) {
            Ok(item) => Received::Item(item),
            Err(RecvTimeoutError::Timeout) => Received::Timeout,
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

    /// Every item up to the end of the channel.
    fn received(receiver: &Receiver<i32>) -> Vec<i32> {
        std::iter::from_fn(|| receiver.receive()).collect()
    }

    #[test]
    fn the_newest_item_wins() {
        let (sender, receiver) = channel(Policy::Newest, 1);
        for item in 0..10 {
            assert!(sender.send(item));
        }
        drop(sender);
        assert_eq!(received(&receiver), [9]);
    }

    #[test]
    fn a_blocking_channel_keeps_every_item_in_order() {
        let (sender, receiver) = channel(Policy::Block, 2);
        let producer = std::thread::spawn(move || (0..50).all(|item| sender.send(item)));
        let received = received(&receiver);
        assert!(producer.join().is_ok_and(|sent| sent));
        assert_eq!(received, (0..50).collect::<Vec<i32>>());
    }

    #[test]
    fn a_sender_learns_that_the_receiver_is_gone() {
        for policy in [Policy::Block, Policy::Newest] {
            let (sender, receiver) = channel(policy, 1);
            drop(receiver);
            assert!(!sender.send(1), "{policy:?}");
        }
    }
}
