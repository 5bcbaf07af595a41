//! Frames as a film, written by FFmpeg: as a file with their exact times and the sound of the input, or as a stream.

mod broadcast;
mod convert;
mod encoder;
mod errors;
mod film_file;
mod sound;
mod storage;
mod video_stream;

pub use broadcast::Broadcast;
pub use film_file::Film;
