//! Explaining what a segmenter says: one run forward, then one backward for each map.

use ndarray::{Array2, ArrayViewD};
use tracing::trace_span;

use super::attribution::{Aids, Attribution, Source};
use super::explanation::Explanation;
use super::pixels::Pixels;
use super::prediction::{Prediction, Segment, SegmentPrediction};
use super::reading::Explained;
use super::runner::ModelRunner;
use crate::cam::CamMap;
use crate::error::{Error, Result};
use crate::grad::{Segmentation, is_background};
use crate::model::{Area, Region, Subject};

/// A class, and the cells that its score is taken over.
struct Choice {
    class: usize,
    cells: Array2<bool>,
    share: f32,
    margin: Array2<f32>,
}

impl Attribution {
    pub(super) fn explain_segments(
        &self,
        segmentation: &Segmentation,
        model: &mut ModelRunner,
        mut aids: Aids,
        tensor: ArrayViewD<f32>,
        seen: Region,
    ) -> Result<Explanation> {
        let (outputs, mut backward) = model.run_forward(tensor.view(), &[])?;
        let pixels = Pixels::of_outputs(segmentation, &outputs)?;
        let choices = self.choose_segments(&pixels, seen, aids.picture);
        let explained =
            self.focus.and_then(|class| choices.iter().position(|choice| choice.class == class)).unwrap_or(0);
        let own = if self.detections.each { choices.len() } else { 0 };
        let asked: Vec<usize> = std::iter::once(explained).chain(0..own).collect();
        let _making = trace_span!("map").entered();
        let cells_of = |at: usize| choices.get(at).map(|choice| (choice, pixels.seed(choice.class, &choice.cells)));
        let mut maps = Vec::with_capacity(asked.len());
        if self.method.needs().reruns {
            drop((outputs, backward));
            for (choice, seed) in asked.into_iter().filter_map(cells_of) {
                let explained = Explained::Cells { class: choice.class, cells: &choice.cells, seed: &seed };
                maps.push(self.map_of(
                    explained,
                    &mut aids,
                    Source::Rerun { model: &mut *model, tensor: tensor.view() },
                )?);
            }
        } else {
            for (choice, seed) in asked.into_iter().filter_map(cells_of) {
                let explained = Explained::Cells { class: choice.class, cells: &choice.cells, seed: &seed };
                maps.push(self.map_after(&outputs, backward.as_deref_mut(), explained, &mut aids)?);
            }
        }
        let mut maps = maps.into_iter();
        let (rows, columns) = (self.grid.height, self.grid.width);
        let map = maps.next().unwrap_or_else(|| CamMap::new(Array2::zeros((rows, columns))));
        let segment = |choice: Choice| {
            let score = pixels.score(choice.class, &choice.cells);
            let Choice { class, share, margin, .. } = choice;
            let (probability, logit) = (score.probability, score.logit);
            Segment { class_index: class, share, probability, logit, margin, map: maps.next() }
        };
        let segments = choices.into_iter().map(segment).collect();
        let region = self.region(seen, map.values.dim());
        let prediction = Prediction::Segments(SegmentPrediction { segments, explained });
        Ok(Explanation::new(prediction, map, region, seen))
    }

    /// # Errors
    /// The part of the picture that is explained lies outside it.
    pub(super) fn check_area(&self, [width, height]: [f64; 2]) -> Result<()> {
        let outside = |area: &Area| {
            area.x >= width || area.y >= height || area.x + area.width <= 0.0 || area.y + area.height <= 0.0
        };
        match self.area.as_ref().filter(|area| outside(area)) {
            Some(Area { x, y, .. }) => {
                let problem = format!("the region at {x},{y} lies outside the picture of {width}x{height} pixels");
                Err(Error::Conflict(problem))
            }
            None => Ok(()),
        }
    }

    /// The segments that are listed, each with the cells of its score.
    fn choose_segments(&self, pixels: &Pixels, seen: Region, [right, bottom]: [f64; 2]) -> Vec<Choice> {
        let size = pixels.margin(0).dim();
        let (across, down) = (seen.width / size.1 as f64, seen.height / size.0 as f64);
        let corner = |(row, column): (usize, usize)| (seen.x + column as f64 * across, seen.y + row as f64 * down);
        let middle = |cell| {
            let (x, y) = corner(cell);
            (x + across / 2.0, y + down / 2.0)
        };
        // Bars beside the picture are none of its pixels.
        let counted = |cell| {
            let (x, y) = middle(cell);
            (0.0..right).contains(&x) && (0.0..bottom).contains(&y)
        };
        // A part of the picture that holds no cell's middle is the cells that it touches.
        let cells = || (0..size.0).flat_map(|row| (0..size.1).map(move |column| (row, column)));
        let holds = |area: Area, cell| {
            let (x, y) = middle(cell);
            area.contains(x, y)
        };
        let small = self.area.is_some_and(|area| !cells().any(|cell| holds(area, cell)));
        let in_area = |cell| {
            self.area.is_none_or(|area| {
                let (x, y) = corner(cell);
                let touches =
                    x < area.x + area.width && x + across > area.x && y < area.y + area.height && y + down > area.y;
                if small { touches } else { holds(area, cell) }
            })
        };
        let mut ranked = pixels.ranking(|cell| counted(cell) && in_area(cell));
        // What is no object is explained only if there is no other.
        ranked.sort_by_key(|class| self.labels.get(*class).is_some_and(|label| is_background(label)));
        let named: Vec<usize> = self
            .subjects
            .iter()
            .filter_map(|subject| match subject {
                Subject::Class(class) => Some(*class),
                Subject::Rank(rank) => ranked.get(*rank).copied(),
            })
            .collect();
        let listed = if self.subjects.is_empty() { ranked } else { named };
        let total = cells().filter(|cell| counted(*cell)).count();
        let choice = |class: usize| {
            let margin = pixels.margin(class);
            let within = margin.indexed_iter().filter(|(cell, margin)| **margin > 0.0 && counted(*cell)).count();
            let explained = match self.area {
                Some(_) => Array2::from_shape_fn(size, in_area),
                None => margin.mapv(|margin| margin > 0.0),
            };
            Choice { class, cells: explained, share: within as f32 / total.max(1) as f32, margin }
        };
        listed.into_iter().take(self.detections.most).map(choice).collect()
    }
}
