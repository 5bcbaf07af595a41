//! Work on several items in parallel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result};

/// Runs `work` on every item, on one thread for each worker, and returns the results in the order of the items. `done` gets
/// each result, on the calling thread, as soon as it is there.
///
/// # Errors
/// The first error of `work` or `done`. No item is begun once it is known; those in progress are finished and passed to `done`.
pub fn parallel_map<W: Send, T: Sync, R: Send>(
    workers: &mut [W],
    items: &[T],
    work: impl Fn(&mut W, &T) -> Result<R> + Sync,
    mut done: impl FnMut(&R) -> Result<()>,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let (sender, results) = crossbeam_channel::unbounded();
    let mut all: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut outcome = Ok(());
    thread::scope(|scope| {
        for worker in workers {
            let (sender, next, work) = (sender.clone(), &next, &work);
            let taken = || next.fetch_add(1, Ordering::Relaxed);
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                for (number, item) in std::iter::repeat_with(taken).map_while(|at| Some((at, items.get(at)?))) {
                    let _ = sender.send((number, work(worker, item)));
                }
            });
            if let Err(e) = spawned {
                outcome = Err(Error::runtime("evaluation", format!("the system cannot start another thread: {e}")));
                next.store(items.len(), Ordering::Relaxed);
            }
        }
        drop(sender);
        for (number, result) in results {
            match result.and_then(|result| done(&result).map(|()| result)) {
                Ok(result) => all[number] = Some(result),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    outcome = std::mem::replace(&mut outcome, Ok(())).and(Err(error));
                }
            }
        }
    });
    outcome?;
    Ok(all.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_are_in_order_whichever_worker_is_first() {
        let (sender, gate) = crossbeam_channel::bounded(1);
        let mut order = Vec::new();
        let work = |(): &mut (), item: &usize| {
            // The first item waits until the second is told.
            if *item == 0 {
                let _ = gate.recv_timeout(Duration::from_mins(1));
            }
            Ok(*item)
        };
        let tell = |item: &usize| {
            order.push(*item);
            let _ = sender.try_send(());
            Ok(())
        };
        let results = parallel_map(&mut [(), ()], &[0, 1], work, tell);
        assert!(results.is_ok_and(|results| results == [0, 1]));
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn after_an_error_no_item_is_begun_and_what_is_in_progress_is_kept() {
        let (sender, gate) = crossbeam_channel::bounded(1);
        let mut kept = Vec::new();
        let work = |begun: &mut usize, item: &usize| {
            *begun += 1;
            match item {
                // Fails while the other is in progress.
                0 => {
                    let _ = gate.recv_timeout(Duration::from_mins(1));
                    Err(Error::input("photo", "it is damaged"))
                }
                1 => {
                    let _ = sender.try_send(());
                    thread::sleep(Duration::from_millis(100));
                    Ok(1)
                }
                other => {
                    thread::sleep(Duration::from_millis(10));
                    Ok(*other)
                }
            }
        };
        let items: Vec<usize> = (0..1000).collect();
        let mut workers = [0, 0];
        let keep = |item: &usize| {
            kept.push(*item);
            Ok(())
        };
        let failed = parallel_map(&mut workers, &items, work, keep);
        assert!(failed.is_err_and(|e| e.to_string().contains("damaged")));
        assert!(kept.contains(&1) && workers.iter().sum::<usize>() < 20, "{kept:?} {workers:?}");
    }

    #[test]
    fn a_result_that_cannot_be_kept_is_an_error() {
        let full = |(): &()| Err(Error::input("log", "the disk is full"));
        assert!(parallel_map(&mut [()], &[1, 2, 3], |(), _| Ok(()), full).is_err());
    }
}
