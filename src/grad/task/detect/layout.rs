//! Recognising how a detector's outputs hold boxes and scores, by their shapes and by where their numbers come from.

use std::fmt;
use std::ops::RangeInclusive;

use super::moves::Moves;
use super::undecoded::are_undecoded;
use crate::error::Result;
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, OnnxModel};

/// How a detector's outputs hold boxes and scores.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout<'m> {
    /// One tensor with box, perhaps objectness, and classes of each anchor.
    Joint { output: &'m str, anchors_last: bool, objectness: bool },
    /// One tensor with the scores of `classes` and, after them, distributions of the distances to the sides of each anchor.
    ScoresFirst { output: &'m str, anchors_last: bool, classes: usize },
    /// Boxes `[N,A,4]` or more, and scores `[N,A,K]`, or `[N,K,A]` with the anchors last. Perhaps a further factor of the
    /// scores, such as an objectness, `[1,A,1]`, `[1,A]` or `[A]`.
    Apart { boxes: &'m str, scores: &'m str, anchors_last: bool, objectness: Option<&'m str> },
    /// A tensor of scores and a tensor of boxes for each level of a pyramid, fine to coarse.
    Levels { scores: Vec<&'m str>, boxes: Vec<&'m str> },
    /// Chosen detections in one tensor `[N,D,C]`, or `[D,C]` without `N`.
    Rows { output: &'m str, columns: RowColumns },
    /// Chosen detections in two tensors: corners and score `[N,D,5]`, and labels `[N,D]`, or both without `N`.
    ScoredBoxes { output: &'m str, labels: &'m str },
    /// Chosen detections in three tensors: boxes `[N,D,4]`, scores and labels `[N,D]`, or all without `N`.
    Triple { boxes: &'m str, scores: &'m str, labels: &'m str },
}

/// Where the columns of a chosen detection are. Its corners are four columns from `corners` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowColumns {
    pub corners: usize,
    pub score: usize,
    pub label: usize,
}

impl RowColumns {
    /// `YOLOv10`, and Ultralytics' own suppression: corners, score, class.
    const LABEL_LAST: Self = Self { corners: 0, score: 4, label: 5 };
    /// `YOLOv7`'s own suppression: number of the picture, corners, class, score.
    const SCORE_LAST: Self = Self { corners: 1, score: 6, label: 5 };
    /// Paddle's own suppression: class, score, corners.
    const LABEL_FIRST: Self = Self { corners: 2, score: 1, label: 0 };
}

impl fmt::Display for RowColumns {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match *self {
            Self::SCORE_LAST => "picture, corners, class and score",
            Self::LABEL_FIRST => "class, score and corners",
            _ => "corners, score and class",
        })
    }
}

/// An output that may be part of a detector's layout.
#[derive(Clone, Copy, Debug)]
pub struct Output<'m> {
    pub name: &'m str,
    pub shape: &'m [usize],
    integer: bool,
    /// Of three axes, whether the last one counts the anchors.
    anchors_last: bool,
}

/// The box columns of an anchor.
pub const SIDES: usize = 4;

/// How many distances a distribution may be over: 8 and 17 are usual. Boxes with keypoints make fewer numbers or more.
const BINS: RangeInclusive<usize> = 6..=17;

/// The layout of a model's outputs, or of the one called `wanted`; `None` if it is no detector of a known layout. `labels`
/// is the number of labels, if there are any.
///
/// # Errors
/// An output holds boxes with further numbers than scores.
pub fn find_layout<'m>(
    model: &'m OnnxModel,
    moves: &Moves<'m>,
    wanted: Option<&str>,
    labels: Option<usize>,
) -> Result<Option<Layout<'m>>> {
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.split(',').any(|wanted| wanted.trim() == name));
    let considered = model.graph().output.iter().filter(|info| is_wanted(info.name()));
    let outputs: Vec<Output> = considered.filter_map(|info| output(moves, info)).collect();
    if outputs.iter().any(|o| o.name.contains("detection_boxes"))
        && outputs.iter().any(|o| o.name.contains("num_detections"))
    {
        let problem = "its outputs are those of TensorFlow's Object Detection API, which whycam does not read";
        return Err(model.error(problem));
    }
    let found = triple(moves, &outputs)
        .or_else(|| scored_boxes(&outputs))
        .or_else(|| outputs.iter().find_map(|output| rows(moves, output)))
        .or_else(|| levels(moves, &outputs))
        .or_else(|| apart(moves, &outputs))
        .or_else(|| outputs.iter().find_map(|output| scores_first(moves, output)));
    if found.is_some() {
        return Ok(found);
    }
    if let Some(output) = outputs.iter().find(|output| is_mixed(moves, output)) {
        let Output { name, shape, .. } = output;
        let problem = "holds boxes with scores and further numbers, as those of masks, keypoints or rotated boxes";
        return Err(model.error(format!("its output {name} {shape:?} {problem}; whycam reads boxes with scores alone")));
    }
    let found = outputs.iter().find_map(|output| joint(moves, output, labels));
    if found.is_none() && are_undecoded(model, moves, &outputs) {
        let each: Vec<String> = outputs.iter().map(|Output { name, shape, .. }| format!("{name} {shape:?}")).collect();
        let problem = "look like the maps of a detector's heads, whose boxes are not decoded";
        let remedy = "export it with its boxes decoded; --output and --task read one as something else";
        return Err(model.error(format!("its outputs {} {problem}; {remedy}", each.join(", "))));
    }
    Ok(found)
}

/// Whether an output holds boxes with scores and, after them, numbers of another origin that are no scores.
fn is_mixed<'m>(moves: &Moves<'m>, output: &Output<'m>) -> bool {
    let Some(Columns { count, .. }) = columns(output) else { return false };
    // Rows of chosen detections with more than a class, or less.
    if output.shape[2] > SIDES && is_chosen(moves, output, SIDES) {
        return true;
    }
    // Boxes are no scores. A net whose last layer is one for all columns is not mixed.
    let scores = (SIDES + 1..count).filter(|column| is_score(moves, output, *column)).count();
    let further = count - SIDES - 1 - scores;
    further > 0 && (scores > 0 || is_score(moves, output, SIDES))
}

/// Whether a column holds what a sigmoid or a softmax gives.
fn is_score<'m>(moves: &Moves<'m>, output: &Output<'m>, column: usize) -> bool {
    moves.before_probability(moves.origin(output.name, &at(output, column)).tensor).is_some()
}

/// The columns of an output that may hold boxes and scores in one.
struct Columns {
    count: usize,
    anchors_last: bool,
}

fn columns(output: &Output) -> Option<Columns> {
    let [_, first, second] = *output.shape else { return None };
    let anchors_last = output.anchors_last;
    let (anchors, count) = if anchors_last { (second, first) } else { (first, second) };
    (!output.integer && count > SIDES && anchors >= 2).then_some(Columns { count, anchors_last })
}

/// A column of the first anchor.
fn at(output: &Output, column: usize) -> [usize; 3] {
    if columns(output).is_some_and(|columns| columns.anchors_last) { [0, column, 0] } else { [0, 0, column] }
}

/// The outputs that could stand for `chosen`, an output that holds boxes and scores in one.
pub fn rivals_of<'m>(model: &'m OnnxModel, moves: &Moves<'m>, chosen: &str, labels: Option<usize>) -> Vec<&'m str> {
    let others = model.graph().output.iter().filter(|info| info.name() != chosen);
    let others = others.filter_map(|info| output(moves, info));
    others.filter(|other| joint(moves, other, labels).is_some()).map(|other| other.name).collect()
}

/// The outputs that could stand for one of those of [`Layout::Apart`] that are `used`, the boxes first.
pub fn rivals_of_pair<'m>(model: &'m OnnxModel, moves: &Moves<'m>, used: &[&str]) -> Vec<&'m str> {
    let all: Vec<Output> = model.graph().output.iter().filter_map(|info| output(moves, info)).collect();
    let anchors = used.first().map(|boxes| moves.shape(boxes)[1]);
    let fits =
        |o: &&Output| matches!(*o.shape, [_, first, second] if Some(first) == anchors || Some(second) == anchors);
    let others = all.iter().filter(|o| !used.contains(&o.name) && !o.integer).filter(fits);
    others.map(|other| other.name).collect()
}

fn output<'m>(moves: &Moves<'m>, info: &'m ValueInfo) -> Option<Output<'m>> {
    let tensor = moves.tensors.get(info.name())?;
    let integer = matches!(tensor.kind, Some(DataType::Int64 | DataType::Int32));
    let anchors_last = anchors_are_last(moves, info.name(), &tensor.shape);
    Some(Output { name: info.name(), shape: &tensor.shape, integer, anchors_last })
}

/// Of three axes, whether the last one counts the anchors: the other one counts the channels of the layer that the last
/// numbers come from. Where no layer tells, there are more anchors than columns.
fn anchors_are_last(moves: &Moves, name: &str, shape: &[usize]) -> bool {
    let [_, first, second] = *shape else { return false };
    match channel_axis(moves, name, [1, 2]) {
        Some(axis) => axis == 1,
        None => second > first,
    }
}

/// Which of two axes of an output counts the channels of a layer: a step along it leads to another channel of the same cell.
pub fn channel_axis(moves: &Moves, name: &str, axes: [usize; 2]) -> Option<usize> {
    let shape = moves.shape(name);
    let end: Vec<usize> = shape.iter().map(|length| length.saturating_sub(1)).collect();
    let last = moves.logit_origin(name, &end);
    let is_channel = |axis: usize| {
        let mut at = end.clone();
        at[axis] = at[axis].checked_sub(1)?;
        let before = moves.logit_origin(name, &at);
        let steps = last.at.iter().zip(&before.at).map(|(last, before)| last != before);
        Some(before.tensor == last.tensor && before.at.len() == 4 && steps.eq([false, true, false, false]))
    };
    match axes.map(is_channel) {
        [Some(true), Some(false)] => Some(axes[0]),
        [Some(false), Some(true)] => Some(axes[1]),
        _ => None,
    }
}

/// What the names of outputs with scores have in them.
const SCORE_WORDS: &[&str] = &["score", "logit", "cls", "class", "conf", "label", "prob"];

/// What the names of outputs have in them that hold one number for each anchor by which its scores are multiplied.
const FACTOR_WORDS: &[&str] = &["obj", "center", "centre", "ctr", "conf", "iou"];

fn has_word(name: &str, words: &[&str]) -> bool {
    let name = name.to_lowercase();
    words.iter().any(|word| name.contains(word))
}

fn triple<'m>(moves: &Moves<'m>, outputs: &[Output<'m>]) -> Option<Layout<'m>> {
    let one = |wanted: &dyn Fn(&Output<'m>) -> bool| {
        let mut found = outputs.iter().filter(|output| wanted(output));
        found.next().filter(|_| found.next().is_none())
    };
    let boxes = one(&|o| !o.integer && matches!(o.shape, [.., SIDES]) && has_word(o.name, &["box", "det"]))
        .or_else(|| one(&|o| !o.integer && matches!(o.shape, [.., SIDES])))?;
    let rows = &boxes.shape[..boxes.shape.len() - 1];
    if !(1..=2).contains(&rows.len()) {
        return None;
    }
    let of_rows = |o: &Output| o.shape == rows || matches!(o.shape, [start @ .., 1] if start == rows);
    let is_label = |o: &Output<'m>| of_rows(o) && (o.integer || is_integer(moves, o.name, &vec![0; o.shape.len()]));
    let labels = one(&|o| is_label(o) && has_word(o.name, &["label", "class"])).or_else(|| one(&is_label))?;
    let is_score = |o: &Output<'m>| of_rows(o) && !is_label(o);
    let scores = one(&|o| is_score(o) && has_word(o.name, &["score", "conf", "prob"])).or_else(|| one(&is_score))?;
    Some(Layout::Triple { boxes: boxes.name, scores: scores.name, labels: labels.name })
}

fn scored_boxes<'m>(outputs: &[Output<'m>]) -> Option<Layout<'m>> {
    let boxes = outputs.iter().find(|o| !o.integer && matches!(o.shape, [_, 5] | [_, _, 5]))?;
    let rows = &boxes.shape[..boxes.shape.len() - 1];
    let labels = outputs.iter().find(|o| o.integer && o.shape == rows)?;
    Some(Layout::ScoredBoxes { output: boxes.name, labels: labels.name })
}

/// Rows whose scores were chosen by the model: they come from an op that chooses by other numbers.
fn rows<'m>(moves: &Moves<'m>, output: &Output<'m>) -> Option<Layout<'m>> {
    if output.integer || !(2..=3).contains(&output.shape.len()) {
        return None;
    }
    let first_is_integer = is_integer(moves, output.name, &last_row(output.shape, 0));
    let columns = match output.shape {
        [.., 7] if first_is_integer => RowColumns::SCORE_LAST,
        [.., 6] if first_is_integer => RowColumns::LABEL_FIRST,
        [.., 6] => RowColumns::LABEL_LAST,
        _ => return None,
    };
    is_chosen(moves, output, columns.score).then_some(Layout::Rows { output: output.name, columns })
}

/// Whether a number was an integer before it was written beside others, as those of pictures and classes are.
fn is_integer<'m>(moves: &Moves<'m>, output: &'m str, at: &[usize]) -> bool {
    let kind = moves.tensors.get(moves.origin(output, at).tensor).and_then(|tensor| tensor.kind);
    matches!(kind, Some(DataType::Int64 | DataType::Int32))
}

/// Whether a column of the last row comes from an op that chooses.
fn is_chosen<'m>(moves: &Moves<'m>, output: &Output<'m>, column: usize) -> bool {
    let origin = moves.origin(output.name, &last_row(output.shape, column));
    matches!(moves.op(origin.tensor), "TopK" | "GatherElements" | "GatherND" | "Gather" | "Pad" | "ReduceMax")
}

/// A column of the last row of `[N,D,C]` or `[D,C]`. In a run that finds nothing, it is the row that there would be.
pub fn last_row(shape: &[usize], column: usize) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    if let [.., row, last] = at.as_mut_slice() {
        *row = shape[shape.len() - 2].saturating_sub(1);
        *last = column;
    }
    at
}

fn levels<'m>(moves: &Moves<'m>, outputs: &[Output<'m>]) -> Option<Layout<'m>> {
    /// Entries of an anchor or cell, and the cells of a level.
    fn form(output: &Output) -> Option<(usize, usize)> {
        match *output.shape {
            [_, cells, entries] => Some((entries, cells)),
            [_, entries, height, width] => Some((entries, height * width)),
            _ => None,
        }
    }
    let all: Vec<(&Output, usize, usize)> =
        outputs.iter().filter_map(|o| form(o).map(|(entries, cells)| (o, entries, cells))).collect();
    let mut sizes: Vec<usize> = all.iter().map(|(_, _, cells)| *cells).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    let mut entries: Vec<usize> = all.iter().map(|(_, entries, _)| *entries).collect();
    entries.sort_unstable();
    entries.dedup();
    let [a, b] = *entries.as_slice() else { return None };
    if sizes.len() < 2 || all.len() != 2 * sizes.len() {
        return None;
    }
    let of = |wanted: usize| {
        let found = sizes.iter().filter_map(|size| all.iter().find(|(_, e, cells)| *e == wanted && cells == size));
        found.map(|(output, _, _)| output.name).collect::<Vec<_>>()
    };
    let (first, second) = (of(a), of(b));
    let about_boxes = |names: &[&str]| names.iter().all(|name| has_word(name, &["box", "reg", "dis", "loc", "delta"]));
    let about_classes = |names: &[&str]| names.iter().all(|name| has_word(name, &["cls", "class", "score", "conf"]));
    let boxes_first =
        match (about_boxes(&first) || about_classes(&second), about_boxes(&second) || about_classes(&first)) {
            (true, false) => true,
            (false, true) => false,
            _ => {
                // As many numbers as four sides have, or the distributions of their distances.
                let of_sides = |n: usize| n.is_multiple_of(SIDES) && (n == SIDES || BINS.contains(&(n / SIDES)));
                let scored = |names: &[&'m str]| names.iter().all(|name| moves.leads_to_probability(name));
                match (scored(&first), scored(&second)) {
                    (true, false) => false,
                    (false, true) => true,
                    _ => of_sides(a) && !of_sides(b),
                }
            }
        };
    let (scores, boxes, sides) = if boxes_first { (second, first, a) } else { (first, second, b) };
    (scores.len() == sizes.len() && boxes.len() == sizes.len() && sides % SIDES == 0)
        .then_some(Layout::Levels { scores, boxes })
}

fn apart<'m>(moves: &Moves<'m>, outputs: &[Output<'m>]) -> Option<Layout<'m>> {
    // Anchors that a model writes beside them are the same for all pictures.
    let varies = |o: &&Output<'m>| moves.index.constant(moves.origin_of_first(o.name)).is_none();
    let floats = || outputs.iter().filter(|output| !output.integer && output.shape.len() == 3).filter(varies);
    let is_boxes = |o: &&Output<'m>| matches!(o.shape, [_, _, SIDES | 16]);
    let boxes = floats().filter(is_boxes).max_by_key(|o| {
        let named = has_word(o.name, &["box", "det", "reg", "loc"]) && !has_word(o.name, SCORE_WORDS);
        // Of two outputs of four columns, boxes are computed, and scores end a layer or a probability.
        let computed = !is_score(moves, o, 0) && !moves.is_of_layer(moves.origin(o.name, &[0, 0, 0]).tensor);
        (named, o.shape[2] == SIDES, computed)
    })?;
    let anchors = boxes.shape[1];
    let others = || floats().filter(|o| o.name != boxes.name && anchors > 1);
    let named = |o: &&Output<'m>| has_word(o.name, SCORE_WORDS);
    let fits = |o: &&Output<'m>| o.shape[1] == anchors || o.shape[2] == anchors;
    let is_factor = |o: &&Output<'m>| o.shape.iter().product::<usize>() == anchors && has_word(o.name, FACTOR_WORDS);
    let scores = others().filter(fits).max_by_key(|o| (!is_factor(o), named(o), is_score(moves, o, 0)))?;
    let anchors_last = scores.shape[1] != anchors;
    let objectness = outputs.iter().filter(|o| !o.integer && o.name != scores.name).find(is_factor).map(|o| o.name);
    Some(Layout::Apart { boxes: boxes.name, scores: scores.name, anchors_last, objectness })
}

fn scores_first<'m>(moves: &Moves<'m>, output: &Output<'m>) -> Option<Layout<'m>> {
    let Columns { count, anchors_last } = columns(output)?;
    let classes = (0..count).take_while(|column| is_score(moves, output, *column)).count();
    let further = count - classes;
    let distributed = further.is_multiple_of(SIDES) && BINS.contains(&(further / SIDES));
    // What a layer gives is no box yet.
    let raw = |column: usize| {
        let tensor = moves.origin(output.name, &at(output, column)).tensor;
        moves.is_of_layer(tensor) && moves.shape(tensor).len() == 4
    };
    let fits = classes > 0 && distributed && (classes..count).all(raw);
    fits.then_some(Layout::ScoresFirst { output: output.name, anchors_last, classes })
}

/// Whether the layer that gives the number after a box gives four numbers before it, as one does that gives boxes, too.
fn follows_box<'m>(moves: &Moves<'m>, output: &Output<'m>) -> bool {
    let of = |column: usize| moves.logit_origin(output.name, &at(output, column));
    let (first, second) = (of(SIDES), of(SIDES + 1));
    let differing = first.at.iter().zip(&second.at).find(|(first, second)| first != second);
    differing.is_none_or(|(place, _)| *place >= SIDES)
}

fn joint<'m>(moves: &Moves<'m>, output: &Output<'m>, labels: Option<usize>) -> Option<Layout<'m>> {
    let Columns { count: columns, anchors_last, .. } = columns(output)?;
    let origin = |column: usize| moves.origin(output.name, &at(output, column));
    let [left, fourth, last] = [0, SIDES, columns - 1].map(|column| origin(column).tensor);
    // A tensor of the same numbers all along is no box and its classes.
    if left == last || (0..SIDES).any(|side| origin(side).tensor == last) {
        return None;
    }
    let objectness = match labels {
        Some(labels) if columns == SIDES + labels => false,
        // Of a number less than there are classes, check_labels tells.
        Some(labels) if columns == SIDES + 1 + labels && (fourth != last || !anchors_last) => true,
        // A number with a layer to itself is the objectness. Where one layer gives all, older nets have it and write an
        // anchor after the other, unless it is in the scores already.
        _ => {
            let shared = || !anchors_last && moves.probable_factor(last).is_none() && follows_box(moves, output);
            columns > SIDES + 1 && (fourth != last || shared())
        }
    };
    Some(Layout::Joint { output: output.name, anchors_last, objectness })
}
