//! From a picture to the model's input, and from the map back to the picture.

use fast_image_resize::images::CroppedImageMut;
use fast_image_resize::{FilterType, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use image::RgbImage;
use ndarray::{Array4, ArrayD, ArrayView3, ArrayViewD, Axis, Ix3, Zip};

use super::manifest::{Colour, Fit, InputSpec, Layout, Resample};
use crate::error::{Error, Result};
use crate::grad::FieldGeometry;

/// A rectangle on a frame, in pixels. The rectangle that the model's input covers is larger than the frame if the input
/// is letterboxed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Region {
    /// The whole pixels of it on a picture of a size: `[left, top, right, bottom]`, and the same as a region.
    pub fn pixels(&self, (width, height): (u32, u32)) -> ([u32; 4], Self) {
        let left = (self.x.max(0.0).round() as u32).min(width.saturating_sub(1));
        let top = (self.y.max(0.0).round() as u32).min(height.saturating_sub(1));
        let right = ((self.x + self.width).round() as u32).clamp(left + 1, width.max(left + 1));
        let bottom = ((self.y + self.height).round() as u32).clamp(top + 1, height.max(top + 1));
        let [x, y, across, down] = [left, top, right - left, bottom - top].map(f64::from);
        ([left, top, right, bottom], Self { x, y, width: across, height: down })
    }

    /// The part of a frame of this size that the model's input covers. Its pixels are shown `aspect` times as wide as high.
    pub fn of(spec: &InputSpec, width: u32, height: u32, aspect: f64) -> Self {
        let shown = Self::of_shown(spec, f64::from(width) * aspect, f64::from(height));
        Self { x: shown.x / aspect, width: shown.width / aspect, ..shown }
    }

    /// As [`Region::of`], for a frame of square pixels.
    fn of_shown(spec: &InputSpec, width: f64, height: f64) -> Self {
        let (input_width, input_height) = (spec.width as f64, spec.height as f64);
        let scale = match spec.fit {
            Fit::Stretch => return Self { x: 0.0, y: 0.0, width, height },
            Fit::Crop => (width / input_width).min(height / input_height) * f64::from(spec.crop),
            Fit::Letterbox | Fit::Corner => (width / input_width).max(height / input_height),
        };
        let (covered_width, covered_height) = (input_width * scale, input_height * scale);
        let before = if spec.fit == Fit::Corner { 0.0 } else { 0.5 };
        Self {
            x: (width - covered_width) * before,
            y: (height - covered_height) * before,
            width: covered_width,
            height: covered_height,
        }
    }

    /// All of a model's input, for a tensor that is the input itself.
    pub fn whole(spec: &InputSpec) -> Self {
        Self { x: 0.0, y: 0.0, width: spec.width as f64, height: spec.height as f64 }
    }

    /// The part of the frame that the cells of a map cover, if the input `[height, width]` covers this region.
    #[must_use]
    pub fn of_map(&self, geometry: &FieldGeometry, map: (usize, usize), input: [usize; 2]) -> Self {
        let [y, x] = geometry.corner();
        let [height, width] = [geometry.stride[0] * map.0 as f64, geometry.stride[1] * map.1 as f64];
        let (down, across) = (self.height / input[0] as f64, self.width / input[1] as f64);
        Self { x: self.x + x * across, y: self.y + y * down, width: width * across, height: height * down }
    }

    /// Where a box of left, top, right and bottom in pixels of the input `[height, width]` lies on the frame, if the input
    /// covers this region.
    #[must_use]
    pub fn of_bounds(&self, bounds: [f32; 4], input: [usize; 2]) -> Self {
        let [left, top, right, bottom] = bounds.map(f64::from);
        let (across, down) = (self.width / input[1] as f64, self.height / input[0] as f64);
        let (width, height) = ((right - left) * across, (bottom - top) * down);
        Self { x: self.x + left * across, y: self.y + top * down, width, height }
    }

    /// A part of the frame in cells of a map that covers this region: `[row, column]` of its upper left corner, and its
    /// size `[rows, columns]`.
    pub fn in_cells(&self, part: &Self, map: (usize, usize)) -> [[f64; 2]; 2] {
        let (down, across) = (map.0 as f64 / self.height, map.1 as f64 / self.width);
        [[(part.y - self.y) * down, (part.x - self.x) * across], [part.height * down, part.width * across]]
    }

    /// The part of the input that the frame fills: x, y, width and height as shares of the input.
    pub fn filled(&self, width: u32, height: u32) -> [f64; 4] {
        let left = (-self.x / self.width).max(0.0);
        let top = (-self.y / self.height).max(0.0);
        let right = ((f64::from(width) - self.x) / self.width).min(1.0);
        let bottom = ((f64::from(height) - self.y) / self.height).min(1.0);
        [left, top, right - left, bottom - top]
    }
}

/// Turns pictures into the model's input, and reuses its buffers.
pub struct Preprocessor {
    spec: InputSpec,
    resizer: Resizer,
    resized: RgbImage,
    tensor: Array4<f32>,
    /// The number in the tensor for each level of each channel.
    values: Vec<[f32; 256]>,
}

impl Preprocessor {
    pub fn new(spec: InputSpec) -> Self {
        let (w, h) = (spec.width, spec.height);
        let tensor = match spec.layout {
            Layout::ChannelsFirst => Array4::zeros((1, spec.channels, h, w)),
            Layout::ChannelsLast => Array4::zeros((1, h, w, spec.channels)),
        };
        let value = |channel: usize, level: usize| (level as f32 * spec.scale - spec.mean[channel]) / spec.std[channel];
        let values = (0..spec.channels).map(|channel| std::array::from_fn(|level| value(channel, level))).collect();
        Self { spec, resizer: Resizer::new(), resized: RgbImage::new(w as u32, h as u32), tensor, values }
    }

    pub fn spec(&self) -> &InputSpec {
        &self.spec
    }

    /// The input for a picture, `[1,C,h,w]` or `[1,h,w,C]`, resized with antialiasing, and the part of the
    /// picture that it covers. Its pixels are shown `aspect` times as wide as high.
    ///
    /// # Errors
    /// The picture is empty.
    pub fn run(&mut self, picture: &RgbImage, aspect: f64) -> Result<(ArrayViewD<'_, f32>, Region)> {
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::input("picture", format!("it has {width}x{height} pixels")));
        }
        let region = Region::of(&self.spec, width, height, aspect);
        self.resize(picture, &region).map_err(|e| {
            Error::input("picture", format!("cannot resize {width}x{height} to the model's input: {e}"))
        })?;
        let InputSpec { channels, colour, layout, .. } = self.spec;
        let axis = if layout == Layout::ChannelsFirst { Axis(1) } else { Axis(3) };
        let pixels = self.resized.as_raw().as_chunks::<3>().0;
        for (channel, (plane, values)) in self.tensor.axis_iter_mut(axis).zip(&self.values).enumerate() {
            let at = if colour == Colour::Rgb { channel } else { 2 - channel };
            let level = |pixel: &[u8; 3]| if channels == 1 { luma(*pixel) } else { pixel[at] };
            // Several times as fast as the iterator of a plane.
            let pixels = ArrayView3::from_shape(plane.raw_dim(), pixels).map_err(|e| Error::input("picture", e))?;
            Zip::from(plane).and(pixels).for_each(|value, pixel| *value = values[usize::from(level(pixel))]);
        }
        Ok((self.tensor.view().into_dyn(), region))
    }

    fn resize(&mut self, picture: &RgbImage, region: &Region) -> Result<(), ResizeError> {
        let (width, height) = picture.dimensions();
        let filter = match self.spec.resample {
            Resample::Bilinear => FilterType::Bilinear,
            Resample::Bicubic => FilterType::CatmullRom,
        };
        let resized = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
        if !matches!(self.spec.fit, Fit::Letterbox | Fit::Corner) {
            // Rounding may put an edge beyond that of the picture, which is refused.
            let within = |from: f64, over: f64, side: u32| {
                let from = from.max(0.0);
                (from, over.min(f64::from(side) - from))
            };
            let (left, across) = within(region.x, region.width, width);
            let (top, down) = within(region.y, region.height, height);
            let options = resized.crop(left, top, across, down);
            return self.resizer.resize(picture, &mut self.resized, &options);
        }
        let [left, top, share_width, share_height] = region.filled(width, height);
        let pixels = |share: f64, side: usize| (share * side as f64).round() as u32;
        let fit_width = pixels(share_width, self.spec.width).clamp(1, self.resized.width());
        let fit_height = pixels(share_height, self.spec.height).clamp(1, self.resized.height());
        self.resized.fill(self.spec.bars);
        // Rounding may put an edge beyond that of the input.
        let x = pixels(left, self.spec.width).min(self.resized.width() - fit_width);
        let y = pixels(top, self.spec.height).min(self.resized.height() - fit_height);
        let mut fitted = CroppedImageMut::new(&mut self.resized, x, y, fit_width, fit_height)?;
        self.resizer.resize(picture, &mut fitted, &resized)
    }
}

/// The luma of a pixel by ITU-R BT.601, rounded, as Pillow, `OpenCV`, torchvision and TensorFlow compute it.
fn luma(pixel: [u8; 3]) -> u8 {
    let [red, green, blue] = pixel.map(u32::from);
    ((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8
}

/// A model's input for one picture, `[1,C,h,w]` or with `channels_last` `[1,h,w,C]`, as `[C,h,w]`.
///
/// # Errors
/// It has another number of axes.
pub fn channels_first(input: ArrayViewD<'_, f32>, channels_last: bool) -> Result<ArrayView3<'_, f32>> {
    let picture = input.index_axis_move(Axis(0), 0).into_dimensionality::<Ix3>();
    let picture = picture.map_err(|e| Error::model("input", e))?;
    Ok(if channels_last { picture.permuted_axes([2, 0, 1]) } else { picture })
}

/// The inverse of [`channels_first`].
pub fn as_input(picture: ArrayView3<f32>, channels_last: bool) -> ArrayD<f32> {
    let picture = if channels_last { picture.permuted_axes([1, 2, 0]) } else { picture };
    picture.insert_axis(Axis(0)).as_standard_layout().into_owned().into_dyn()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    #[test]
    fn pictures_of_every_pixel_aspect_are_resized() {
        let mut spec = Preset::Unit.input(384, 384, Layout::ChannelsFirst);
        for fit in [Fit::Stretch, Fit::Crop, Fit::Letterbox, Fit::Corner] {
            (spec.fit, spec.crop) = (fit, 1.0);
            let mut preprocessor = Preprocessor::new(spec.clone());
            for (width, height, aspect) in [
                (704, 576, 118.0 / 81.0),
                (640, 480, 8.0 / 9.0),
                (480, 576, 16.0 / 11.0),
                (360, 640, 59.0 / 54.0),
                (1, 1, 1.0 / 3.0),
            ] {
                let made = preprocessor.run(&RgbImage::new(width, height), aspect);
                assert!(made.is_ok(), "{fit:?} {width}x{height} at {aspect}: {:?}", made.err());
            }
            assert!(preprocessor.run(&RgbImage::new(0, 3), 1.0).is_err());
        }
    }
}
