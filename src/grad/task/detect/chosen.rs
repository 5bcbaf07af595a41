//! Detectors that choose their detections themselves: which score each of them has before the choice.

use super::boxes::BoxForm;
use super::detection::Detection;
use super::find::{Family, Reader};
use super::layout::{Layout, RowColumns, SIDES, last_row};
use super::moves::{Moves, Origin};
use crate::error::Result;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::task::{BoxOrder, Probability};
use crate::grad::value::Value;
use crate::onnx::OnnxModel;

/// Numbers of entries are exact in float32 up to here.
const MOST_ENTRIES: usize = 1 << 24;

/// Scores before the choice.
struct Source<'m> {
    /// The tensor of scores.
    scores: &'m str,
    softmax: bool,
}

/// Writes the detections of a model that chooses them. The ops that choose scores also choose from the numbers of the
/// scores, so each detection is known by the entry that it was. `None` if no scores are found before the choice.
///
/// # Errors
/// A tensor cannot be written.
pub fn write_chosen<'m>(reader: &Reader<'_, 'm>, layout: &Layout<'m>) -> Result<Option<(Detection, Family)>> {
    let Reader { model, moves, writer, hints } = reader;
    let Some(Given { boxes, scores, labels, chosen }) = given(moves, writer, layout) else { return Ok(None) };
    let Some((sources, column)) = sources_of(reader, &chosen) else { return Ok(None) };
    let Some(first) = sources.first() else { return Ok(None) };
    let (offsets, before) = offsets_of(moves, &sources);
    if before > MOST_ENTRIES {
        return Err(model.error(format!("it scores {before} boxes and classes, more than {MOST_ENTRIES}")));
    }
    let indices = moves.rebuild(writer, chosen.tensor, &mut |tensor| {
        let at = sources.iter().position(|source| source.scores == tensor);
        at.map(|at| entries(writer, tensor, offsets[at]))
    });
    let indices = match column {
        Some([axis, column]) => indices.slice(column, column + 1, axis),
        None => indices,
    };
    let logits: Vec<Value> =
        sources.iter().map(|source| moves.logits(writer, source.scores).reshape(&[1, -1])).collect();
    let logits = if let [only] = logits.as_slice() { *only } else { logits[0].concat(&logits[1..], 1) };
    let form = form_of(reader, layout)?;
    let named = [
        (Detection::LOGITS, logits.reshape(&[1, -1, 1])),
        (Detection::SCORES, scores.reshape(&[1, -1])),
        (Detection::BOXES, reader.corners(form, boxes.reshape(&[1, -1, SIDES as i64]), &[])?),
        (Detection::LABELS, labels.reshape(&[1, -1])),
        (Detection::INDICES, indices.reshape(&[1, -1])),
    ];
    for (name, value) in named {
        writer.emit_as(name, "Identity", &[value], &[]);
    }
    let (family, rows) = family_of(model, layout, chosen.tensor);
    let reduced = moves.reduced_classes(chosen.tensor);
    let classes = reduced.unwrap_or_else(|| classes_of(moves, first, hints.label_count()));
    // The largest is taken of all entries of a softmax but the last.
    let last_is_left = first.softmax && reduced.is_some() && moves.shape(first.scores).last() == Some(&(classes + 1));
    let probability = if first.softmax { Probability::Softmax } else { Probability::Sigmoid };
    let detection = Detection {
        classes,
        background: last_is_left.then_some(classes),
        probability,
        one_class: false,
        overlapping: !moves.chooses(chosen.tensor)
            && moves.shape(moves.logit_origin(first.scores, &vec![0; moves.shape(first.scores).len()]).tensor).len()
                == 4,
        chosen: true,
        entries: before,
        layout: format!("{rows}; {form}"),
    };
    Ok(Some((detection, family)))
}

/// The numbers of the first entries of several tensors of scores, one after the other, and of all.
fn offsets_of(moves: &Moves, sources: &[Source]) -> (Vec<usize>, usize) {
    let mut offsets = Vec::with_capacity(sources.len());
    let mut before = 0;
    for source in sources {
        offsets.push(before);
        before += moves.shape(source.scores).iter().product::<usize>();
    }
    (offsets, before)
}

/// The family of a layout, and the layout for people.
fn family_of(model: &OnnxModel, layout: &Layout, scores: &str) -> (Family, String) {
    match layout {
        Layout::Rows { output, columns } => (Family::Yolo, format!("{output}: rows of {columns}")),
        Layout::ScoredBoxes { output, labels } => {
            (Family::Yolo, format!("{output}: rows of corners and score; {labels}: their classes"))
        }
        _ => {
            let samples_grids = model.graph().node.iter().any(|node| node.op() == "GridSample");
            let family = if samples_grids { Family::RtDetr } else { Family::Torchvision };
            (family, format!("{scores}, boxes and labels chosen by the model"))
        }
    }
}

/// The form of the boxes in a run on noise: corners in pixels, as most models have it, if nothing is found in it.
fn form_of(reader: &Reader, layout: &Layout) -> Result<BoxForm> {
    let (output, from) = match *layout {
        Layout::Rows { output, columns } => (output, columns.corners),
        Layout::Triple { boxes, .. } => (boxes, 0),
        Layout::ScoredBoxes { output, .. } => (output, 0),
        _ => return Ok(BoxForm::Decoded { order: BoxOrder::Xyxy, pixels: true }),
    };
    let axis = reader.moves.shape(output).len() - 1;
    Ok(reader.form_of(&reader.sampled(output, axis, from)?, |_| None))
}

/// The number of classes: they lie along the last axis, or before the anchors, which are more.
fn classes_of(moves: &Moves, scores: &Source, labels: Option<usize>) -> usize {
    let last_axes = || moves.shape(scores.scores).iter().rev().take(2).copied();
    let labelled = labels.filter(|labels| last_axes().any(|length| length == *labels));
    let usual = if scores.softmax { last_axes().next() } else { last_axes().min() };
    labelled.or(usual).unwrap_or(1)
}

/// What a model that chooses gives, and the tensor of scores that its choice ends in.
struct Given<'w, 'm> {
    boxes: Value<'w>,
    scores: Value<'w>,
    labels: Value<'w>,
    /// The score of the last detection.
    chosen: Origin<'m>,
}

/// `None` for another layout.
fn given<'w, 'm>(moves: &Moves<'m>, writer: &'w GraphWriter<'w>, layout: &Layout<'m>) -> Option<Given<'w, 'm>> {
    let columns = |output: &'m str, from: usize, count: usize| {
        let axis = moves.shape(output).len() as i64 - 1;
        writer.tensor(output).slice(from as i64, (from + count) as i64, axis)
    };
    let origin = |output: &'m str, column: usize| moves.origin(output, &last_row(moves.shape(output), column));
    match *layout {
        Layout::Rows { output, columns: RowColumns { corners, score, label } } => {
            let (boxes, scores) = (columns(output, corners, SIDES), columns(output, score, 1));
            Some(Given { boxes, scores, labels: columns(output, label, 1), chosen: origin(output, score) })
        }
        Layout::ScoredBoxes { output, labels } => {
            let (boxes, scores) = (columns(output, 0, SIDES), columns(output, SIDES, 1));
            Some(Given { boxes, scores, labels: writer.tensor(labels).to_float(), chosen: origin(output, SIDES) })
        }
        Layout::Triple { boxes, scores, labels } => {
            let (boxes, values, labels) = (writer.tensor(boxes), writer.tensor(scores), writer.tensor(labels));
            let chosen = Origin { tensor: scores, at: vec![0; moves.shape(scores).len()] };
            Some(Given { boxes, scores: values, labels: labels.to_float(), chosen })
        }
        _ => None,
    }
}

/// The numbers of the entries of a tensor, in its shape, from `first` on. They are exact in float32 up to 2^24.
fn entries<'w>(writer: &'w GraphWriter<'w>, tensor: &str, first: usize) -> Value<'w> {
    let whole = writer.tensor(tensor);
    let range = writer.int64(0).apply("Range", &[whole.size(), writer.int64(1)], &[]).to_float();
    (range + first as f32).reshape_to(whole.shape())
}

/// The scores that are chosen from; and, where the model chooses whole rows of boxes and scores, the axis of their columns
/// and the column of the score.
fn sources_of<'m>(reader: &Reader<'_, 'm>, chosen: &Origin<'m>) -> Option<(Vec<Source<'m>>, Option<[i64; 2]>)> {
    let moves = &reader.moves;
    let source = |scores: &'m str| {
        let probability = reader.probability(scores, &vec![0; moves.shape(scores).len()])?;
        Some(Source { scores, softmax: probability == Probability::Softmax })
    };
    let varying = moves.sources(chosen.tensor).into_iter().filter(|tensor| moves.index.constant(tensor).is_none());
    let all: Option<Vec<Source>> = varying.map(source).collect();
    if let Some(all) = all {
        return Some((all, None));
    }
    let only = source(moves.chosen_origin(chosen.tensor, &chosen.at).tensor)?;
    let axis = chosen.at.len().checked_sub(1)?;
    Some((vec![only], Some([axis as i64, chosen.at[axis] as i64])))
}
