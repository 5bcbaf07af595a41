//! The trait of screens, what a screen shows, and the commands it returns.

use std::time::Duration;

use image::RgbImage;

use crate::error::Result;
use crate::explain::{Explanation, ExplanationContext};
use crate::media::{Frame, Picture};
use crate::overlay::{Blend, Style};

/// What a screen shows at one moment.
pub struct ScreenFrame<'a> {
    /// The picture with the map, at the size at which it is shown. Empty while nobody watches.
    pub drawn: &'a Picture,
    /// The size that shows every pixel of the source, or of all sources that share the screen.
    pub natural: (u32, u32),
    /// The frame as the source gave it.
    pub frame: &'a Frame,
    /// The explanation of this frame, or in the fluid view of the last explained one.
    pub explanation: &'a Explanation,
    pub context: &'a ExplanationContext,
    pub pace: Pace,
    pub switches: Switches,
    /// The class that a viewer chose; `None` for the predicted one.
    pub class: Option<usize>,
    pub style: &'a Style,
    /// What is taught, while classes are being taught.
    pub teaching: Option<&'a TeachingView>,
}

/// What is on and off.
#[expect(clippy::struct_excessive_bools, reason = "each is switched by a separate command")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Whether the picture is held.
    pub paused: bool,
    /// Whether a recording is on.
    pub recording: bool,
    /// Whether every captured frame is shown with the latest map, and not each explained frame with its own.
    pub fluid: bool,
    /// Whether the picture and the map stand next to both.
    pub side_by_side: bool,
}

/// What is taught.
#[derive(Clone, Debug, Default)]
pub struct TeachingView {
    pub classes: Vec<TaughtClass>,
    /// The class whose key is held down, counted from 0.
    pub held: Option<usize>,
    /// Whether it is shown where the evidence lies.
    pub evidence: bool,
}

/// A class that is taught.
#[derive(Clone, Debug, Default)]
pub struct TaughtClass {
    pub name: String,
    pub pictures: usize,
    /// The newest picture, in small.
    pub thumbnail: Option<RgbImage>,
    /// The mean share of the evidence that lies in the middle of the frames which show this class.
    pub in_middle: Option<f32>,
    /// Whether the check finds that the class is recognised by its background.
    pub by_background: Option<bool>,
}

/// The rates of the pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// The time since the source gave the explained frame.
    pub age: Duration,
    /// Captured frames per second.
    pub captured: f32,
    /// Explained frames per second.
    pub explained: f32,
    /// Captured frames that were not explained, in total.
    pub dropped: u64,
}

/// A command of the viewer.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewerCommand {
    Quit,
    NextMethod,
    Method(String),
    NextLayer,
    Layer(String),
    /// Asks for the layers that can be chosen, which come to [`Screen::offer_layers`].
    ListLayers,
    NextColormap,
    Colormap(String),
    NextBlend,
    Blend(Blend),
    /// Adds this step to the opacity of the map, -1..=1.
    AlphaStep(f32),
    /// Sets the opacity of the map, 0..=1.
    Alpha(f32),
    /// Explains this class, or the predicted class of each frame.
    Class(Option<usize>),
    /// Explains the class at this rank, 0 for the most probable, or the predicted class of each frame. Of a detector, the
    /// object of this number less 1, or all objects.
    Explain(Option<usize>),
    /// Explains the next object that a detector finds, and all objects after the last one.
    NextObject,
    /// Compares an embedding with the current picture from now on, as the reference of this number, counted from 1.
    TakeReference(usize),
    /// Compares an embedding with these words from now on, separated by commas. While classes are taught, their names.
    Words(String),
    /// A number key, 1 to 9, is pressed or let go.
    Number {
        number: usize,
        down: bool,
    },
    /// Begins to teach classes.
    Teach,
    /// Takes back what was taught last.
    UndoTaught,
    /// The class of the next number key is forgotten.
    ForgetTaught,
    /// Shows where the evidence of taught classes lies, and checks whether they are recognised by their background; or shows it
    /// no longer.
    ToggleEvidence,
    /// Starts or ends a recording.
    Record,
    /// Writes the picture with and without the map, and the numbers, to files.
    Snapshot,
    /// Holds the picture, or resumes.
    Pause,
    /// Draws the picture again, since its look has changed.
    Redraw,
    /// Somebody has begun to watch: a held picture is drawn for them.
    Watched,
    /// Shows every captured frame with the latest map, or each explained frame with its map; without a value, the other of
    /// the two.
    Fluid(Option<bool>),
    /// Shows picture and map next to both, or no longer; without a value, the other of the two.
    SideBySide(Option<bool>),
    /// Back to how the run began.
    Reset,
}

/// Shows frames and returns the viewer's commands. It runs on the main thread.
pub trait Screen {
    /// The most pixels across and down that it shows; `None` while nobody watches.
    fn size(&self) -> Option<(u32, u32)>;

    /// Shows a frame.
    ///
    /// # Errors
    /// The frame cannot be drawn.
    fn show(&mut self, view: &ScreenFrame) -> Result<()>;

    /// Shows a message for a few seconds.
    fn tell(&mut self, message: &str);

    /// Shows why no frames arrive, until the next frame.
    fn wait(&mut self, why: &str);

    /// Takes the layers that can be chosen.
    fn offer_layers(&mut self, _: &[String]) {}

    /// Goes back to how it looked at the beginning.
    fn reset(&mut self) {}

    /// Handles events and returns the commands since the last call.
    ///
    /// # Errors
    /// The screen is gone.
    fn poll(&mut self) -> Result<Vec<ViewerCommand>>;
}
