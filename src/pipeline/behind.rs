//! A sink on a thread of its own, so that its work holds nobody up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};

use crate::error::{Error, Result};
use crate::explanation::Facts;
use crate::link::{self, Policy};
use crate::sink::{Ending, ExplainedFrame, Flow, Sink};

/// Passes frames on to a sink on another thread; the sink's errors come back with a later frame or at the end.
pub struct Behind {
    frames: Option<link::Sender<(ExplainedFrame, Arc<Facts>)>>,
    ending: Sender<Ending>,
    thread: Option<JoinHandle<Result<Flow>>>,
    /// Shared from frame to frame until something in them changes.
    facts: Option<Arc<Facts>>,
    given: u64,
    written: Arc<AtomicU64>,
}

impl Behind {
    /// Frames that may wait for the sink: they are lost if the program is killed.
    const WAITING: usize = 8;

    /// Makes the sink on its thread. With [`Policy::Newest`] a sink that does not keep up is spared the oldest frames
    /// that wait for it, with [`Policy::Block`] it is waited for.
    ///
    /// # Errors
    /// The sink cannot be made, or the system gives no further thread.
    pub fn start(policy: Policy, make: impl FnOnce() -> Result<Box<dyn Sink>> + Send + 'static) -> Result<Self> {
        let (frames, taken) = link::link::<(ExplainedFrame, Arc<Facts>)>(policy, Self::WAITING);
        let (ending, ended) = bounded(1);
        let (made, ready) = bounded(1);
        let written = Arc::new(AtomicU64::new(0));
        let done = Arc::clone(&written);
        let work = move || {
            let mut sink = match make() {
                Ok(sink) => sink,
                Err(error) => {
                    let _ = made.send(Err(error));
                    return Ok(Flow::Stop);
                }
            };
            let _ = made.send(Ok(()));
            let mut flow = Flow::Continue;
            while let Some((frame, facts)) = taken.receive() {
                flow = sink.write(&frame, &facts)?;
                done.fetch_add(1, Ordering::Relaxed);
                if flow == Flow::Stop {
                    break;
                }
            }
            sink.finish(ended.recv().unwrap_or(Ending::Cut)).map(|()| flow)
        };
        let broken = |problem: &str| Error::Runtime { runtime: "thread recording".into(), problem: problem.into() };
        let thread = thread::Builder::new().name("recording".into()).spawn(work).map_err(|e| broken(&e.to_string()))?;
        ready.recv().map_err(|_| broken("it ended at once"))??;
        Ok(Self { frames: Some(frames), ending, thread: Some(thread), facts: None, given: 0, written })
    }

    /// Waits for the thread's end.
    fn join(&mut self) -> Result<Flow> {
        self.frames = None;
        let Some(thread) = self.thread.take() else { return Ok(Flow::Stop) };
        let problem = "it broke; please report what was done";
        let broken = || Error::Runtime { runtime: "thread recording".into(), problem: problem.into() };
        thread.join().map_err(|_| broken())?
    }
}

impl Sink for Behind {
    fn write(&mut self, explained: &ExplainedFrame, facts: &Facts) -> Result<Flow> {
        let same = |known: &Arc<Facts>| known.method == facts.method && known.layer == facts.layer;
        let facts = self.facts.take().filter(same).unwrap_or_else(|| Arc::new(facts.clone()));
        self.facts = Some(Arc::clone(&facts));
        let taken = self.frames.as_ref().is_some_and(|frames| frames.send((explained.clone(), facts)));
        self.given += 1;
        if taken { Ok(Flow::Continue) } else { self.join() }
    }

    fn finish(&mut self, ending: Ending) -> Result<()> {
        let _ = self.ending.send(ending);
        self.join().map(drop)
    }

    fn left_out(&self) -> u64 {
        self.given - self.written.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use image::RgbImage;
    use ndarray::Array2;

    use super::*;
    use crate::cam::CamMap;
    use crate::explanation::Explanation;
    use crate::frame::Frame;
    use crate::preprocess::Region;

    fn explained(number: u64) -> ExplainedFrame {
        let region = Region { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let explanation = Explanation {
            class_index: 0,
            probability: 1.0,
            logit: 1.0,
            top: Vec::new(),
            map: CamMap::new(Array2::zeros((1, 1))),
            others: Vec::new(),
            region,
            seen: region,
            familiarity: None,
        };
        ExplainedFrame { frame: Frame::alone(Path::new("frame"), RgbImage::new(1, 1), None), explanation, number }
    }

    fn facts() -> Facts {
        let text = String::new;
        Facts { model: text(), layer: text(), method: text(), labels: Vec::new(), unit: "", against: None, guess: None }
    }

    type Log = Arc<Mutex<Vec<String>>>;

    /// Takes 20 ms a frame, and breaks at a given one.
    struct Slow {
        log: Log,
        breaks_at: u64,
    }

    impl Slow {
        fn note(&self, text: String) {
            if let Ok(mut log) = self.log.lock() {
                log.push(text);
            }
        }
    }

    impl Sink for Slow {
        fn write(&mut self, explained: &ExplainedFrame, _: &Facts) -> Result<Flow> {
            if explained.number == self.breaks_at {
                return Err(Error::output("slow", "the disk is full"));
            }
            thread::sleep(Duration::from_millis(20));
            self.note(explained.number.to_string());
            Ok(Flow::Continue)
        }

        fn finish(&mut self, ending: Ending) -> Result<()> {
            self.note(format!("{ending:?}"));
            Ok(())
        }
    }

    fn behind(log: &Log, policy: Policy, breaks_at: u64) -> Behind {
        let log = Arc::clone(log);
        Behind::start(policy, move || Ok(Box::new(Slow { log, breaks_at }))).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_slow_sink_holds_nobody_up_and_gets_every_frame() {
        let log = Log::default();
        let mut sink = behind(&log, Policy::Block, 99);
        let began = Instant::now();
        assert!((0..8).all(|number| sink.write(&explained(number), &facts()).is_ok()));
        assert!(began.elapsed() < Duration::from_millis(100), "writing waited for the sink");
        assert!(sink.finish(Ending::Whole).is_ok());
        let expected: Vec<String> = (0..8).map(|n| n.to_string()).chain(["Whole".into()]).collect();
        assert_eq!(log.lock().map(|log| log.clone()).unwrap_or_default(), expected);
    }

    #[test]
    fn a_sink_that_does_not_keep_up_is_spared_frames_where_the_newest_count() {
        let log = Log::default();
        let mut sink = behind(&log, Policy::Newest, 99);
        let began = Instant::now();
        assert!((0..30).all(|number| sink.write(&explained(number), &facts()).is_ok()));
        assert!(began.elapsed() < Duration::from_millis(300), "writing waited for the sink");
        assert!(sink.finish(Ending::Whole).is_ok());
        let log = log.lock().map(|log| log.clone()).unwrap_or_default();
        assert_eq!(log[log.len() - 2..], ["29", "Whole"]);
        assert_eq!(sink.left_out() + log.len() as u64 - 1, 30);
        assert!(sink.left_out() > 10);
    }

    #[test]
    fn an_error_of_the_sink_comes_back() {
        let mut sink = behind(&Log::default(), Policy::Block, 2);
        let failed = (0..100).find_map(|number| {
            thread::sleep(Duration::from_millis(5));
            sink.write(&explained(number), &facts()).err()
        });
        assert!(failed.is_some_and(|error| error.to_string().contains("the disk is full")));
        let refused = Behind::start(Policy::Block, || Err(Error::output("x", "it exists already")));
        assert!(refused.is_err());
    }
}
