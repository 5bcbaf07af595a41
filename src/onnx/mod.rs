//! The ONNX format: reading, inspecting, changing and writing models.

mod access;
mod before_7;
mod einsum;
mod format;
mod index;
mod inline;
mod lower;
mod model;
pub mod proto;
mod randomise;
mod recurrent;
mod split;
mod tensor_info;
mod upgrade;
mod written;

pub use access::DataType;
pub use einsum::einsum_terms;
pub use index::{GraphIndex, Step, Walk};
pub use model::{OnnxModel, WORKING_OPSET};
pub use recurrent::unroll;
pub use split::{Split, keep_outputs, split_at};
pub use tensor_info::{TensorInfo, Tensors};
pub use written::{written_name, written_number};
