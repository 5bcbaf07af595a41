//! Are the maps of a detector faithful? Without ground truth: each box that is found is judged by its score while pixels
//! are inserted and deleted, and by the share of the map's energy within it.

use std::iter;
use std::path::Path;

use image::RgbImage;
use ndarray::{Array2, ArrayD, ArrayView3};

use super::insertion_deletion::{area_under, insertion_deletion};
use super::parallel::parallel_map;
use super::plan::Plan;
use super::randomisation::Sanity;
use super::trial::{Trial, to_unit};
use crate::cam::{CamMap, Method};
use crate::error::{Error, Result};
use crate::explain::{DetectedObject, Detector, Explainer, Explanation, PlainModel};
use crate::media::Report;
use crate::model::{Request, as_input};
use crate::source::{self, Input};

/// The measures of a detector on pictures.
pub struct DetectionEvaluation {
    pub model: String,
    /// The number of pictures that were read.
    pub pictures: usize,
    pub methods: Vec<DetectionMeasures>,
    /// Pictures that could not be read and were left out.
    pub unread: Vec<Error>,
}

/// The measures of one method, as means over detections.
pub struct DetectionMeasures {
    pub method: &'static str,
    pub layer: String,
    /// The number of detections that were measured.
    pub detections: usize,
    /// The area under the curve of [`Detector::certainty`] while pixels are inserted, as a share of that of the whole
    /// picture.
    pub insertion: f32,
    /// The same while pixels are deleted.
    pub deletion: f32,
    /// The share of the map's energy within the box, 0..=1.
    pub energy_inside: f32,
    /// The share of the picture within the box, which a map without any knowledge reaches.
    pub box_share: f32,
    /// `None` if nothing was found.
    pub sanity: Option<Sanity>,
}

/// The most detections of a picture that are measured, best first.
const MOST_OF_A_PICTURE: usize = 4;

/// What is found in a picture.
struct PictureMeasures {
    explanation: Explanation,
    /// Insertion, deletion, energy within the box and share of the box, of each detection.
    values: Vec<[f32; 4]>,
}

/// A picture as the model takes it, with what is found in it.
struct SanityCase {
    input: ArrayD<f32>,
    explanation: Explanation,
}

/// Measures the maps of each method on the pictures of a folder. `detector` is the first worker's model. `report` gets the
/// progress, 0..=1.
///
/// # Errors
/// The folder has no pictures, or the model cannot be read again for another worker or fails.
pub fn evaluate_detections(
    folder: &Path,
    plan: &Plan,
    detector: Detector,
    mut report: impl FnMut(f32),
) -> Result<DetectionEvaluation> {
    let (pictures, unread) = read_pictures(folder, plan)?;
    let others = (1..plan.workers).map(|_| Detector::new(PlainModel::new(&plan.options)?));
    let mut detectors = iter::once(Ok(detector)).chain(others).collect::<Result<Vec<_>>>()?;
    let mut methods = Vec::with_capacity(plan.methods.len());
    for (number, method) in plan.methods.iter().enumerate() {
        let mut part = |share: f32| report((number as f32 + share) / plan.methods.len() as f32);
        methods.push(measure(plan, method, &mut detectors, &pictures, &mut part)?);
    }
    let model = detectors.swap_remove(0).name;
    Ok(DetectionEvaluation { model, pictures: pictures.len(), methods, unread })
}

/// The pictures of a folder, evenly thinned to the size of the sample.
fn read_pictures(folder: &Path, plan: &Plan) -> Result<(Vec<RgbImage>, Vec<Error>)> {
    let listed = source::list_inputs(&[Input::file(folder)], &Report::silent())?;
    let paths: Vec<_> = listed.into_iter().filter_map(|input| input.path).collect();
    let sample = plan.sample.min(paths.len());
    let (mut pictures, mut unread) = (Vec::new(), Vec::new());
    for path in (0..sample).map(|number| &paths[number * paths.len() / sample]) {
        let report = Report::silent();
        let frame = source::open(&Input::file(path), 1, &report).and_then(|mut source| source.next_frame());
        match frame {
            Ok(Some(frame)) if !report.has_damage() => pictures.push(frame.picture.into_image()),
            Ok(_) => unread.push(Error::input(path, "it is damaged, so it does not count")),
            Err(error) => unread.push(error),
        }
    }
    if pictures.is_empty() {
        return Err(unread.into_iter().next().unwrap_or_else(|| Error::input(folder, "no pictures are in it")));
    }
    Ok((pictures, unread))
}

fn measure(
    plan: &Plan,
    method: &'static Method,
    detectors: &mut [Detector],
    pictures: &[RgbImage],
    report: &mut dyn FnMut(f32),
) -> Result<DetectionMeasures> {
    let mut request = Request { method: Some(method), ..plan.request.clone() };
    request.detections.each = true;
    request.detections.most = request.detections.most.min(MOST_OF_A_PICTURE);
    let explainers = detectors.iter().map(|_| Explainer::new(&plan.options, &request)).collect::<Result<Vec<_>>>()?;
    let layer = explainers[0].context().layer.clone();
    let mut workers: Vec<_> = explainers.into_iter().zip(&mut *detectors).collect();
    let mut done = 0.0;
    let tell = |_: &PictureMeasures| {
        done += 1.0;
        report(0.9 * done / pictures.len() as f32);
        Ok(())
    };
    let work = |(explainer, detector): &mut (Explainer, &mut Detector), picture: &RgbImage| {
        of_picture(plan, explainer, detector, picture)
    };
    let measured = parallel_map(&mut workers, pictures, work, tell)?;
    let of_detections: Vec<_> = measured.iter().flat_map(|measured| &measured.values).collect();
    let detections = of_detections.len();
    let mean = |at: usize| of_detections.iter().map(|values| values[at]).sum::<f32>() / detections.max(1) as f32;
    let [insertion, deletion, energy_inside, box_share] = [0, 1, 2, 3].map(mean);
    let sanity = if detections == 0 || method.reruns_for_scores() || plan.sanity == 0 {
        None
    } else {
        let found = pictures.iter().zip(measured).filter(|(_, measured)| !measured.values.is_empty());
        let detector = &mut detectors[0];
        let case = |(picture, measured): (&RgbImage, PictureMeasures)| {
            let input = detector.preprocess(picture)?;
            let input = as_input(input.view(), detector.channels_last());
            Ok(SanityCase { input, explanation: measured.explanation })
        };
        let cases = found.take(plan.sanity).map(case).collect::<Result<Vec<_>>>()?;
        Some(sanity(plan, &request, &cases)?)
    };
    Ok(DetectionMeasures {
        method: method.name,
        layer,
        detections,
        insertion,
        deletion,
        energy_inside,
        box_share,
        sanity,
    })
}

/// Explains a picture, and measures the map of each detection.
fn of_picture(
    plan: &Plan,
    explainer: &mut Explainer,
    detector: &mut Detector,
    picture: &RgbImage,
) -> Result<PictureMeasures> {
    let input = detector.preprocess(picture)?;
    let explanation = explainer.explain_tensor(as_input(input.view(), detector.channels_last()).view())?;
    let mut values = Vec::new();
    for object in explanation.detections().iter().flat_map(|found| &found.detections) {
        if let Some(map) = &object.map {
            values.push(of_detection(plan, detector, input.view(), &explanation, object, map)?);
        }
    }
    Ok(PictureMeasures { explanation, values })
}

/// Insertion, deletion, energy within the box and share of the box.
fn of_detection(
    plan: &Plan,
    detector: &mut Detector,
    input: ArrayView3<f32>,
    explanation: &Explanation,
    object: &DetectedObject,
    map: &CamMap,
) -> Result<[f32; 4]> {
    let (_, height, width) = input.dim();
    let blank = detector.input_spec().grey();
    let enlarged = explanation.map_over_input(map, height, width)?.mapv(|value| value.max(0.0));
    let bounds = bounds_of(object);
    let (inside, share) = energy_inside(&enlarged, bounds);
    let class = object.class_index;
    let score = detector.certainty(input, class, bounds)?;
    let unit = to_unit(enlarged);
    let mut trial = Trial {
        input,
        map: unit.view(),
        blank: &blank,
        score,
        classify: &mut |changed| detector.certainty(changed, class, bounds),
        explain: &mut |_| Ok(Array2::zeros((height, width))),
    };
    let curves = insertion_deletion(&mut trial, plan.steps)?;
    let area = |curve: &[f32]| area_under(curve) / score.max(f32::MIN_POSITIVE);
    Ok([area(&curves.insertion), area(&curves.deletion), inside, share])
}

/// Left, top, right and bottom in pixels of the input, for an explanation of the input itself.
fn bounds_of(object: &DetectedObject) -> [f32; 4] {
    let bounds = &object.bounds;
    [bounds.x, bounds.y, bounds.x + bounds.width, bounds.y + bounds.height].map(|side| side as f32)
}

/// The share of a map's energy within a box, and the share of its area (the measure of Wang et al., *Score-CAM*, CVPR
/// Workshops 2020, section 4.3: the energy-based pointing game).
fn energy_inside(map: &Array2<f32>, [left, top, right, bottom]: [f32; 4]) -> (f32, f32) {
    let within = |at: usize, low: f32, high: f32| (low..high).contains(&(at as f32 + 0.5));
    let (mut inside, mut all, mut pixels) = (0.0_f64, 0.0_f64, 0_usize);
    for ((y, x), value) in map.indexed_iter() {
        all += f64::from(*value);
        if within(x, left, right) && within(y, top, bottom) {
            inside += f64::from(*value);
            pixels += 1;
        }
    }
    let share = pixels as f32 / map.len().max(1) as f32;
    (if all > 0.0 { (inside / all) as f32 } else { 0.0 }, share)
}

/// How similar the maps of the same entries stay as weights are randomised, from the logits down.
fn sanity(plan: &Plan, request: &Request, cases: &[SanityCase]) -> Result<Sanity> {
    Sanity::of(&plan.options, request, plan.seed, plan.workers, |explainer| {
        let mut pairs = Vec::with_capacity(cases.len());
        for SanityCase { input, explanation } in cases {
            let best = explanation.detections().and_then(|found| found.detections.first());
            let Some((object, map)) = best.and_then(|object| Some((object, object.map.as_ref()?))) else { continue };
            pairs.push((&map.values, explainer.map_of_entry(input.view(), object.entry)?.values));
        }
        Ok(pairs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_counts_where_it_lies() {
        let mut map = Array2::zeros((4, 4));
        (map[[0, 0]], map[[3, 3]]) = (3.0, 1.0);
        assert_eq!(energy_inside(&map, [0.0, 0.0, 2.0, 2.0]), (0.75, 0.25));
        assert_eq!(energy_inside(&Array2::zeros((2, 2)), [0.0, 0.0, 2.0, 2.0]), (0.0, 1.0));
    }
}
