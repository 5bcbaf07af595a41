//! Several sources as one, which share a model in turns.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::interface::Source;
use crate::error::{Error, Result};
use crate::media::{Frame, Medium};

/// Opens one of the sources, on its own thread.
pub type OpenLane = Box<dyn FnOnce() -> Result<Box<dyn Source>> + Send>;

/// Several sources that play at the same time. Each frame that is asked for comes from the next source that has a new one,
/// so that a fast source takes no turns from a slow one; of each source only the newest frame counts.
pub struct MergedSource {
    shared: Arc<Shared>,
    /// The source whose turn is next.
    turn: usize,
    media: Vec<Option<(Arc<Medium>, Arc<Medium>)>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What each source has given last.
    newest: Vec<Slot>,
    /// Frames that a newer one has replaced.
    passed_over: u64,
    /// Whether nobody reads any more.
    closed: bool,
}

enum Slot {
    /// It has given nothing since its last turn.
    Empty,
    Frame(Box<Frame>),
    Failed(Error),
    Ended,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down what a source has given. Returns whether it shall go on.
    fn put(&self, lane: usize, slot: Slot, passed_over: u64) -> bool {
        let mut state = self.lock();
        state.passed_over += passed_over;
        let before = std::mem::replace(&mut state.newest[lane], slot);
        state.passed_over += u64::from(matches!(before, Slot::Frame(_)));
        self.changed.notify_all();
        !state.closed
    }
}

impl MergedSource {
    /// Opens the sources. What a source cannot open or read is an error of the whole.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn open(sources: Vec<OpenLane>) -> Result<Self> {
        let newest = sources.iter().map(|_| Slot::Empty).collect::<Vec<_>>();
        let media = newest.iter().map(|_| None).collect();
        let state = Mutex::new(State { newest, passed_over: 0, closed: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        for (lane, open) in sources.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let failed = |e: std::io::Error| Error::runtime("thread source", &e).caused_by(e);
            thread::Builder::new().name("source".into()).spawn(move || read(lane, open, &shared)).map_err(failed)?;
        }
        Ok(Self { shared, turn: 0, media })
    }

    /// A frame as one of its lane. Two sources of one name get different ones.
    fn adopt(&mut self, lane: usize, mut frame: Frame) -> Frame {
        frame.lane = lane;
        let known = self.media[lane].as_ref().filter(|(before, _)| Arc::ptr_eq(before, &frame.medium));
        let medium = known.map(|(_, named)| Arc::clone(named));
        frame.medium = medium.unwrap_or_else(|| {
            let others = self.media.iter().take(lane).flatten();
            let namesakes = others.filter(|(before, _)| before.name == frame.medium.name).count();
            let named = match namesakes {
                0 => Arc::clone(&frame.medium),
                before => {
                    let name = format!("{} ({})", frame.medium.name, before + 1);
                    Arc::new(Medium { name, ..(*frame.medium).clone() })
                }
            };
            self.media[lane] = Some((Arc::clone(&frame.medium), Arc::clone(&named)));
            named
        });
        frame
    }
}

/// Ends a source whose thread panics, so that the others go on.
struct EndGuard<'s>(usize, &'s Shared);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = Error::runtime("thread source", "it panicked; please report this");
            self.1.put(self.0, Slot::Failed(error), 0);
        }
    }
}

fn read(lane: usize, open: OpenLane, shared: &Shared) {
    let _guard = EndGuard(lane, shared);
    let mut source = match open() {
        Ok(source) => source,
        Err(error) => {
            shared.put(lane, Slot::Failed(error), 0);
            return;
        }
    };
    loop {
        let slot = match source.next_frame() {
            Ok(Some(frame)) => Slot::Frame(Box::new(frame)),
            Ok(None) => Slot::Ended,
            Err(error) => Slot::Failed(error),
        };
        // The last frame of a film is shown before its end counts.
        if matches!(slot, Slot::Ended) {
            let waiting = |state: &mut State| matches!(state.newest[lane], Slot::Frame(_)) && !state.closed;
            drop(shared.changed.wait_while(shared.lock(), waiting));
        }
        let goes_on = matches!(slot, Slot::Frame(_));
        if !shared.put(lane, slot, source.passed_over()) || !goes_on {
            return;
        }
    }
}

impl Source for MergedSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let mut state = self.shared.lock();
        loop {
            let lanes = state.newest.len();
            for lane in (0..lanes).map(|step| (self.turn + step) % lanes) {
                match std::mem::replace(&mut state.newest[lane], Slot::Empty) {
                    Slot::Frame(frame) => {
                        self.turn = (lane + 1) % lanes;
                        self.shared.changed.notify_all();
                        drop(state);
                        return Ok(Some(self.adopt(lane, *frame)));
                    }
                    Slot::Failed(error) => return Err(error),
                    slot => state.newest[lane] = slot,
                }
            }
            if state.newest.iter().all(|slot| matches!(slot, Slot::Ended)) {
                return Ok(None);
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.shared.lock().passed_over)
    }
}

impl Drop for MergedSource {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use image::RgbImage;

    use super::*;

    /// Gives a number of frames (the first field), one every so many milliseconds (the second).
    struct Ticking(u64, u64);

    impl Source for Ticking {
        fn next_frame(&mut self) -> Result<Option<Frame>> {
            let Some(left) = self.0.checked_sub(1) else { return Ok(None) };
            self.0 = left;
            thread::sleep(Duration::from_millis(self.1));
            Ok(Some(Frame::alone(Path::new("ticking"), RgbImage::new(1, 1), None)))
        }

        fn frame_count(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn a_fast_source_takes_no_turns_from_a_slow_one() {
        let lane = |count, wait| Box::new(move || Ok(Box::new(Ticking(count, wait)) as Box<dyn Source>)) as OpenLane;
        let merged = MergedSource::open(vec![lane(400, 1), lane(40, 10)]);
        let mut merged = merged.unwrap_or_else(|e| panic!("{e}"));
        let mut turns = [0_u64; 2];
        let mut names = Vec::new();
        while let Some(frame) = merged.next_frame().unwrap_or_else(|e| panic!("{e}")) {
            // A model that takes 20 ms.
            thread::sleep(Duration::from_millis(20));
            turns[frame.lane] += 1;
            names.push(frame.medium.name.clone());
        }
        // Without turns, the fast one would have ten times as many.
        assert!(turns[1] >= 5 && turns[0] <= 2 * turns[1] && turns[1] <= 2 * turns[0], "{turns:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["ticking", "ticking (2)"]);
        assert_eq!(merged.passed_over() + turns[0] + turns[1], 440);
    }
}
