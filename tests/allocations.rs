//! What a warm live pipeline allocates for each frame.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::sync::{Arc, Mutex};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use whycam::overlay::{Blend, Colormap, HeatScale, Overlay, Style};
use whycam::pipeline::{self, LiveScreen, Options, Outputs, Policy, Stop, Teaching, Worker};
use whycam::plumbing::{Frame, Medium, MediumKind, Picture, Pool, Semaphore, TemporalSmoother, Time, TimeBase};
use whycam::screen::{Screen, ScreenFrame, ViewerCommand};
use whycam::sink::{ExplainedFrame, Flow, Sink};
use whycam::source::Source;
use whycam::{Compute, Explainer, ExplanationContext, Request, Result};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM: u64 = 20;
const FRAMES: u64 = 60;

/// Gives pictures as a camera does, each decoded into memory of its pool.
struct Camera {
    medium: Arc<Medium>,
    pool: Pool,
    index: u64,
}

impl Source for Camera {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let mut picture = self.pool.picture(self.medium.width, self.medium.height);
        for (position, value) in picture.iter_mut().enumerate() {
            *value = (position as u64 * 7 + self.index) as u8;
        }
        let time = Time { ticks: 33 * self.index as i64, base: self.medium.time_base };
        self.index += 1;
        Ok(Some(Frame::now(&self.medium, self.index - 1, time, picture)))
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }
}

/// Bytes and blocks allocated so far, at each frame.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<Vec<(usize, usize)>>>);

impl Sink for Counter {
    fn write(&mut self, _: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
        let stats = ALLOCATOR.stats();
        self.0.lock().unwrap().push((stats.bytes_allocated, stats.allocations + stats.reallocations));
        Ok(Flow::Continue)
    }
}

/// Draws as a window does, and shows nothing.
#[derive(Default)]
struct Blind(Picture);

impl Screen for Blind {
    fn size(&self) -> Option<(u32, u32)> {
        Some((640, 480))
    }

    fn show(&mut self, view: &ScreenFrame) -> Result<()> {
        self.0 = view.drawn.clone();
        Ok(())
    }

    fn tell(&mut self, _: &str) {}

    fn wait(&mut self, _: &str) {}

    fn poll(&mut self) -> Result<Vec<ViewerCommand>> {
        Ok(Vec::new())
    }
}

fn overlay() -> Overlay {
    let colormap = Colormap::named("turbo").unwrap();
    Overlay::new(Style { colormap, blend: Blend::Evidence, alpha: 0.7, scale: HeatScale::Frame, bar: false }).unwrap()
}

#[test]
fn a_live_frame_allocates_no_picture_and_no_tensor() {
    let explainer = Explainer::builder().compute(Compute::on_threads(1)).build().unwrap();
    let counter = Counter::default();
    let options = Options {
        policy: Policy::Block,
        lanes: 1,
        frames: Some(FRAMES),
        duration: None,
        smoothing: Some(TemporalSmoother::SECONDS),
        semaphore: Semaphore::UNBOUNDED,
    };
    let medium = Arc::new(Medium {
        name: "camera".into(),
        path: None,
        address: None,
        kind: MediumKind::Live,
        width: 640,
        height: 480,
        time_base: TimeBase::MILLISECONDS,
    });
    let camera = Camera { medium, pool: Pool::default(), index: 0 };
    let outcome = pipeline::run(
        Box::new(|_| Ok(Box::new(camera))),
        vec![Worker { explainer, overlay: None }],
        Outputs {
            sinks: &mut vec![Box::new(counter.clone())],
            screen: Some(LiveScreen {
                screen: &mut Blind::default(),
                overlay: overlay(),
                pictures: false,
                record: &|| unreachable!("no key starts a recording"),
                teaching: Teaching {
                    options: &|| unreachable!("no key begins to teach"),
                    request: Request::default(),
                    at_once: false,
                },
            }),
        },
        &options,
        &Stop::default(),
        |_| (),
    );
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let counts = counter.0.lock().unwrap();
    // The median: sometimes one more picture is in flight, and then stays in the pool.
    let median = |of: fn(&(usize, usize)) -> usize| {
        let mut steps: Vec<usize> =
            counts[WARM as usize..].windows(2).map(|pair| of(&pair[1]) - of(&pair[0])).collect();
        steps.sort_unstable();
        steps[steps.len() / 2]
    };
    let (bytes, blocks) = (median(|count| count.0), median(|count| count.1));
    eprintln!("{bytes} bytes in {blocks} blocks a frame");
    // A picture has 921,600 bytes, the model's input 786,432, and its last activation 327,680. The rest is
    // fast_image_resize's coefficients, the outlines of letters, and a few hundred bytes of an explanation.
    assert!(bytes < 200_000, "{bytes} bytes in {blocks} blocks a frame");
}
