//! Films and streams, decoded by FFmpeg: upright frames with their exact times.

mod connect;
mod film_source;
mod rgb;
mod still_picture;

pub use film_source::FilmSource;
pub use still_picture::read_picture;
