//! Drawn flowers that sway and change kind: a source without hardware or files.

use std::f32::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::interface::Source;
use crate::error::{Error, Result};
use crate::media::{Frame, Medium, MediumKind, Pool, Time, TimeBase};

/// The time before the next kind of flower.
const SECONDS_PER_KIND: f32 = 3.0;

/// Drawn flowers.
pub struct PatternSource {
    medium: Arc<Medium>,
    /// Frames per second.
    rate: u32,
    canvas: Pixmap,
    pool: Pool,
    index: u64,
    /// When the first frame was drawn, if `paced`.
    started: Option<Instant>,
    /// Whether each frame waits for its time.
    paced: bool,
    frames: Option<u64>,
}

impl PatternSource {
    /// Draws pictures of the given width and height, `rate` per second: in real time if `paced`, otherwise as fast as
    /// they are read. `None` draws without an end.
    ///
    /// # Errors
    /// The size or the rate is zero or too large.
    pub fn new((width, height): (u32, u32), rate: u32, paced: bool, frames: Option<u64>) -> Result<Self> {
        let canvas = Pixmap::new(width, height);
        let canvas = canvas.ok_or_else(|| Error::input("drawn flowers", format!("cannot draw {width}x{height}")))?;
        let denominator = i32::try_from(rate).ok().filter(|rate| *rate > 0);
        let denominator = denominator
            .ok_or_else(|| Error::input("drawn flowers", format!("cannot draw {rate} frames per second")))?;
        let medium = Medium {
            name: "drawn flowers".into(),
            path: None,
            address: None,
            kind: MediumKind::Live,
            width,
            height,
            time_base: TimeBase { numerator: 1, denominator },
        };
        Ok(Self {
            medium: Arc::new(medium),
            rate,
            canvas,
            pool: Pool::default(),
            index: 0,
            started: None,
            paced,
            frames,
        })
    }

    fn wait_until_due(&mut self) {
        let started = *self.started.get_or_insert_with(Instant::now);
        let due = started + Duration::from_micros(self.index * 1_000_000 / u64::from(self.rate));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

impl Source for PatternSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.frames.is_some_and(|frames| self.index >= frames) {
            return Ok(None);
        }
        if self.paced {
            self.wait_until_due();
        }
        let seconds = self.index as f32 / self.rate as f32;
        draw_scene(&mut self.canvas, seconds);
        let mut picture = self.pool.picture(self.medium.width, self.medium.height);
        let drawn = self.canvas.data().as_chunks::<4>().0;
        for (pixel, [red, green, blue, _]) in picture.as_chunks_mut::<3>().0.iter_mut().zip(drawn) {
            *pixel = [*red, *green, *blue];
        }
        let time = Time { ticks: self.index as i64, base: self.medium.time_base };
        let frame = Frame::now(&self.medium, self.index, time, picture);
        self.index += 1;
        Ok(Some(frame))
    }

    fn frame_count(&self) -> Option<u64> {
        self.frames
    }
}

fn draw_scene(canvas: &mut Pixmap, seconds: f32) {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    let unit = width.min(height);
    meadow(canvas, width, height);
    let sway = (seconds * 1.3).sin();
    let root = (width * 0.5, height * 1.02);
    let head = (width * (0.5 + 0.16 * sway), height * (0.42 + 0.03 * (seconds * 2.1).cos()));
    stem(canvas, root, head, unit);
    let rotation = Transform::from_rotate_at(14.0 * sway, head.0, head.1);
    let kind = (seconds / SECONDS_PER_KIND) as usize % 5;
    let radius = unit * 0.3;
    match kind {
        0 => daisy(canvas, head, radius, rotation),
        1 => sunflower(canvas, head, radius, rotation),
        2 => rose(canvas, head, radius, rotation),
        3 => dandelion(canvas, head, radius, rotation),
        _ => tulip(canvas, head, radius, rotation),
    }
}

fn paint(rgb: [u8; 3]) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(Color::from_rgba8(rgb[0], rgb[1], rgb[2], 255));
    paint.anti_alias = true;
    paint
}

/// A dark green gradient as the background.
fn meadow(canvas: &mut Pixmap, width: f32, height: f32) {
    const BANDS: u8 = 32;
    for band in 0..BANDS {
        let top = height * f32::from(band) / f32::from(BANDS);
        let green = [38 + band, 74 + band, 36 + band / 2];
        if let Some(rect) = Rect::from_xywh(0.0, top, width, height / f32::from(BANDS) + 1.0) {
            canvas.fill_rect(rect, &paint(green), Transform::identity(), None);
        }
    }
}

fn stem(canvas: &mut Pixmap, root: (f32, f32), head: (f32, f32), unit: f32) {
    let mut path = PathBuilder::new();
    path.move_to(root.0, root.1);
    path.quad_to(root.0, f32::midpoint(root.1, head.1), head.0, head.1);
    if let Some(path) = path.finish() {
        let stroke = Stroke { width: unit * 0.035, ..Stroke::default() };
        canvas.stroke_path(&path, &paint([70, 130, 52]), &stroke, Transform::identity(), None);
    }
    let leaf_at = (f32::midpoint(root.0, head.0), f32::midpoint(root.1, head.1) + unit * 0.12);
    for side in [-1.0, 1.0] {
        petal(canvas, leaf_at, side * 0.19 * TAU, unit * 0.26, unit * 0.05, [84, 148, 60], Transform::identity());
    }
}

/// A petal from `centre` outwards; `angle` 0 points up.
fn petal(
    canvas: &mut Pixmap,
    centre: (f32, f32),
    angle: f32,
    length: f32,
    breadth: f32,
    rgb: [u8; 3],
    rotation: Transform,
) {
    let (sin, cos) = angle.sin_cos();
    let at = |along: f32, across: f32| (centre.0 + along * sin + across * cos, centre.1 - along * cos + across * sin);
    let mut path = PathBuilder::new();
    path.move_to(centre.0, centre.1);
    let (left, right, tip) = (at(length * 0.65, -breadth * 1.4), at(length * 0.65, breadth * 1.4), at(length, 0.0));
    path.quad_to(left.0, left.1, tip.0, tip.1);
    path.quad_to(right.0, right.1, centre.0, centre.1);
    path.close();
    if let Some(path) = path.finish() {
        canvas.fill_path(&path, &paint(rgb), FillRule::Winding, rotation, None);
        let edge = rgb.map(|channel| channel / 5 * 4);
        let stroke = Stroke { width: length * 0.012, ..Stroke::default() };
        canvas.stroke_path(&path, &paint(edge), &stroke, rotation, None);
    }
}

fn disc(canvas: &mut Pixmap, centre: (f32, f32), radius: f32, rgb: [u8; 3], rotation: Transform) {
    if let Some(path) = PathBuilder::from_circle(centre.0, centre.1, radius) {
        canvas.fill_path(&path, &paint(rgb), FillRule::Winding, rotation, None);
    }
}

/// Seeds of a flower's disc, each at the golden angle to the one before it (Vogel 1979).
fn seeds(canvas: &mut Pixmap, centre: (f32, f32), radius: f32, rgb: [u8; 3], rotation: Transform) {
    const GOLDEN_ANGLE: f32 = 2.399_963;
    for seed in 0..90 {
        let (sin, cos) = (seed as f32 * GOLDEN_ANGLE).sin_cos();
        let distance = radius * 0.93 * (seed as f32 / 90.0).sqrt();
        let at = (centre.0 + distance * cos, centre.1 + distance * sin);
        disc(canvas, at, radius * 0.055, rgb, rotation);
    }
}

fn ring(
    canvas: &mut Pixmap,
    centre: (f32, f32),
    count: u8,
    shape: (f32, f32),
    rgb: [u8; 3],
    offset: f32,
    rotation: Transform,
) {
    for each in 0..count {
        let angle = (f32::from(each) + offset) / f32::from(count) * TAU;
        petal(canvas, centre, angle, shape.0, shape.1, rgb, rotation);
    }
}

fn daisy(canvas: &mut Pixmap, centre: (f32, f32), radius: f32, rotation: Transform) {
    ring(canvas, centre, 18, (radius, radius * 0.13), [226, 226, 232], 0.5, rotation);
    ring(canvas, centre, 18, (radius * 0.95, radius * 0.13), [248, 248, 250], 0.0, rotation);
    disc(canvas, centre, radius * 0.27, [240, 190, 30], rotation);
    seeds(canvas, centre, radius * 0.27, [206, 146, 16], rotation);
}

fn sunflower(canvas: &mut Pixmap, centre: (f32, f32), radius: f32, rotation: Transform) {
    ring(canvas, centre, 20, (radius * 1.1, radius * 0.14), [232, 160, 14], 0.5, rotation);
    ring(canvas, centre, 20, (radius, radius * 0.14), [250, 200, 30], 0.0, rotation);
    disc(canvas, centre, radius * 0.48, [70, 42, 20], rotation);
    seeds(canvas, centre, radius * 0.48, [124, 80, 34], rotation);
}

/// Round petals with dark seams between them, each ring smaller and turned by the golden angle, around a bud.
fn rose(canvas: &mut Pixmap, centre: (f32, f32), radius: f32, rotation: Transform) {
    for each in 0..5u8 {
        let angle = f32::from(each) / 5.0 * TAU + 0.3;
        petal(canvas, centre, angle, radius * 1.12, radius * 0.14, [70, 120, 50], rotation);
    }
    for layer in 0..8u8 {
        let reach = radius * (1.0 - f32::from(layer) * 0.115);
        let shade = 226 - layer * 13;
        for each in 0..5u8 {
            let (sin, cos) = (f32::from(layer) * 2.4 + f32::from(each) / 5.0 * TAU).sin_cos();
            let at = (centre.0 + reach * 0.46 * cos, centre.1 + reach * 0.46 * sin);
            disc(canvas, at, reach * 0.52, [shade / 2, 6, 22], rotation);
            let lit = (at.0 + reach * 0.03 * cos, at.1 + reach * 0.03 * sin);
            disc(canvas, lit, reach * 0.48, [shade, 28 + layer * 2, 58], rotation);
        }
    }
    disc(canvas, centre, radius * 0.09, [90, 4, 20], rotation);
}

fn dandelion(canvas: &mut Pixmap, centre: (f32, f32), radius: f32, rotation: Transform) {
    for (layer, rgb) in [[222, 170, 8], [240, 194, 14], [250, 212, 30], [255, 226, 60]].into_iter().enumerate() {
        let reach = radius * (1.0 - 0.22 * layer as f32);
        ring(canvas, centre, 44, (reach, reach * 0.045), rgb, 0.37 * layer as f32, rotation);
    }
}

fn tulip(canvas: &mut Pixmap, centre: (f32, f32), radius: f32, rotation: Transform) {
    let foot = (centre.0, centre.1 + radius * 0.75);
    petal(canvas, foot, 0.0, radius * 1.75, radius * 0.62, [190, 30, 66], rotation);
    petal(canvas, foot, -0.07 * TAU, radius * 1.7, radius * 0.5, [222, 44, 84], rotation);
    petal(canvas, foot, 0.07 * TAU, radius * 1.7, radius * 0.5, [222, 44, 84], rotation);
    petal(canvas, foot, 0.0, radius * 1.45, radius * 0.42, [240, 74, 112], rotation);
}
