//! Putting back into order what several explainers gave.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::link::{Received, Receiver};

/// Takes numbered items from a link and gives them out in the order of their numbers.
pub struct InOrder<T> {
    link: Receiver<(u64, T)>,
    next: u64,
    early: BTreeMap<u64, T>,
    /// One explainer keeps the order by itself, and where frames are dropped the numbers have gaps.
    as_they_come: bool,
}

impl<T> InOrder<T> {
    pub fn new(link: Receiver<(u64, T)>, as_they_come: bool) -> Self {
        Self { link, next: 0, early: BTreeMap::new(), as_they_come }
    }

    /// The next item, if it comes in time. What comes before its turn waits.
    pub fn receive_within(&mut self, patience: Duration) -> Received<T> {
        if let Some(item) = self.early.remove(&self.next) {
            self.next += 1;
            return Received::Item(item);
        }
        match self.link.receive_within(patience) {
            Received::Item((_, item)) if self.as_they_come => Received::Item(item),
            Received::Item((number, item)) if number == self.next => {
                self.next += 1;
                Received::Item(item)
            }
            Received::Item((number, item)) => {
                self.early.insert(number, item);
                Received::Nothing
            }
            Received::Nothing => Received::Nothing,
            Received::End => Received::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Policy, link};

    #[test]
    fn what_comes_early_waits_for_what_is_before_it() {
        let (sender, receiver) = link(Policy::Block, 6);
        for number in [1, 0, 4, 3, 2, 5] {
            sender.send((number, number));
        }
        drop(sender);
        let mut order = InOrder::new(receiver, false);
        let mut given = Vec::new();
        loop {
            match order.receive_within(Duration::ZERO) {
                Received::Item(number) => given.push(number),
                Received::Nothing => {}
                Received::End => break,
            }
        }
        assert_eq!(given, [0, 1, 2, 3, 4, 5]);
    }
}
