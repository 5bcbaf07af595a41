//! What each axis of a model's tensors runs over: the batch, channels, or rows and columns of the picture.
//!
//! Shape alone does not tell a feature map `[N,C,h,w]` from an attention matrix, nor 49 tokens from 49 channels. So the
//! axes are followed from the input through every op. An axis is a number in mixed radix, and its factors are its
//! digits. A reshape that flattens rows and columns into tokens, or that splits them into windows and joins these
//! again, only regroups the factors.

mod factors;
mod layout;
mod movement;
mod trace;

pub use layout::{FieldGeometry, TensorLayout};
pub use trace::Axes;
