//! A sink on a separate thread, so that the pipeline does not wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, Result};
use crate::explain::ExplanationContext;
use crate::sink::{Ending, ExplainedFrame, Flow, Sink};
use crate::sync::channel::{self, Policy};

type Item = (ExplainedFrame, Arc<ExplanationContext>);

/// Passes frames to a sink on another thread. An error of that sink is returned with a later frame or at the end.
pub struct ThreadedSink {
    frames: Option<channel::Sender<Item>>,
    ending: Sender<Ending>,
    thread: Option<JoinHandle<Result<Flow>>>,
    /// Shared by consecutive frames until the method or the layer changes.
    context: Option<Arc<ExplanationContext>>,
    given: u64,
    written: Arc<AtomicU64>,
    /// How long the end of the sink is waited for; `None` is for ever.
    timeout: Option<Duration>,
}

impl ThreadedSink {
    /// Frames that may wait for the sink. They are lost if the program is killed.
    const QUEUE_FRAMES: usize = 8;

    /// Makes the sink on its thread. If it does not keep up, [`Policy::Newest`] drops the oldest waiting frames and
    /// [`Policy::Block`] waits.
    ///
    /// # Errors
    /// `make` fails, or the system cannot start another thread.
    pub fn start(policy: Policy, make: impl FnOnce() -> Result<Box<dyn Sink>> + Send + 'static) -> Result<Self> {
        let (frames, queue) = channel::channel::<Item>(policy, Self::QUEUE_FRAMES);
        let (ending, ended) = bounded(1);
        let (made, ready) = bounded(1);
        let written = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written);
        let work = move || {
            let sink = match make() {
                Ok(sink) => sink,
                Err(error) => {
                    let _ = made.send(Err(error));
                    return Ok(Flow::Stop);
                }
            };
            let _ = made.send(Ok(()));
            write_all(sink, &queue, &ended, &counter)
        };
        let thread = thread::Builder::new()
            .name("recording".into())
            .spawn(work)
            .map_err(|e| failed(&e.to_string()).caused_by(e))?;
        ready.recv().map_err(|_| failed("it ended at once"))??;
        let (frames, thread) = (Some(frames), Some(thread));
        Ok(Self { frames, ending, thread, context: None, given: 0, written, timeout: None })
    }

    /// Waits at most this long for the sink to finish, and then abandons it: a receiver in the network may take nothing
    /// any more.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Waits for the thread to end.
    fn join(&mut self) -> Result<Flow> {
        self.frames = None;
        let Some(thread) = self.thread.take() else { return Ok(Flow::Stop) };
        let began = Instant::now();
        while self.timeout.is_some_and(|timeout| began.elapsed() < timeout) && !thread.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        if self.timeout.is_some() && !thread.is_finished() {
            return Ok(Flow::Stop);
        }
        thread.join().map_err(|_| failed("it panicked; please report this"))?
    }
}

/// Writes frames until they end or the sink stops, then finishes the sink.
fn write_all(
    mut sink: Box<dyn Sink>,
    queue: &channel::Receiver<Item>,
    ended: &Receiver<Ending>,
    written: &AtomicU64,
) -> Result<Flow> {
    let mut flow = Flow::Continue;
    while flow == Flow::Continue
        && let Some((frame, context)) = queue.receive()
    {
        let skipped = sink.left_out();
        flow = sink.write(&frame, &context)?;
        if sink.left_out() == skipped {
            written.fetch_add(1, Ordering::Relaxed);
        }
    }
    sink.finish(ended.recv().unwrap_or(Ending::Cut)).map(|()| flow)
}

fn failed(problem: &str) -> Error {
    Error::runtime("thread recording", problem)
}

impl Sink for ThreadedSink {
    fn write(&mut self, explained: &ExplainedFrame, context: &ExplanationContext) -> Result<Flow> {
        let same = |known: &Arc<ExplanationContext>| known.method == context.method && known.layer == context.layer;
        let context = self.context.take().filter(same).unwrap_or_else(|| Arc::new(context.clone()));
        self.context = Some(Arc::clone(&context));
        let sent = self.frames.as_ref().is_some_and(|frames| frames.send((explained.clone(), context)));
        self.given += 1;
        if sent { Ok(Flow::Continue) } else { self.join() }
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

    use crossbeam_channel::unbounded;
    use image::RgbImage;
    use ndarray::Array2;

    use super::*;
    use crate::cam::CamMap;
    use crate::explain::{ClassPrediction, Explanation, Prediction};
    use crate::media::Frame;
    use crate::model::Region;

    fn explained(number: u64) -> ExplainedFrame {
        let region = Region { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let prediction = Prediction::Classes(ClassPrediction::new(0, 1.0, 1.0, Vec::new()));
        let explanation = Explanation::new(prediction, CamMap::new(Array2::zeros((1, 1))), region, region);
        ExplainedFrame { frame: Frame::alone(Path::new("frame"), RgbImage::new(1, 1), None), explanation, number }
    }

    fn write(sink: &mut ThreadedSink, number: u64) -> Result<Flow> {
        sink.write(&explained(number), &ExplanationContext::default())
    }

    type Log = Arc<Mutex<Vec<String>>>;

    fn lines(log: &Log) -> Vec<String> {
        log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// Writes nothing until its gate opens, and fails at a given frame.
    struct GatedSink {
        /// Open once its sender is dropped.
        gate: Receiver<()>,
        log: Log,
        fails_at: u64,
    }

    impl GatedSink {
        fn note(&self, text: String) {
            if let Ok(mut log) = self.log.lock() {
                log.push(text);
            }
        }
    }

    impl Sink for GatedSink {
        fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
            let _ = self.gate.recv();
            if explained.number == self.fails_at {
                return Err(Error::output("gated", "the disk is full"));
            }
            self.note(explained.number.to_string());
            Ok(Flow::Continue)
        }

        fn finish(&mut self, ending: Ending) -> Result<()> {
            self.note(format!("{ending:?}"));
            Ok(())
        }
    }

    /// A threaded sink and its gate, closed until it is dropped.
    fn gated(log: &Log, policy: Policy, fails_at: u64) -> (ThreadedSink, Sender<()>) {
        let (closed, gate) = unbounded();
        let log = Arc::clone(log);
        let sink = ThreadedSink::start(policy, move || Ok(Box::new(GatedSink { gate, log, fails_at })));
        (sink.unwrap_or_else(|e| panic!("{e}")), closed)
    }

    #[test]
    fn writing_does_not_wait_for_the_sink_which_gets_every_frame() {
        let log = Log::default();
        let (mut sink, closed) = gated(&log, Policy::Block, 99);
        assert!((0..8).all(|number| write(&mut sink, number).is_ok()));
        assert!(lines(&log).is_empty(), "the gate was open");
        drop(closed);
        assert!(sink.finish(Ending::Whole).is_ok());
        let expected: Vec<String> = (0..8).map(|n| n.to_string()).chain(["Whole".into()]).collect();
        assert_eq!(lines(&log), expected);
    }

    #[test]
    fn a_sink_that_does_not_keep_up_misses_the_oldest_frames_if_the_newest_count() {
        let log = Log::default();
        let (mut sink, closed) = gated(&log, Policy::Newest, 99);
        assert!((0..30).all(|number| write(&mut sink, number).is_ok()));
        assert!(lines(&log).is_empty(), "the gate was open");
        drop(closed);
        assert!(sink.finish(Ending::Whole).is_ok());
        let log = lines(&log);
        assert_eq!(log[log.len() - 2..], ["29", "Whole"]);
        assert_eq!(sink.left_out() + log.len() as u64 - 1, 30);
        assert!(sink.left_out() > 10);
    }

    #[test]
    fn a_sink_that_takes_nothing_is_abandoned_after_its_timeout() {
        let log = Log::default();
        let (sink, _closed) = gated(&log, Policy::Newest, 99);
        let mut sink = sink.with_timeout(Duration::from_millis(50));
        assert!(write(&mut sink, 0).is_ok() && sink.finish(Ending::Whole).is_ok());
        assert!(lines(&log).is_empty(), "the gate was open");
    }

    #[test]
    fn an_error_of_the_sink_is_returned() {
        let (mut sink, closed) = gated(&Log::default(), Policy::Block, 2);
        drop(closed);
        // The queue is full soon after the sink has failed, and then writing fails too.
        let error = (0..100).find_map(|number| write(&mut sink, number).err());
        assert!(error.is_some_and(|error| error.to_string().contains("the disk is full")));
        let refused = ThreadedSink::start(Policy::Block, || Err(Error::output("x", "it exists already")));
        assert!(refused.is_err());
    }
}
