//! Where frames come from: cameras, films, streams, pictures, tensors and drawn flowers. A source knows neither sinks
//! nor models.

mod animation;
#[cfg(feature = "camera")]
pub mod camera;
mod class_folders;
#[cfg(feature = "video")]
mod film;
mod inputs;
mod interface;
mod kind;
mod live;
mod merged;
mod open;
mod pattern;
mod piped;
mod sequence;
mod still;
mod tensor;

pub use class_folders::{ClassFolder, class_folders, read_photo};
pub use inputs::{Input, list_inputs};
pub use interface::Source;
pub use live::{EndPolicy, LiveSource, Reopen, StatusReport};
pub use merged::{MergedSource, OpenLane};
pub use open::{decode_only, is_still, is_tensor, open};
pub use pattern::PatternSource;
pub use piped::is_pipe;
pub use sequence::SequenceSource;
