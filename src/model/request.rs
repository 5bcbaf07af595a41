//! What is explained, and how: parsed once, at the edge.

use std::fmt;
use std::str::FromStr;

use crate::cam::{Fusion, METHODS, Method};
use crate::error::{Error, Result};
use crate::grad::{LayerName, MOST_RANKS, Task};

/// What is explained, and how. The default is the predicted class, or all detections, at the default layer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method; without one, that of the task ([`Request::method_for`]).
    pub method: Option<&'static Method>,
    /// The scores that are explained, each with a map.
    pub scores: Vec<ScoreQuery>,
    /// The target layers, whose maps are fused; empty for the default layer.
    pub layers: Vec<LayerName>,
    pub fusion: Fusion,
    /// Which detections of a detector count.
    pub detections: DetectionOptions,
    /// The part of the picture that a segmenter's score is taken over, in place of what is predicted as the class.
    pub area: Option<Area>,
    /// Whether it is explained what makes a value rise or fall.
    pub direction: Direction,
    /// Whether maps keep what speaks against the score, as negative numbers. Those of values always do.
    pub signed: bool,
}

/// A part of the picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl FromStr for Area {
    type Err = String;

    /// Parses `X,Y,WIDTH,HEIGHT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split(',').map(|number| number.trim().parse::<f64>().ok().filter(|number| number.is_finite()));
        match numbers.collect::<Option<Vec<f64>>>().as_deref() {
            Some([x, y, width, height]) if *width > 0.0 && *height > 0.0 => {
                Ok(Self { x: *x, y: *y, width: *width, height: *height })
            }
            _ => Err("give X,Y,WIDTH,HEIGHT in pixels of the picture".into()),
        }
    }
}

impl Area {
    pub fn contains(&self, x: f64, y: f64) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }
}

/// Which change of a value is explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Up,
    Down,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: None,
            scores: vec![ScoreQuery::PREDICTED],
            layers: Vec::new(),
            fusion: Fusion::default(),
            detections: DetectionOptions::default(),
            area: None,
            direction: Direction::Up,
            signed: false,
        }
    }
}

impl Request {
    /// The method that is asked for, or else the one that serves a task best: Grad-CAM for classifiers, and for detectors
    /// `HiResCAM`, whose maps keep to the box (docs/detectors.md has the measurements).
    pub fn method_for(&self, task: &Task) -> &'static Method {
        let usual = match task {
            Task::Detect(_) => "hires-cam",
            _ => "grad-cam",
        };
        let usual = METHODS.iter().find(|method| method.name == usual).unwrap_or(&METHODS[0]);
        self.method.unwrap_or(usual)
    }
}

/// Which detections of a detector count.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DetectionOptions {
    /// The least score, 0..=1.
    pub threshold: f32,
    /// The intersection over union, 0..=1, from which the weaker of two boxes of one class is suppressed.
    pub overlap: f32,
    /// The most detections of a picture.
    pub most: usize,
    /// Whether each detection gets a map of its own, next to the map of all.
    pub each: bool,
}

impl Default for DetectionOptions {
    fn default() -> Self {
        Self { threshold: 0.25, overlap: 0.45, most: 16, each: false }
    }
}

/// A score to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScoreQuery {
    /// The class of this rank, 0 for the predicted one.
    Rank(usize),
    Class(ClassName),
    /// What speaks for a class against another one.
    Contrast {
        class: ClassName,
        against: ClassName,
    },
}

impl ScoreQuery {
    pub const PREDICTED: Self = Self::Rank(0);

    /// Parses `NAME`, `INDEX`, `top`, `top3`, or several of these separated by commas.
    ///
    /// # Errors
    /// More ranks are named than can be explained at once.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut queries = Vec::new();
        for name in text.split(',').map(str::trim) {
            let ranks =
                name.strip_prefix("top").and_then(|count| if count.is_empty() { Some(1) } else { count.parse().ok() });
            match ranks {
                Some(ranks @ 1..=MOST_RANKS) => queries.extend((0..ranks).map(Self::Rank)),
                Some(_) => {
                    let known = format!("top1 to top{MOST_RANKS} can be explained");
                    return Err(Error::Unknown { what: "class", name: name.to_owned(), known });
                }
                None => queries.push(Self::Class(name.into())),
            }
        }
        Ok(queries)
    }

    /// Parses `A,B`.
    ///
    /// # Errors
    /// There are not two different classes.
    pub fn parse_contrast(text: &str) -> Result<Self> {
        let unknown = || Error::Unknown {
            what: "contrast",
            name: text.to_owned(),
            known: "give two different classes as A,B".into(),
        };
        let (class, against) = text.split_once(',').ok_or_else(unknown)?;
        let (class, against) = (ClassName::from(class), ClassName::from(against));
        if class == against { Err(unknown()) } else { Ok(Self::Contrast { class, against }) }
    }
}

impl fmt::Display for ScoreQuery {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Rank(rank) => write!(f, "rank {rank}"),
            Self::Class(class) => write!(f, "{class}"),
            Self::Contrast { class, against } => write!(f, "{class} against {against}"),
        }
    }
}

/// A class by its label, or by its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassName(String);

impl ClassName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ClassName {
    fn from(name: &str) -> Self {
        Self(name.trim().to_owned())
    }
}

impl From<usize> for ClassName {
    fn from(index: usize) -> Self {
        Self(index.to_string())
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}
