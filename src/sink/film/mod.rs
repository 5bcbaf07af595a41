//! Frames as a film file, written by FFmpeg with their exact timestamps and the sound of the input.

mod convert;
mod encoder;
mod film_file;
mod sound;
mod storage;

pub use film_file::Film;
