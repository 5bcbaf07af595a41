//! Where frames come from: cameras, films, streams, pictures, tensors and drawn flowers. A source knows neither sinks
//! nor models.

#[cfg(feature = "camera")]
pub mod camera;
#[cfg(feature = "video")]
mod film;
mod gif;
mod inputs;
mod interface;
mod live;
mod open;
mod pattern;
mod sequence;
mod still;
mod tensor;

pub use inputs::list_inputs;
pub use interface::Source;
pub use live::{EndPolicy, LiveSource, Reopen, StatusReport};
pub use open::{decode_only, is_address, is_still, is_tensor, open};
pub use pattern::PatternSource;
pub use sequence::{Failures, SequenceSource};
