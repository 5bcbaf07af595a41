//! Several photos at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::Result;

/// Does `work` on each of the items, on a thread for each of the workers. `done` gets each result, on the calling thread, as
/// soon as it is there; all of them are returned in the order of the items.
///
/// # Errors
/// The first error of `work` or `done`. No other item is begun after it.
pub fn at_once<W: Send, T: Sync, R: Send>(
    workers: &mut [W],
    items: &[T],
    work: impl Fn(&mut W, &T) -> Result<R> + Sync,
    mut done: impl FnMut(&R) -> Result<()>,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let (sender, results) = crossbeam_channel::bounded(workers.len());
    let mut all: Vec<Option<R>> = items.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for worker in workers {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                let taken = || next.fetch_add(1, Ordering::Relaxed);
                for (number, item) in std::iter::repeat_with(taken).map_while(|at| Some((at, items.get(at)?))) {
                    let result = work(worker, item);
                    let failed = result.is_err();
                    if sender.send((number, result)).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (number, result) in results {
            let result = result?;
            done(&result)?;
            all[number] = Some(result);
        }
        Ok(())
    })?;
    Ok(all.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn results_are_in_order_whichever_worker_is_first() {
        let items: Vec<u64> = (0..40).collect();
        let mut workers = [0, 0, 0];
        let mut told = 0;
        let work = |count: &mut usize, item: &u64| {
            *count += 1;
            thread::sleep(std::time::Duration::from_micros(97 * item % 13));
            Ok(item * item)
        };
        let tell = |_: &u64| {
            told += 1;
            Ok(())
        };
        let squares = at_once(&mut workers, &items, work, tell);
        assert!(squares.is_ok_and(|squares| squares == items.iter().map(|item| item * item).collect::<Vec<_>>()));
        assert_eq!((told, workers.iter().sum::<usize>()), (40, 40));
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<usize> = (0..1000).collect();
        let mut workers = [0; 2];
        let work = |count: &mut usize, item: &usize| {
            *count += 1;
            if *item == 5 { Err(Error::input("photo", "it is damaged")) } else { Ok(()) }
        };
        assert!(at_once(&mut workers, &items, work, |()| Ok(())).is_err_and(|e| e.to_string().contains("damaged")));
        assert!(workers.iter().sum::<usize>() < 1000);
        assert!(
            at_once(&mut workers, &items, |_, _| Ok(()), |()| Err(Error::input("log", "the disk is full"))).is_err()
        );
    }
}
