//! A sink whose receiver may go away and come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::interface::{Ending, ExplainedFrame, Flow, Sink};
use crate::error::Result;
use crate::explain::ExplanationContext;
use crate::media::{Frame, Medium, Report};

/// Takes pictures as they come, until its receiver goes away.
pub trait LiveOutput {
    /// Sends a picture.
    ///
    /// # Errors
    /// The receiver is gone.
    fn write(&mut self, frame: &Frame) -> Result<()>;

    /// Ends what is sent, if the receiver still takes it.
    fn finish(self: Box<Self>);
}

/// The number of frames after which a receiver counts as connected.
const FRAMES_TAKEN: u64 = 3;

/// Opens an output for frames like this one.
pub type Connect = Box<dyn FnMut(&Frame) -> Result<Box<dyn LiveOutput>> + Send>;

/// Sends pictures to a receiver, and tries again where it is gone. The rest of the run goes on.
pub struct ReconnectingSink {
    name: String,
    connect: Connect,
    current: Option<(Arc<Medium>, Box<dyn LiveOutput>)>,
    /// When the next attempt is due.
    next: Instant,
    /// Whether the report has said that the receiver is gone.
    gone: bool,
    /// Frames written since the last connection.
    written: u64,
    left_out: u64,
    report: Report,
}

impl ReconnectingSink {
    const RETRY_INTERVAL: Duration = Duration::from_secs(2);

    /// `name` is that of the receiver in messages.
    pub fn new(name: String, connect: Connect, report: Report) -> Self {
        Self { name, connect, current: None, next: Instant::now(), gone: false, written: 0, left_out: 0, report }
    }

    /// Sends a frame. A receiver of pictures of another size is connected anew.
    fn send(&mut self, frame: &Frame) -> Result<()> {
        let same = |medium: &Arc<Medium>| (medium.width, medium.height) == (frame.medium.width, frame.medium.height);
        if let Some((_, output)) = self.current.take_if(|(medium, _)| !same(medium)) {
            output.finish();
        }
        if self.current.is_none() {
            let output = (self.connect)(frame)?;
            self.current = Some((Arc::clone(&frame.medium), output));
            self.written = 0;
        }
        let Some((_, output)) = &mut self.current else { return Ok(()) };
        output.write(frame)?;
        self.written += 1;
        // Some receivers take a connection, and hang up when they see what comes.
        if self.written == FRAMES_TAKEN {
            self.report.tell_again(&format!("sending to {}", self.name));
            self.gone = false;
        }
        Ok(())
    }
}

impl Sink for ReconnectingSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
        if self.current.is_none() && Instant::now() < self.next {
            self.left_out += 1;
        } else if let Err(error) = self.send(&explained.frame) {
            self.left_out += 1;
            self.current = None;
            self.next = Instant::now() + Self::RETRY_INTERVAL;
            if !std::mem::replace(&mut self.gone, true) {
                self.report.tell_again(&format!("{error}; trying again"));
            }
        }
        Ok(Flow::Continue)
    }

    fn left_out(&self) -> u64 {
        self.left_out
    }

    fn finish(&mut self, _: Ending) -> Result<()> {
        if let Some((_, output)) = self.current.take() {
            output.finish();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use image::RgbImage;
    use ndarray::Array2;

    use super::*;
    use crate::cam::CamMap;
    use crate::error::Error;
    use crate::explain::{ClassPrediction, Explanation, Prediction};
    use crate::model::Region;

    /// Takes three frames, and then its receiver is gone.
    struct ThreeFrames(u32);

    impl LiveOutput for ThreeFrames {
        fn write(&mut self, _: &Frame) -> Result<()> {
            self.0 += 1;
            if self.0 > 3 { Err(Error::output("receiver", "it hung up")) } else { Ok(()) }
        }

        fn finish(self: Box<Self>) {}
    }

    #[test]
    fn a_receiver_that_goes_away_is_tried_again_and_the_run_goes_on() -> Result<()> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&told);
        let report = Report::new(move |line| drop(lines.lock().map(|mut lines| lines.push(line.to_owned()))));
        let mut sink = ReconnectingSink::new("receiver".into(), Box::new(|_| Ok(Box::new(ThreeFrames(0)))), report);
        let region = Region { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        for number in 0..9 {
            let prediction = Prediction::Classes(ClassPrediction::new(0, 1.0, 1.0, Vec::new()));
            let explanation = Explanation::new(prediction, CamMap::new(Array2::zeros((1, 1))), region, region);
            let frame = Frame::alone(Path::new("frame"), RgbImage::new(1, 1), None);
            sink.write(&ExplainedFrame { frame, explanation, number }, &ExplanationContext::default())?;
            if number == 5 {
                sink.next = Instant::now();
            }
        }
        let told = told.lock().map(|told| told.clone()).unwrap_or_default();
        assert_eq!(
            told,
            ["sending to receiver", "cannot write receiver: it hung up; trying again", "sending to receiver"]
        );
        assert_eq!(sink.left_out(), 3);
        Ok(())
    }
}
