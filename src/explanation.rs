//! Why a picture is what the model says it is.

use ndarray::Array2;

use crate::cam::{self, CamMap};
use crate::error::Result;
use crate::opening::Guess;
use crate::preprocess::Region;

/// One class of a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
}

/// Why one picture is what the model says it is.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The class that the map explains.
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    /// The five likeliest classes, first to last.
    pub top: Vec<Ranked>,
    pub map: CamMap,
    /// The other classes that were asked for.
    pub others: Vec<ClassMap>,
    /// Where on the picture the maps' cells lie, receptive field on receptive field; it may reach beyond the picture.
    pub region: Region,
    /// What the model saw of the picture.
    pub seen: Region,
    /// How familiar the picture is to a model that says so.
    pub familiarity: Option<Familiarity>,
}

/// How familiar a picture is to its model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Familiarity {
    pub value: f32,
    /// Below this the picture shows none of the classes.
    pub least: f32,
}

impl Explanation {
    /// The map over what the model saw, bilinearly at the given size.
    ///
    /// # Errors
    /// A side is 0.
    pub fn over_input(&self, height: usize, width: usize) -> Result<Array2<f32>> {
        let [from, over] = self.region.in_cells(&self.seen, self.map.values.dim());
        cam::window(self.map.values.view(), &cam::Window { from, over, height, width })
    }

    /// Whether the picture shows any of the model's classes, as far as the model can tell.
    pub fn is_sure(&self) -> bool {
        self.familiarity.is_none_or(|familiarity| familiarity.value >= familiarity.least)
    }
}

/// Why a picture is what it is for one more class.
#[derive(Clone, Debug)]
pub struct ClassMap {
    pub class_index: usize,
    /// 0..=1.
    pub probability: f32,
    pub logit: f32,
    pub map: CamMap,
}

/// What stays the same from picture to picture.
#[derive(Clone, Debug)]
pub struct Facts {
    pub model: String,
    pub layer: String,
    pub method: String,
    pub labels: Vec<String>,
    /// What the numbers of the map are.
    pub unit: &'static str,
    /// The class that the others' evidence is set against.
    pub against: Option<usize>,
    /// How pictures are preprocessed, where that was guessed.
    pub guess: Option<Guess>,
}

impl Facts {
    /// The name of a class, or its number where the model has no labels.
    pub fn label(&self, class_index: usize) -> String {
        self.labels.get(class_index).cloned().unwrap_or_else(|| format!("class {class_index}"))
    }
}
