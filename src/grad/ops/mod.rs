//! Gradient rules, one file a family of ops. `x` is an op's input, `y` its output, `dy` the
//! gradient that reaches the output; a rule returns `dx`.

pub mod activation;
pub mod arithmetic;
pub mod attention;
pub mod conv;
pub mod linear;
pub mod norm;
pub mod pool;
pub mod quantize;
pub mod reduce;
pub mod resize;
pub mod shape;
