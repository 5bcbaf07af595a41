//! What the four numbers of a box are.

use serde::{Deserialize, Serialize};

/// What the four numbers of a box are, by the names of torchvision and Keras.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxOrder {
    /// Left, top, right, bottom.
    Xyxy,
    /// Top, left, bottom, right, as in TensorFlow.
    Yxyx,
    /// Left, top, width, height, as in COCO.
    Xywh,
    /// The centre, width and height.
    Cxcywh,
}

impl BoxOrder {
    pub const ALL: [Self; 4] = [Self::Xyxy, Self::Yxyx, Self::Xywh, Self::Cxcywh];
    pub const NAMES: &[&str] = &["xyxy", "yxyx", "xywh", "cxcywh"];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Xyxy => "xyxy",
            Self::Yxyx => "yxyx",
            Self::Xywh => "xywh",
            Self::Cxcywh => "cxcywh",
        }
    }

    /// The middle of a box, `[x, y]`.
    pub fn middle(self, sides: [f32; 4]) -> [f32; 2] {
        let [a, b, c, d] = sides;
        match self {
            Self::Xyxy => [f32::midpoint(a, c), f32::midpoint(b, d)],
            Self::Yxyx => [f32::midpoint(b, d), f32::midpoint(a, c)],
            Self::Xywh => [a + c / 2.0, b + d / 2.0],
            Self::Cxcywh => [a, b],
        }
    }
}
