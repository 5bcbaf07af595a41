//! The evaluation as one JSON object.

use serde_json::{Value, json};
use whycam::evaluate::{Evaluation, FilmMotion, Measured};

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
        "road": values.road,
        "grid_pointing": values.grid_pointing,
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
        "film": film.film,
        "frames": film.frames,
        "flicker": film.single.flicker,
        "flicker_steady": film.smoothed.flicker,
        "lag_frames_steady": film.smoothed.lag,
    })
}
