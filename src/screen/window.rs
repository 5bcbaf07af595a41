//! A window on the desktop. It runs on the main thread.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use image::RgbImage;
use minifb::{ScaleMode, WindowOptions};

use super::keys::{Action, KEYS, listen};
use super::{Screen, ScreenFrame, ViewerCommand, fullscreen, hud, recording, taught};
use crate::error::{Error, Result};
use crate::media::Picture;
use crate::overlay::Caption;

/// A window that shows explained frames.
pub struct Window {
    window: minifb::Window,
    actions: Receiver<Action>,
    /// The size at opening, in pixels.
    size: (u32, u32),
    options: WindowStyle,
    /// The size of the pictures whose shape the window has.
    fitted: Option<(u32, u32)>,
    opened: Instant,
    caption: Caption,
    look: Look,
    buffer: Vec<u32>,
    title: String,
    /// The current picture without messages.
    shown: Picture,
    /// Why no frames arrive.
    waiting: Option<String>,
    /// A message, and since when it shows.
    message: Option<(String, Instant)>,
    /// The words that are being typed.
    typing: Option<String>,
    /// The number key that is held down, and since when.
    held: Option<(usize, Instant)>,
    /// Whether classes are being taught.
    teaching: bool,
}

/// How a window is opened.
#[derive(Clone, Copy, Debug)]
pub struct WindowStyle {
    /// Whether it fills the screen.
    pub fullscreen: bool,
    /// Whether it shows the mouse pointer.
    pub pointer: bool,
}

/// What the window shows besides the map.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    bars: bool,
    pace: bool,
    help: bool,
}

impl Window {
    /// How long a number key is held down until the picture is taken.
    const HOLD: Duration = Duration::from_millis(600);
    /// How long a message shows.
    const MESSAGE: Duration = Duration::from_secs(3);
    /// How long the sources may take to give their first pictures.
    const SETTLED: Duration = Duration::from_secs(3);
    const TITLE: &str = "whycam";

    /// Opens a window for pictures of about this size, in pixels. It takes the shape of the first picture.
    ///
    /// # Errors
    /// There is no display.
    pub fn open(width: u32, height: u32, options: WindowStyle) -> Result<Self> {
        let (window, actions) = open(width, height, options)?;
        Ok(Self {
            window,
            actions,
            size: (width, height),
            options,
            fitted: None,
            opened: Instant::now(),
            caption: Caption::new()?,
            look: Look::default(),
            buffer: vec![0; (width * height) as usize],
            title: Self::TITLE.into(),
            shown: RgbImage::new(width, height).into(),
            waiting: None,
            message: None,
            typing: None,
            held: None,
            teaching: false,
        })
    }

    /// Opens the window again if its shape differs from that of the pictures. minifb cannot resize a window. The shape of
    /// several sources is known once each has given a picture; later the window stays as the viewer has it.
    fn fit(&mut self, width: u32, height: u32) -> Result<()> {
        const MIN_SIDE: f32 = 640.0;
        const MAX_SIZE: [f32; 2] = [1280.0, 800.0];
        let settled = self.fitted.is_some() && self.opened.elapsed() > Self::SETTLED;
        if self.options.fullscreen || settled || self.fitted.replace((width, height)) == Some((width, height)) {
            return Ok(());
        }
        if u64::from(width) * u64::from(self.size.1) == u64::from(height) * u64::from(self.size.0) {
            return Ok(());
        }
        let (w, h) = (width as f32, height as f32);
        let scale = (MIN_SIDE / w.max(h)).max(1.0).min(MAX_SIZE[0] / w).min(MAX_SIZE[1] / h);
        self.size = ((w * scale).round() as u32, (h * scale).round() as u32);
        (self.window, self.actions) = open(self.size.0, self.size.1, self.options)?;
        Ok(())
    }

    fn retitle(&mut self, title: String) {
        if title != self.title {
            self.window.set_title(&title);
            self.title = title;
        }
    }

    /// Fills the window with the current picture, and the help or a message over it.
    fn refresh(&mut self) {
        let lines: Vec<String> = match (&self.message, &self.waiting) {
            _ if self.look.help => KEYS.iter().map(|(key, what)| format!("{key:>6}  {what}")).collect(),
            _ if self.typing.is_some() => {
                let words = self.typing.as_deref().unwrap_or_default();
                let what = if self.teaching { "names of the classes" } else { "compare with" };
                vec![format!("{what}: {words}_"), "commas between, Enter ends, Esc cancels".into()]
            }
            (Some((message, _)), _) => vec![message.clone()],
            (None, Some(why)) => why.lines().map(str::to_owned).collect(),
            (None, None) => return fill(&mut self.buffer, &self.shown),
        };
        let mut picture = self.shown.clone();
        hud::message(&mut picture, &self.caption, &lines);
        fill(&mut self.buffer, &picture);
    }
}

fn open(width: u32, height: u32, style: WindowStyle) -> Result<(minifb::Window, Receiver<Action>)> {
    let options = WindowOptions { resize: true, scale_mode: ScaleMode::AspectRatioStretch, ..WindowOptions::default() };
    let window = minifb::Window::new(Window::TITLE, width as usize, height as usize, options);
    let mut window = window.map_err(|e| Error::NoDisplay(e.to_string()))?;
    if style.fullscreen {
        fullscreen::fill_screen(&window)?;
    }
    window.set_cursor_visibility(style.pointer);
    let actions = listen(&mut window);
    Ok((window, actions))
}

/// Converts a picture to the window's pixels, 0RGB.
fn fill(buffer: &mut Vec<u32>, picture: &RgbImage) {
    buffer.clear();
    let pixels = picture.as_raw().as_chunks::<3>().0;
    buffer.extend(pixels.iter().map(|[r, g, b]| u32::from_be_bytes([0, *r, *g, *b])));
}

impl Screen for Window {
    fn size(&self) -> Option<(u32, u32)> {
        let (width, height) = self.window.get_size();
        Some((width as u32, height as u32))
    }

    fn show(&mut self, view: &ScreenFrame) -> Result<()> {
        self.waiting = None;
        self.fit(view.natural.0, view.natural.1)?;
        self.retitle(format!("{} - {} - {}", Self::TITLE, view.frame.medium.short_name(), view.context.model));
        let mut picture = view.drawn.clone();
        self.teaching = view.teaching.is_some();
        if let Some(teaching) = view.teaching {
            taught::draw(&mut picture, &self.caption, teaching);
        }
        if self.look.bars {
            hud::bars(&mut picture, &self.caption, view);
        }
        if self.look.pace {
            hud::pace(&mut picture, &self.caption, view);
        }
        if view.switches.recording {
            recording::draw(&mut picture);
        }
        self.shown = picture;
        self.refresh();
        Ok(())
    }

    fn reset(&mut self) {
        self.look = Look::default();
    }

    fn tell(&mut self, message: &str) {
        self.message = Some((message.to_owned(), Instant::now()));
        self.refresh();
    }

    fn wait(&mut self, why: &str) {
        self.retitle(format!("{} - {}", Self::TITLE, why.lines().next().unwrap_or_default()));
        self.waiting = Some(why.to_owned());
        self.refresh();
    }

    fn poll(&mut self) -> Result<Vec<ViewerCommand>> {
        if self.message.take_if(|(_, since)| since.elapsed() > Self::MESSAGE).is_some() {
            self.refresh();
        }
        self.window
            .update_with_buffer(&self.buffer, self.shown.width() as usize, self.shown.height() as usize)
            .map_err(|e| Error::Window(format!("it cannot be drawn: {e}")))?;
        let mut commands = Vec::new();
        if !self.window.is_open() {
            commands.push(ViewerCommand::Quit);
        }
        let look = &mut self.look;
        for action in self.actions.try_iter() {
            commands.push(ViewerCommand::Redraw);
            match action {
                Action::Command(command) => commands.push(command),
                Action::Number { number, down } => {
                    self.held = down.then(|| (number, Instant::now()));
                    commands.push(ViewerCommand::Number { number, down });
                }
                Action::Typing(words) => self.typing = words,
                Action::Bars => look.bars = !look.bars,
                Action::Pace => look.pace = !look.pace,
                Action::Help => look.help = !look.help,
            }
        }
        if let Some((number, _)) = self.held.take_if(|(_, since)| since.elapsed() > Self::HOLD) {
            commands.push(ViewerCommand::TakeReference(number));
        }
        if commands.contains(&ViewerCommand::Redraw) {
            self.refresh();
        }
        Ok(commands)
    }
}
