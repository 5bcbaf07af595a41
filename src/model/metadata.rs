//! The contract of an augmented model: what its metadata tell a user of the file.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::manifest::{InputSpec, Known};
use crate::error::Result;
use crate::files::limits;
use crate::grad::{Detection, FieldGeometry, LOGITS, Probability, ScoreRow, Segmentation, Task};
use crate::onnx::OnnxModel;

/// The `whycam.*` metadata of an augmented model. Each field is an entry `whycam.FIELD`: text as it is, everything else
/// as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contract {
    /// The tensors of the target layers, separated by commas.
    pub layer: String,
    /// The tensor of logits in the graph.
    pub logits: String,
    pub grid: MapGrid,
    /// Where the map's cells lie on the model's input.
    #[serde(rename = "place")]
    pub geometry: FieldGeometry,
    /// Where the cells of each layer lie on the model's input, if there are several; else empty.
    #[serde(rename = "places", default, skip_serializing_if = "Vec::is_empty")]
    pub layer_geometries: Vec<FieldGeometry>,
    /// How far the cells of the manifest's own layer were moved, as it said: `[x, y]` in pixels of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<[f32; 2]>,
    pub probability: Probability,
    /// The name of the task; absent for a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What the outputs of a detector mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    /// What the outputs of a segmenter mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<Segmentation>,
    pub labels: Vec<String>,
    pub preprocessing: InputSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
}

/// Rows and columns of the map, written as `8x8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapGrid {
    pub height: usize,
    pub width: usize,
}

/// The entries in the order in which they are written, and whether each is plain text.
const ENTRIES: &[(&str, bool)] = &[
    ("layer", true),
    ("logits", true),
    ("grid", true),
    ("place", false),
    ("places", false),
    ("shift", false),
    ("probability", true),
    ("task", true),
    ("detection", false),
    ("segmentation", false),
    ("labels", false),
    ("preprocessing", false),
    ("known", false),
];

fn key(field: &str) -> String {
    format!("whycam.{field}")
}

impl Contract {
    /// Reads the contract of an augmented model; `None` for a model that has none.
    ///
    /// # Errors
    /// An entry is missing or damaged.
    pub fn read(model: &OnnxModel) -> Result<Option<Self>> {
        if model.metadata(&key("layer")).is_none() {
            return Ok(None);
        }
        let damaged = |problem: &dyn std::fmt::Display| {
            model.error(format!("its whycam metadata are damaged ({problem}); prepare it again"))
        };
        let mut fields = Map::new();
        for (field, is_text) in ENTRIES {
            let Some(text) = model.metadata(&key(field)) else { continue };
            let value = if *is_text { Ok(Value::from(text)) } else { serde_json::from_str(text) };
            fields.insert((*field).to_owned(), value.map_err(|e| damaged(&e))?);
        }
        let contract: Self = serde_json::from_value(fields.into()).map_err(|e| damaged(&e))?;
        contract.preprocessing.check().map_err(|problem| damaged(&problem))?;
        let (layers, places) = (contract.layer.split(',').count(), &contract.layer_geometries);
        if places.len() != if layers > 1 { layers } else { 0 } {
            return Err(damaged(&format_args!("{} places of {layers} layers", places.len())));
        }
        if !places.iter().chain([&contract.geometry]).all(FieldGeometry::is_sound) {
            return Err(damaged(&"a place that is none"));
        }
        Ok(Some(contract))
    }

    /// The task of the model that has this contract.
    ///
    /// # Errors
    /// The model lacks the outputs of the task.
    pub fn task(&self, model: &OnnxModel) -> Result<Task> {
        if let Some(detection) = &self.detection {
            let dense = !detection.chosen;
            let sound = detection.classes > 0 && detection.classes < 1 << 20 && detection.entries > 0;
            if !sound || dense && !detection.entries.is_multiple_of(detection.columns()) {
                return Err(model.error("its whycam metadata are damaged (detection); prepare it again"));
            }
            return Ok(Task::Detect(detection.clone()));
        }
        if let Some(segmentation) = &self.segmentation {
            let Segmentation { classes, height, width, .. } = segmentation;
            if [classes, height, width].into_iter().any(|length| !(1..1 << 16).contains(length)) {
                return Err(model.error("its whycam metadata are damaged (segmentation); prepare it again"));
            }
            return Ok(Task::Segment(segmentation.clone()));
        }
        let logits = model.graph().output.iter().find(|o| o.name() == LOGITS);
        let classes = logits.and_then(|o| o.dims()?.get(1).copied().flatten());
        let Some(classes) = classes.and_then(|classes| usize::try_from(classes).ok()) else {
            return Err(model.error("its whycam metadata are damaged (no logits); prepare it again"));
        };
        let row = ScoreRow { logits: self.logits.clone(), classes, probability: self.probability };
        Ok(match self.task.as_deref() {
            Some("embed") => Task::Embed(row),
            Some("value") => Task::Value(row),
            _ => Task::Classify(row),
        })
    }

    /// Writes the contract into a model's metadata.
    ///
    /// # Errors
    /// A number in it cannot be written as JSON.
    pub fn write(&self, model: &mut OnnxModel) -> Result<()> {
        let unwritable = |e: serde_json::Error| model.error(format!("its metadata cannot be written: {e}"));
        let whole = serde_json::to_string(self).map_err(unwritable)?;
        let fields: HashMap<String, Box<RawValue>> = serde_json::from_str(&whole).map_err(unwritable)?;
        for (field, is_text) in ENTRIES {
            let Some(value) = fields.get(*field) else { continue };
            let value = if *is_text {
                serde_json::from_str(value.get()).map_err(|e| model.error(e))?
            } else {
                value.get().to_owned()
            };
            model.set_metadata(&key(field), value);
        }
        Ok(())
    }
}

/// The most rows and columns of a map: those of the largest input.
const MOST_CELLS: usize = limits::LONGEST_SIDE;

impl Serialize for MapGrid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}x{}", self.height, self.width))
    }
}

impl<'de> Deserialize<'de> for MapGrid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let sides = text.split_once('x').and_then(|(h, w)| Some((h.parse().ok()?, w.parse().ok()?)));
        let sensible =
            |(height, width): &(usize, usize)| (1..=MOST_CELLS).contains(height) && (1..=MOST_CELLS).contains(width);
        let (height, width) = sides
            .filter(sensible)
            .ok_or_else(|| serde::de::Error::custom(format!("a grid is written as 8x8, up to {MOST_CELLS} a side")))?;
        Ok(Self { height, width })
    }
}
