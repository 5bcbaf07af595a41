//! The evaluation as one JSON object.

use serde_json::{Value, json};
use whycam::evaluate::{DetectionEvaluation, DetectionMeasures, Evaluation, FilmMotion, Measured};
use whycam::plumbing::name_of;

pub fn json(evaluation: &Evaluation) -> Value {
    let Evaluation { model, labels, photos, confusion, reliability, calibration_error, methods, .. } = evaluation;
    json!({
        "model": model,
        "photos": photos,
        "labels": labels,
        "accuracy": confusion.accuracy(),
        "calibration_error": calibration_error,
        "confusion": confusion.counts,
        "reliability": reliability.iter()
            .map(|bin| json!({ "count": bin.count, "confidence": bin.confidence, "accuracy": bin.accuracy }))
            .collect::<Vec<_>>(),
        "methods": methods.iter().map(method).collect::<Vec<_>>(),
    })
}

fn method(measured: &Measured) -> Value {
    let values = measured.faithfulness;
    json!({
        "method": measured.method,
        "layer": measured.layer,
        "photos": measured.photos,
        "insertion": values.insertion,
        "deletion": values.deletion,
        "average_drop": values.average_drop,
        "increase": values.increase,
        "adcc": values.adcc,
        "arcc": values.arcc,
        "road": values.road,
        "stability": values.stability,
        "grid_pointing": values.grid_pointing,
        "displacement": measured.displacement.map(|found| json!({ "pixels": found.pixels, "error": found.error })),
        "sanity": measured.sanity.as_ref().map(|sanity| json!({
            "shares": sanity.shares,
            "similarity": sanity.similarity,
        })),
        "insertion_curve": measured.curves.insertion,
        "deletion_curve": measured.curves.deletion,
        "films": measured.films.iter().map(film).collect::<Vec<_>>(),
    })
}

fn film(film: &FilmMotion) -> Value {
    json!({
        "film": name_of(&film.film),
        "frames": film.frames,
        "damaged": film.damaged,
        "flicker": film.single.flicker,
        "flicker_steady": film.smoothed.flicker,
        "lag_frames_steady": film.smoothed.lag,
    })
}

pub fn of_detections(evaluation: &DetectionEvaluation) -> Value {
    let method = |measured: &DetectionMeasures| {
        json!({
            "method": measured.method,
            "layer": measured.layer,
            "detections": measured.detections,
            "insertion": measured.insertion,
            "deletion": measured.deletion,
            "energy_inside": measured.energy_inside,
            "box_share": measured.box_share,
            "sanity": measured.sanity.as_ref().map(|sanity| json!({
                "shares": sanity.shares,
                "similarity": sanity.similarity,
            })),
        })
    };
    json!({
        "model": evaluation.model,
        "pictures": evaluation.pictures,
        "methods": evaluation.methods.iter().map(method).collect::<Vec<_>>(),
    })
}
