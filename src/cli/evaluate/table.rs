//! The evaluation as text.

use whycam::evaluate::{DetectionEvaluation, DetectionMeasures, Displacement, Evaluation, Measured};

/// How to get one measure.
type Value = fn(&Measured) -> Option<f32>;

/// Wider confusion tables say little on a terminal.
const MOST_CLASSES: usize = 12;

/// The measures of maps: name, whether more is better, and how to get it.
pub const COLUMNS: &[(&str, bool, Value)] = &[
    ("insertion", true, |m| Some(m.faithfulness.insertion)),
    ("deletion", false, |m| Some(m.faithfulness.deletion)),
    ("avg drop", false, |m| Some(m.faithfulness.average_drop)),
    ("increase", true, |m| Some(m.faithfulness.increase)),
    ("ADCC", true, |m| Some(m.faithfulness.adcc)),
    ("ARCC", true, |m| Some(m.faithfulness.arcc)),
    ("ROAD", true, |m| Some(m.faithfulness.road)),
    ("stability", true, |m| Some(m.faithfulness.stability)),
    ("pointing", true, |m| m.faithfulness.grid_pointing),
    ("sanity", false, |m| m.sanity.as_ref().and_then(|s| s.similarity.last().copied())),
];

pub fn table(evaluation: &Evaluation) -> String {
    let Evaluation { model, labels, photos, confusion, calibration_error, methods, .. } = evaluation;
    let mut lines = vec![
        format!(
            "{model} on {photos} photos: accuracy {:.3}, calibration error {calibration_error:.3}",
            confusion.accuracy()
        ),
        String::new(),
    ];
    let seen = confusion.seen();
    if seen.len() <= MOST_CLASSES {
        let width = seen.iter().map(|&class| labels[class].chars().count()).max().unwrap_or(0).max(6);
        let head: Vec<String> = seen.iter().map(|&class| format!("  {:>width$}", labels[class])).collect();
        lines.push(format!("{:<width$}{}  {:>6}   (rows: true, columns: predicted)", "", head.concat(), "recall"));
        for &class in &seen {
            let row: Vec<String> =
                seen.iter().map(|&to| format!("  {:>width$}", confusion.counts[class][to])).collect();
            let recall = confusion.recall(class).unwrap_or(0.0);
            lines.push(format!("{:<width$}{}  {recall:>6.3}", labels[class], row.concat()));
        }
        lines.push(String::new());
    }
    let width = methods.iter().map(|m| m.method.len()).max().unwrap_or(0).max(6);
    let arrow = |more: bool| if more { '↑' } else { '↓' };
    let head: Vec<String> = COLUMNS.iter().map(|(name, more, _)| format!("  {name:>9}{}", arrow(*more))).collect();
    lines.push(format!("{:<width$}{}", "method", head.concat()));
    for measured in methods {
        // Of no photo, only what needs none was measured.
        let known = |name: &str| measured.photos > 0 || name == "pointing";
        let cells = COLUMNS.iter().map(|(name, _, value)| match value(measured).filter(|_| known(name)) {
            Some(value) => format!("  {value:>10.3}"),
            None => format!("  {:>10}", "-"),
        });
        lines.push(format!("{:<width$}{}", measured.method, cells.collect::<Vec<_>>().concat()));
    }
    if let Some(first) = methods.first() {
        lines.push(format!(
            "measured on {} photos at {}; sanity: likeness to maps of random weights",
            first.photos, first.layer
        ));
    }
    lines.extend(methods.iter().filter_map(displaced));
    for measured in methods.iter().filter(|m| !m.films.is_empty()) {
        lines.push(String::new());
        for film in &measured.films {
            lines.push(format!(
                "{:<width$}  {}: flicker {:.4}, smoothed {:.4} with a lag of {} frames ({} frames)",
                measured.method,
                film.film.display(),
                film.single.flicker,
                film.smoothed.flicker,
                film.smoothed.lag,
                film.frames
            ));
        }
    }
    lines.join("\n") + "\n"
}

/// A line for a method whose maps lie beside what they show.
fn displaced(measured: &Measured) -> Option<String> {
    let [x, y] = measured.displacement.as_ref().and_then(Displacement::certain)?;
    let (across, down) = (if x < 0.0 { "left" } else { "right" }, if y < 0.0 { "above" } else { "below" });
    let (method, x, y) = (measured.method, x.abs(), y.abs());
    let remedy = if measured.takes_shift() { "; --choose corrects it" } else { "" };
    Some(format!(
        "{method}: the heat lies {x:.1} pixels {across} of and {y:.1} {down} what it shows, as mirrored photos tell{remedy}"
    ))
}

pub fn of_detections(evaluation: &DetectionEvaluation) -> String {
    let DetectionEvaluation { model, pictures, methods, .. } = evaluation;
    let width = methods.iter().map(|m| m.method.len()).max().unwrap_or(0).max(6);
    let mut lines = vec![
        format!("{model} on {pictures} pictures"),
        String::new(),
        format!("{:<width$}   insertion↑   deletion↓   in the box↑     sanity↓   detections", "method"),
    ];
    for measured in methods {
        let sanity = measured.sanity.as_ref().and_then(|sanity| sanity.similarity.last());
        let sanity = sanity.map_or("-".to_owned(), |value| format!("{value:.3}"));
        let DetectionMeasures { method, insertion, deletion, energy_inside, detections, .. } = measured;
        lines.push(format!(
            "{method:<width$}  {insertion:>10.3}  {deletion:>10.3}  {energy_inside:>12.3}  {sanity:>10}  {detections:>11}"
        ));
    }
    if let Some(first) = methods.first() {
        lines.push(format!(
            "measured at {}; insertion and deletion as shares of the score; boxes cover {:.3} of the picture; sanity: \
             likeness to maps of random weights",
            first.layer, first.box_share
        ));
    }
    lines.join("\n") + "\n"
}
