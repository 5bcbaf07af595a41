//! Writing what a detector finds in one form, whatever its layout.

use ndarray::ArrayD;

use super::boxes::{BoxForm, share_of_corners};
use super::chosen::write_chosen;
use super::classes::{ClassScores, Classes};
use super::detection::Detection;
use super::layout::{Layout, SIDES, find_layout, rivals_of, rivals_of_pair};
use super::moves::Moves;
use super::narrow::Part;
use super::rows::Rows;
use crate::error::Result;
use crate::grad::graph_writer::{GraphWriter, Patch};
use crate::grad::task::{BoxOrder, OutputReading, Probability};
use crate::grad::value::Value;
use crate::onnx::{OnnxModel, Tensors};

/// What helps to read a detector.
pub struct Hints<'a> {
    /// The output to read, whatever else there is.
    pub output: Option<&'a str>,
    /// The labels, if there are any.
    pub labels: &'a [String],
    /// What the graph does not tell.
    pub reading: OutputReading,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// The value of a tensor in a run on noise.
    pub sample: &'a dyn Fn(&str) -> Result<ArrayD<f32>>,
}

impl Hints<'_> {
    pub fn label_count(&self) -> Option<usize> {
        Some(self.labels.len()).filter(|labels| *labels > 0)
    }
}

/// The family whose preprocessing goes with a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Yolo,
    Yolox,
    FastestDet,
    NanoDet,
    UltraFace,
    BlazeFace,
    Detr,
    RtDetr,
    RetinaNet,
    Ssd,
    PpYoloe,
    YoloV4,
    Torchvision,
}

/// A detector that was recognised.
pub struct FoundDetector {
    pub detection: Detection,
    /// The nodes that write [`Detection::outputs`].
    pub patch: Patch,
    pub family: Family,
    pub notices: Vec<String>,
}

/// Recognises a detector. `None` for a model that is none, or none of a known layout.
///
/// # Errors
/// It has a known layout, and numbers in it that whycam cannot read.
pub fn find_detector(model: &OnnxModel, tensors: &Tensors, hints: &Hints) -> Result<Option<FoundDetector>> {
    let moves = Moves::new(model, tensors);
    let Some(layout) = find_layout(model, &moves, hints.output, hints.label_count())? else { return Ok(None) };
    let writer = GraphWriter::new(model, tensors);
    let reader = Reader { model, moves, writer: &writer, hints };
    let (detection, family, notices) = match layout {
        Layout::Joint { output, anchors_last, objectness } => {
            reader.joint(Rows { output, anchors_last }, objectness)?
        }
        Layout::ScoresFirst { output, anchors_last, classes } => {
            reader.scores_first(Rows { output, anchors_last }, classes)?
        }
        Layout::Apart { boxes, scores, anchors_last, objectness } => {
            reader.apart(boxes, Rows { output: scores, anchors_last }, objectness)?
        }
        Layout::Levels { scores, boxes } => reader.levels(&scores, &boxes)?,
        Layout::Rows { .. } | Layout::ScoredBoxes { .. } | Layout::Triple { .. } => {
            reader.check_batch(&layout)?;
            let read = write_chosen(&reader, &layout)?;
            let (detection, family) = read.ok_or_else(|| reader.unknown_scores(&layout))?;
            (detection, family, Vec::new())
        }
    };
    let wanted = detection.outputs();
    let patch = writer.into_patch(wanted);
    Ok(Some(FoundDetector { detection, patch, family, notices }))
}

/// Reads the layouts that score every class at every anchor.
pub struct Reader<'w, 'm> {
    pub model: &'m OnnxModel,
    pub moves: Moves<'m>,
    pub writer: &'w GraphWriter<'w>,
    pub hints: &'w Hints<'w>,
}

/// What was read, the family, and what a user should know.
type Read = (Detection, Family, Vec<String>);

impl<'w, 'm> Reader<'w, 'm> {
    /// # Errors
    /// The model chooses boxes of several pictures at once.
    fn check_batch(&self, layout: &Layout) -> Result<()> {
        let (Layout::Rows { output: boxes, .. }
        | Layout::ScoredBoxes { output: boxes, .. }
        | Layout::Triple { boxes, .. }) = layout
        else {
            return Ok(());
        };
        match *self.moves.shape(boxes) {
            [batch, _, _] if batch != 1 => {
                let problem = format!("it chooses the boxes of {batch} pictures at once");
                Err(self.model.error(format!("{problem}; export it with a batch of 1")))
            }
            _ => Ok(()),
        }
    }

    /// Scores of a model that chooses are none of a sigmoid or softmax.
    fn unknown_scores(&self, layout: &Layout) -> crate::error::Error {
        let scores = match layout {
            Layout::Rows { output, .. } | Layout::ScoredBoxes { output, .. } => output,
            Layout::Triple { scores, .. } => scores,
            _ => "",
        };
        let problem = "it chooses its detections, from scores that whycam cannot follow to a sigmoid or a softmax";
        self.model.error(format!("{problem} (output {scores}); export it without the choice and its suppression"))
    }

    /// Some columns of an output with a row for each anchor: `[N,A,to-from]`.
    fn columns_of(&self, rows: Rows<'m>, [from, to]: [usize; 2], logits: bool) -> Value<'w> {
        let part = Part { axis: rows.axis(), from, to };
        rows.turned(self.moves.narrowed(self.writer, rows.output, part, logits))
    }

    fn joint(&self, rows: Rows<'m>, objectness: bool) -> Result<Read> {
        let (output, axis, at) = (rows.output, rows.axis(), |anchor, column| rows.at(anchor, column));
        let shape = self.moves.shape(output);
        let [anchors, columns] = rows.lengths(shape);
        let first = SIDES + usize::from(objectness);
        let logits = self.columns_of(rows, [first, columns], true);
        let sides = self.columns_of(rows, [0, SIDES], false);
        let probability = self.probability(output, &at(0, columns - 1));
        let given = |from: usize, to: usize| rows.turned(self.writer.tensor(output)).slice(from as i64, to as i64, 2);
        let untraced = probability.is_none() && self.is_within(output, axis, first..columns, 0.0)?;
        let scores = if untraced || probability.is_some() { given(first, columns) } else { logits.sigmoid() };
        let softmax = probability == Some(Probability::Softmax);
        // A net without objectness may write ones, as YOLOv6 does.
        let object = objectness && !self.is_within(output, axis, SIDES..first, 1.0)?;
        let own_objectness = object
            && self.moves.origin(output, &at(0, SIDES)).tensor != self.moves.origin(output, &at(0, first)).tensor;
        let scores = if object {
            self.as_share(given(SIDES, first), output, &at(0, SIDES), axis, SIDES..first)? * scores
        } else {
            scores
        };
        let raw = self.is_raw(output, &at(0, 0));
        let form = match raw {
            true if objectness && self.has_four_channels(output, &at(0, 0)) => BoxForm::CellOffsets,
            true => return Err(self.unknown_boxes(output)),
            false => self.form_of(&self.sampled(output, axis, 0)?, |anchor| Some((output, at(anchor, first)))),
        };
        let cells = if raw { self.cells(output, anchors, |a| at(a, first), columns - first)? } else { Vec::new() };
        let boxes = self.corners(form, sides, &cells)?;
        let family = match (softmax, own_objectness || raw) {
            (true, _) => Family::FastestDet,
            (false, true) => Family::Yolox,
            (false, false) => Family::Yolo,
        };
        let with = if objectness { "objectness and classes" } else { "classes" };
        let layout = format!("{output} {shape:?}: {form}, {with}");
        let probability = probability.unwrap_or(Probability::Sigmoid);
        let rivals = match self.hints.output {
            None => rivals_of(self.model, &self.moves, output, self.hints.label_count()),
            Some(_) => Vec::new(),
        };
        let others = rivals.join(", ");
        let rival = || format!("output '{output}' is explained; the model also gives {others}; --output chooses");
        let as_is = || format!("the scores in '{output}' are from 0 to 1, and taken as they are");
        let notices = [(!rivals.is_empty()).then(rival), untraced.then(as_is)].into_iter().flatten().collect();
        let classes = Classes { logits, scores, probability, background: None, notices };
        // Queries come from a layer without places.
        let logit = self.moves.logit_origin(output, &at(0, first)).tensor;
        let overlapping = self.moves.shape(logit).len() == 4 || !self.moves.is_of_layer(logit);
        Ok(self.write(&classes, boxes, [anchors, columns - first], overlapping, family, layout))
    }

    fn scores_first(&self, rows: Rows<'m>, columns: usize) -> Result<Read> {
        let (output, shape) = (rows.output, self.moves.shape(rows.output));
        let [anchors, all] = rows.lengths(shape);
        let part = |from, to, logits| self.columns_of(rows, [from, to], logits);
        let (scores, ending) = (part(0, columns, false), self.probability(output, &rows.at(0, 0)));
        let given = ClassScores { scores, ending, output, axis: rows.axis(), columns, queries: false };
        let classes = self.classes(part(0, columns, true), &given)?;
        let mut cells = self.cells(output, anchors, |anchor| rows.at(anchor, 0), columns)?;
        // Where cells reach beyond the border, the input's side divided by their number is less than the stride.
        let whole = |stride: f32| (stride.ceil() as u32).next_power_of_two() as f32;
        for cell in &mut cells {
            cell.stride = cell.stride.map(whole);
        }
        // NanoDet-Plus has four levels. The nets before it have three, and other points.
        let mut strides: Vec<f32> = cells.iter().map(|cell| cell.stride[0]).collect();
        strides.dedup();
        let form = BoxForm::Distributions { bins: (all - columns) / SIDES, of_corner: strides.len() > 3 };
        let corners = self.corners(form, part(columns, all, false), &cells)?;
        let layout = format!("{output} {shape:?}: classes, {form}");
        Ok(self.write(&classes, corners, [anchors, columns], true, Family::NanoDet, layout))
    }

    fn apart(&self, boxes: &'m str, rows: Rows<'m>, objectness: Option<&'m str>) -> Result<Read> {
        let (scores, at) = (rows.output, |anchor| rows.at(anchor, 0));
        let (shape, sides) = (self.moves.shape(scores), self.moves.shape(boxes));
        let [_, columns] = rows.lengths(shape);
        // The scores of a dense detector come from a map.
        let queries = self.moves.shape(self.moves.logit_origin(scores, &at(0)).tensor).len() != 4;
        // That of queries is none of a class: transformers' post-processing of OWLv2 leaves it out.
        let objectness = objectness.filter(|_| !queries);
        let given = ClassScores {
            scores: rows.turned(self.writer.tensor(scores)),
            ending: self.probability(scores, &at(0)),
            output: scores,
            axis: rows.axis(),
            columns,
            queries,
        };
        let mut classes = self.classes(rows.turned(self.moves.logits(self.writer, scores)), &given)?;
        if let Some(object) = objectness {
            classes.scores = classes.scores * self.factor(object)?;
            let remedy = format!("--output {boxes},{scores} leaves it out");
            classes
                .notices
                .push(format!("scores are multiplied by '{object}', since it has one for each box; {remedy}"));
        }
        let raw = self.is_raw(boxes, &[0, 0, 0]);
        let form = match sides[2] {
            SIDES if raw && !queries => return Err(self.unknown_boxes(boxes)),
            SIDES => self.form_apart(boxes, rows, queries)?,
            _ if raw => BoxForm::MiddleOffsets,
            _ => return Err(self.unknown_boxes(boxes)),
        };
        let cells = if raw && !queries { self.cells(scores, sides[1], at, columns)? } else { Vec::new() };
        let value = self.writer.tensor(boxes).slice(0, SIDES as i64, 2);
        let corners = self.corners(form, value, &cells)?;
        let family = match form {
            BoxForm::MiddleOffsets => Family::BlazeFace,
            _ if queries && (classes.background.is_some() || !self.samples_grids()) => Family::Detr,
            _ if queries => Family::RtDetr,
            _ if classes.background.is_some() && columns == 2 => Family::UltraFace,
            _ if classes.probability == Probability::Softmax => Family::Ssd,
            _ if rows.anchors_last => Family::PpYoloe,
            _ => Family::YoloV4,
        };
        let layout = format!("{boxes} {sides:?}: {form}; {scores} {shape:?}");
        let mut read = self.write(&classes, corners, [sides[1], columns], !queries, family, layout);
        let rivals = match self.hints.output {
            None => {
                let used: Vec<&str> = [boxes, scores].into_iter().chain(objectness).collect();
                rivals_of_pair(self.model, &self.moves, &used)
            }
            Some(_) => Vec::new(),
        };
        if !rivals.is_empty() {
            let others = rivals.join(", ");
            let chosen = format!("boxes '{boxes}' and scores '{scores}' are explained");
            read.2.push(format!("{chosen}; the model also gives {others}; --output BOXES,SCORES chooses"));
        }
        Ok(read)
    }

    /// The form of boxes `[N,A,4]` beside scores.
    fn form_apart(&self, boxes: &'m str, scores: Rows<'m>, queries: bool) -> Result<BoxForm> {
        let sides = self.sampled(boxes, 2, 0)?;
        let form = self.form_of(&sides, |anchor| Some((scores.output, scores.at(anchor, 0))));
        let bounded = || self.moves.op(self.moves.origin(boxes, &[0, 0, 0]).tensor) == "Sigmoid";
        // So the boxes of queries are called where they are centres, unless all could be corners.
        let named =
            || matches!(boxes, "pred_boxes" | "dets") && !form.is_in_pixels() && share_of_corners(sides.view()) < 1.0;
        if queries && self.hints.reading.box_order.is_none() && (bounded() || named()) {
            return Ok(BoxForm::Decoded { order: BoxOrder::Cxcywh, pixels: false });
        }
        if queries && self.is_raw(boxes, &[0, 0, 0]) {
            return Err(self.unknown_boxes(boxes));
        }
        Ok(form)
    }

    fn levels(&self, scores: &[&'m str], boxes: &[&'m str]) -> Result<Read> {
        let (mut cells, mut logits, mut given, mut sides) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (first, first_boxes) = (scores[0], boxes[0]);
        let per_cell = |tensor: &str| {
            let shape = self.moves.shape(tensor);
            shape[if shape.len() == 4 { 1 } else { 2 }]
        };
        // A net with several anchors a cell has four sides and all classes for each of them.
        let of_maps = self.moves.shape(first).len() == 4;
        let nine = per_cell(first_boxes) == 9 * SIDES && per_cell(first) >= 9 && per_cell(first).is_multiple_of(9);
        let anchors = if of_maps && nine { 9 } else { 1 };
        if self.moves.shape(first).len() != self.moves.shape(first_boxes).len() {
            return Err(self.unknown_boxes(first_boxes));
        }
        let (columns, numbers) = (per_cell(first) / anchors, per_cell(first_boxes) / anchors);
        let form = match numbers / SIDES {
            1 if anchors == 9 => BoxForm::AnchorOffsets,
            bins if bins > 1 => BoxForm::Distributions { bins, of_corner: false },
            _ => return Err(self.unknown_boxes(first_boxes)),
        };
        for (score, side) in scores.iter().zip(boxes) {
            let shape = self.moves.shape(score);
            let rows = |value: Value<'w>, entries: usize| match *shape {
                [_, _, height, width] => {
                    let [a, e, h, w] = [anchors, entries, height, width].map(|length| length as i64);
                    value.reshape(&[-1, a, e, h, w]).transpose(&[0, 3, 4, 1, 2]).reshape(&[0, -1, e])
                }
                _ => value,
            };
            logits.push(rows(self.moves.logits(self.writer, score), columns));
            given.push(rows(self.writer.tensor(*score), columns));
            sides.push(rows(self.writer.tensor(*side), numbers));
            let count = if of_maps { anchors * shape[2] * shape[3] } else { shape[1] };
            let at = |anchor: usize| match *shape {
                [_, _, _, width] => {
                    let (cell, anchor) = (anchor / anchors, anchor % anchors);
                    vec![0, anchor * columns, cell / width, cell % width]
                }
                _ => vec![0, anchor, 0],
            };
            cells.extend(self.cells(score, count, at, columns)?);
        }
        let joined = |parts: &[Value<'w>]| parts[0].concat(&parts[1..], 1);
        let at = vec![0; self.moves.shape(first).len()];
        let (joint, ending) = (joined(&given), self.probability(first, &at));
        let axis = if of_maps { 1 } else { 2 };
        let given = ClassScores { scores: joint, ending, output: first, axis, columns, queries: false };
        let classes = self.classes(joined(&logits), &given)?;
        let corners = self.corners(form, joined(&sides), &cells)?;
        let family = if anchors == 9 { Family::RetinaNet } else { Family::NanoDet };
        let layout = format!("{} levels of scores ({first} …) and boxes ({first_boxes} …): {form}", scores.len());
        Ok(self.write(&classes, corners, [cells.len(), columns], true, family, layout))
    }

    fn write(
        &self,
        classes: &Classes<'w>,
        boxes: Value<'w>,
        [anchors, columns]: [usize; 2],
        overlapping: bool,
        family: Family,
        layout: String,
    ) -> Read {
        let outputs = [classes.logits, classes.scores, boxes];
        for (name, value) in [Detection::LOGITS, Detection::SCORES, Detection::BOXES].into_iter().zip(outputs) {
            self.writer.emit_as(name, "Identity", &[value], &[]);
        }
        let Classes { probability, background, notices, .. } = classes;
        let detection = Detection {
            classes: columns - usize::from(background.is_some()),
            background: *background,
            probability: *probability,
            one_class: !overlapping && *probability == Probability::Softmax,
            overlapping,
            chosen: false,
            entries: anchors * columns,
            layout,
        };
        (detection, family, notices.clone())
    }

    /// Whether the model samples maps at points that it computes, as deformable attention does.
    pub fn samples_grids(&self) -> bool {
        self.model.graph().node.iter().any(|node| node.op() == "GridSample")
    }
}
