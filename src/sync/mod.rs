//! Thread primitives: channels with a backpressure policy, a semaphore, and a stop request.

pub mod channel;
mod semaphore;
mod stop;

pub use semaphore::{Permit, Semaphore};
pub use stop::Stop;
