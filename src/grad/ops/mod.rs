//! Gradient rules, one file per family of ops.
//!
//! `x` is an input of the op, `y` its output, and `dy` the gradient of that output. A rule returns `dx`.

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
pub mod sample;
pub mod shape;
