//! Restoring the order of frames that several workers explain.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::sync::channel::{Received, Receiver};

/// Receives numbered items and returns them in the order of their numbers.
pub struct InOrder<T> {
    channel: Receiver<(u64, T)>,
    next: u64,
    early: BTreeMap<u64, T>,
    /// Whether items are in order already. A single worker keeps the order, and dropped frames leave gaps in the
    /// numbers.
    already_ordered: bool,
}

impl<T> InOrder<T> {
    pub fn new(channel: Receiver<(u64, T)>, already_ordered: bool) -> Self {
        Self { channel, next: 0, early: BTreeMap::new(), already_ordered }
    }

    /// Waits for the next item for at most `timeout`. An early item is kept until its turn.
    pub fn receive_within(&mut self, timeout: Duration) -> Received<T> {
        if let Some(item) = self.early.remove(&self.next) {
            self.next += 1;
            return Received::Item(item);
        }
        match self.channel.receive_within(timeout) {
            Received::Item((_, item)) if self.already_ordered => Received::Item(item),
            Received::Item((number, item)) if number == self.next => {
                self.next += 1;
                Received::Item(item)
            }
            Received::Item((number, item)) => {
                self.early.insert(number, item);
                Received::Timeout
            }
            Received::Timeout => Received::Timeout,
            Received::End => Received::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::channel::{Policy, channel};

    #[test]
    fn an_early_item_waits_for_those_before_it() {
        let (sender, receiver) = channel(Policy::Block, 6);
        for number in [1, 0, 4, 3, 2, 5] {
            sender.send((number, number));
        }
        drop(sender);
        let mut order = InOrder::new(receiver, false);
        let mut received = Vec::new();
        loop {
            match order.receive_within(Duration::ZERO) {
                Received::Item(number) => received.push(number),
                Received::Timeout => {}
                Received::End => break,
            }
        }
        assert_eq!(received, [0, 1, 2, 3, 4, 5]);
    }
}
