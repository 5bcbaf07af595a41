//! A window on the screen. It must live on the main thread.

use std::time::{Duration, Instant};

use image::RgbImage;
use minifb::{Key, ScaleMode, Window, WindowOptions};

use super::{ExplainedFrame, Flow, Sink};
use crate::error::{Error, Result};
use crate::explainer::Facts;

pub struct WindowSink {
    window: Window,
    buffer: Vec<u32>,
    width: usize,
    height: usize,
    last_frame: Instant,
    stalled: bool,
}

impl WindowSink {
    /// After this long without a frame, the title says so.
    const STALL: Duration = Duration::from_secs(2);
    const TITLE: &str = "whycam";

    /// # Errors
    /// There is no display.
    pub fn open(width: u32, height: u32) -> Result<Self> {
        let (width, height) = (width as usize, height as usize);
        let options =
            WindowOptions { resize: true, scale_mode: ScaleMode::AspectRatioStretch, ..WindowOptions::default() };
        let window = Window::new(Self::TITLE, width, height, options).map_err(|e| {
            Error::Window(format!("no display ({e}); set DISPLAY, or use --headless with --record FILE"))
        })?;
        let buffer = vec![0; width * height];
        Ok(Self { window, buffer, width, height, last_frame: Instant::now(), stalled: false })
    }

    fn show(&mut self, picture: &RgbImage) {
        (self.width, self.height) = (picture.width() as usize, picture.height() as usize);
        self.buffer.clear();
        let pixels = picture.as_raw().as_chunks::<3>().0;
        self.buffer.extend(pixels.iter().map(|[r, g, b]| u32::from_be_bytes([0, *r, *g, *b])));
    }

    fn update(&mut self) -> Result<Flow> {
        self.window
            .update_with_buffer(&self.buffer, self.width, self.height)
            .map_err(|e| Error::Window(format!("it cannot be drawn: {e}")))?;
        let leave = !self.window.is_open() || self.window.is_key_down(Key::Escape) || self.window.is_key_down(Key::Q);
        Ok(if leave { Flow::Stop } else { Flow::Continue })
    }
}

impl Sink for WindowSink {
    fn write(&mut self, explained: &ExplainedFrame, facts: &Facts) -> Result<Flow> {
        self.show(&explained.frame.picture);
        if explained.number == 0 || self.stalled {
            self.window.set_title(&format!("{} - {} - {}", Self::TITLE, explained.frame.medium.name, facts.model));
        }
        self.stalled = false;
        self.last_frame = Instant::now();
        self.update()
    }

    fn idle(&mut self) -> Result<Flow> {
        if !self.stalled && self.last_frame.elapsed() > Self::STALL {
            self.stalled = true;
            self.window.set_title(&format!("{} - no frames are coming", Self::TITLE));
        }
        self.update()
    }
}
