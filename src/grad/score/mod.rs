//! What is differentiated: the scores, each a file.

mod class;
mod contrast;
mod detection;
mod rivals;
mod score_kind;
mod segment;

pub use class::MOST_RANKS;
pub use score_kind::Score;
