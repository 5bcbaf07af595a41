//! Lowering: rewriting ops of other operator sets as ops of the standard one, so that all other code sees only those.

mod attention;
mod fused;
mod integer;
mod lowering;
mod removed;
mod rewritings;

pub use rewritings::{MICROSOFT_NCHWC, to_standard_ops};
