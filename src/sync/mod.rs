//! Thread primitives: channels with a backpressure policy, a semaphore, a stop request, and calls that may panic.

pub mod channel;
mod guarded;
mod semaphore;
mod stop;

pub use guarded::{guarded, is_guarded};
pub use semaphore::{Permit, Semaphore};
pub use stop::Stop;
