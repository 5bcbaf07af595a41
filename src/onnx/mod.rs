//! Reading, looking through and writing ONNX models.

mod access;
mod index;
mod inline;
mod model;
pub mod proto;
mod randomise;
mod upgrade;

pub use access::DataType;
pub use index::GraphIndex;
pub use model::{OnnxModel, WORKING_OPSET};
