//! Why a model says what it says of a picture.

use std::iter;

use ndarray::{Array2, s};

use super::prediction::{ClassPrediction, DetectionPrediction, Prediction, RankedLabel, SegmentPrediction};
use crate::cam::{self, CamMap, MapCrop};
use crate::error::Result;
use crate::model::{Guess, Region};

/// Why a model says what it says of one picture.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// What the model says, in the form of its task.
    pub prediction: Prediction,
    /// The map of what is explained first.
    pub map: CamMap,
    /// The rectangle that the maps' cells cover, each where its receptive field lies; it may be larger than the picture.
    pub region: Region,
    /// The part of the picture that the model saw.
    pub seen: Region,
}

impl Explanation {
    pub fn new(prediction: Prediction, map: CamMap, region: Region, seen: Region) -> Self {
        Self { prediction, map, region, seen }
    }

    /// Every map, in the order of the request.
    pub fn maps(&self) -> impl Iterator<Item = &CamMap> {
        iter::once(&self.map).chain(self.prediction.other_maps())
    }

    /// Every map, in the order of the request.
    pub fn maps_mut(&mut self) -> impl Iterator<Item = &mut CamMap> {
        iter::once(&mut self.map).chain(self.prediction.other_maps_mut())
    }

    /// The map over the part that the model saw, bilinear, `[height,width]`.
    ///
    /// # Errors
    /// A side is 0.
    pub fn over_input(&self, height: usize, width: usize) -> Result<Array2<f32>> {
        self.map_over_input(&self.map, height, width)
    }

    /// As [`Explanation::over_input`], for another of its maps.
    ///
    /// # Errors
    /// A side is 0.
    pub fn map_over_input(&self, map: &CamMap, height: usize, width: usize) -> Result<Array2<f32>> {
        let [from, over] = self.region.in_cells(&self.seen, map.values.dim());
        cam::crop_map(map.values.view(), &MapCrop { from, over, height, width })
    }

    /// One of its maps over the whole picture of a size in pixels, `[height,width]`, where it is drawn: zero where the model
    /// does not see the picture.
    ///
    /// # Errors
    /// A side is 0.
    pub fn over_picture(&self, map: &CamMap, (width, height): (usize, usize)) -> Result<Array2<f32>> {
        let mut whole = Array2::zeros((height, width));
        let ([left, top, right, bottom], seen) = self.seen.pixels((width as u32, height as u32));
        let [from, over] = self.region.in_cells(&seen, map.values.dim());
        let [left, top, right, bottom] = [left, top, right, bottom].map(|side| side as usize);
        let crop = MapCrop { from, over, height: bottom - top, width: right - left };
        whole.slice_mut(s![top..bottom, left..right]).assign(&cam::crop_map(map.values.view(), &crop)?);
        Ok(whole)
    }

    /// The same of the picture at another size: `across` and `down` times as large.
    #[must_use]
    pub fn scaled(&self, across: f64, down: f64) -> Self {
        let mut scaled = self.clone();
        let boxes = scaled.prediction.bounds_mut();
        for region in boxes.into_iter().chain([&mut scaled.region, &mut scaled.seen]) {
            (region.x, region.width) = (region.x * across, region.width * across);
            (region.y, region.height) = (region.y * down, region.height * down);
        }
        scaled
    }

    /// The middle of the map's hottest cell on the picture, `[x,y]` in pixels; `None` for a map without evidence.
    pub fn hottest(&self) -> Option<[f64; 2]> {
        let CamMap { values, evidence, .. } = &self.map;
        let ((row, column), _) = values.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).filter(|_| *evidence)?;
        let Region { x, y, width, height } = self.region;
        let middle = |cell: usize, cells: usize| (cell as f64 + 0.5) / cells as f64;
        Some([x + middle(column, values.ncols()) * width, y + middle(row, values.nrows()) * height])
    }

    /// A line of text for each map, in the same order.
    pub fn captions(&self, context: &ExplanationContext) -> Vec<String> {
        self.prediction.captions(&self.map, context)
    }

    /// The likeliest answers, first to last.
    pub fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        self.prediction.ranking(context)
    }

    /// What the model finds; `None` for another task than detection.
    pub fn detections(&self) -> Option<&DetectionPrediction> {
        self.prediction.detections()
    }

    /// What the model says of each pixel; `None` for another task than segmentation.
    pub fn segments(&self) -> Option<&SegmentPrediction> {
        self.prediction.segments()
    }

    /// What the model says of the classes; `None` for a task without classes.
    pub fn classes(&self) -> Option<&ClassPrediction> {
        self.prediction.classes()
    }
}

/// What stays the same from picture to picture.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExplanationContext {
    /// The name of the task.
    pub task: &'static str,
    pub model: String,
    pub layer: String,
    /// How far the cells of the layer were moved, `[x, y]` in pixels of the input, as the manifest says.
    pub shift: Option<[f32; 2]>,
    pub method: String,
    pub labels: Vec<String>,
    /// The unit of the map's numbers.
    pub unit: &'static str,
    /// The class that the explained one is set against.
    pub against: Option<usize>,
    /// How pictures are preprocessed, if that was guessed.
    pub guess: Option<Guess>,
    /// What a user should know of how the explanation is made.
    pub notices: Vec<String>,
}

impl ExplanationContext {
    /// The name of a class or value, or its number where the model has no labels.
    pub fn label(&self, class_index: usize) -> String {
        let numbered = || format!("{} {class_index}", if self.task == "value" { "value" } else { "class" });
        self.labels.get(class_index).cloned().unwrap_or_else(numbered)
    }
}
