//! A window on the screen. It must live on the main thread.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use image::{RgbImage, imageops};
use minifb::{ScaleMode, WindowOptions};

use super::keys::{Action, KEYS, listen};
use super::{Command, Screen, View, hud, snapshot};
use crate::error::{Error, Result};
use crate::overlay::{Caption, Overlay};

pub struct Window {
    window: minifb::Window,
    actions: Receiver<Action>,
    caption: Caption,
    look: Look,
    buffer: Vec<u32>,
    width: usize,
    height: usize,
    title: String,
    /// What is shown, to write on when no more comes.
    shown: RgbImage,
    last_frame: Instant,
    stalled: bool,
    note: Option<(String, Instant)>,
    /// The next view is to be written to files.
    snapshot: bool,
    paused: bool,
}

/// What is shown beside the map.
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    fluid: bool,
    bars: bool,
    side_by_side: bool,
    pace: bool,
    help: bool,
}

impl Window {
    /// After this long without a frame, the window says so.
    const STALL: Duration = Duration::from_secs(2);
    /// How long a note stays.
    const NOTE: Duration = Duration::from_secs(3);
    const TITLE: &str = "whycam";

    /// # Errors
    /// There is no display.
    pub fn open(width: u32, height: u32) -> Result<Self> {
        let (width, height) = (width as usize, height as usize);
        let options =
            WindowOptions { resize: true, scale_mode: ScaleMode::AspectRatioStretch, ..WindowOptions::default() };
        let mut window = minifb::Window::new(Self::TITLE, width, height, options).map_err(|e| {
            Error::Window(format!("no display ({e}); set DISPLAY, or use --headless with --record FILE"))
        })?;
        Ok(Self {
            actions: listen(&mut window),
            window,
            caption: Caption::new()?,
            look: Look::default(),
            buffer: vec![0; width * height],
            width,
            height,
            title: Self::TITLE.into(),
            shown: RgbImage::new(width as u32, height as u32),
            last_frame: Instant::now(),
            stalled: false,
            note: None,
            snapshot: false,
            paused: false,
        })
    }

    fn put(&mut self, picture: &RgbImage) {
        (self.width, self.height) = (picture.width() as usize, picture.height() as usize);
        self.buffer.clear();
        let pixels = picture.as_raw().as_chunks::<3>().0;
        self.buffer.extend(pixels.iter().map(|[r, g, b]| u32::from_be_bytes([0, *r, *g, *b])));
    }

    fn retitle(&mut self, title: String) {
        if title != self.title {
            self.window.set_title(&title);
            self.title = title;
        }
    }

    /// The picture, the picture with the map, and the map, from left to right.
    fn side_by_side(view: &View, drawn: &RgbImage, overlay: &mut Overlay) -> Result<RgbImage> {
        let map = overlay.map_alone(view.frame, view.explanation)?;
        let (width, height) = drawn.dimensions();
        let mut row = RgbImage::new(3 * width, height);
        for (panel, at) in [&view.frame.picture, drawn, &map].into_iter().zip(0..) {
            imageops::replace(&mut row, panel, at * i64::from(width), 0);
        }
        Ok(row)
    }
}

impl Screen for Window {
    fn show(&mut self, view: &View, overlay: &mut Overlay) -> Result<()> {
        (self.last_frame, self.stalled) = (Instant::now(), false);
        self.retitle(format!("{} - {} - {}", Self::TITLE, view.frame.medium.name, view.facts.model));
        if self.paused {
            return Ok(());
        }
        let mut frame = view.frame.clone();
        overlay.draw(&mut frame, view.explanation, view.facts)?;
        if std::mem::take(&mut self.snapshot) {
            match snapshot::take(view, &frame.picture) {
                Ok(name) => self.tell(&format!("written: {}", name.display())),
                Err(error) => self.tell(&error.to_string()),
            }
        }
        let mut picture =
            if self.look.side_by_side { Self::side_by_side(view, &frame.picture, overlay)? } else { frame.picture };
        if self.look.bars {
            hud::bars(&mut picture, &self.caption, view);
        }
        if self.look.pace {
            hud::pace(&mut picture, &self.caption, view, self.look.fluid);
        }
        if view.recording {
            hud::recording(&mut picture);
        }
        if self.look.help {
            let lines: Vec<String> = KEYS.iter().map(|(key, what)| format!("{key:>6}  {what}")).collect();
            hud::message(&mut picture, &self.caption, &lines);
        } else if let Some((note, since)) = &self.note
            && since.elapsed() < Self::NOTE
        {
            hud::message(&mut picture, &self.caption, std::slice::from_ref(note));
        }
        self.put(&picture);
        self.shown = picture;
        Ok(())
    }

    fn tell(&mut self, note: &str) {
        self.note = Some((note.to_owned(), Instant::now()));
    }

    fn poll(&mut self) -> Result<Vec<Command>> {
        if !self.stalled && self.last_frame.elapsed() > Self::STALL {
            self.stalled = true;
            self.retitle(format!("{} - no frames are coming", Self::TITLE));
            let mut picture = self.shown.clone();
            hud::message(&mut picture, &self.caption, &["no frames are coming; waiting for more".into()]);
            self.put(&picture);
        }
        self.window
            .update_with_buffer(&self.buffer, self.width, self.height)
            .map_err(|e| Error::Window(format!("it cannot be drawn: {e}")))?;
        let mut commands = Vec::new();
        if !self.window.is_open() {
            commands.push(Command::Quit);
        }
        let look = &mut self.look;
        for action in self.actions.try_iter() {
            match action {
                Action::Ask(command) => commands.push(command),
                Action::Pause => self.paused = !self.paused,
                Action::Snapshot => (self.snapshot, self.paused) = (true, false),
                Action::Fluid => {
                    look.fluid = !look.fluid;
                    commands.push(Command::Fluid(look.fluid));
                    let mode = if look.fluid { "fluid: the latest map" } else { "aligned: each frame's own map" };
                    self.note = Some((mode.into(), Instant::now()));
                }
                Action::Bars => look.bars = !look.bars,
                Action::SideBySide => look.side_by_side = !look.side_by_side,
                Action::Pace => look.pace = !look.pace,
                Action::Help => look.help = !look.help,
            }
        }
        Ok(commands)
    }
}
