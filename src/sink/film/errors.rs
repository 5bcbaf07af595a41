//! What FFmpeg's errors say.

use std::path::Path;

use ffmpeg_the_third as ffmpeg;

use crate::error::Error;

/// FFmpeg's reason. Its encoders and formats use the numbers of the system's errors for reasons of their own.
pub fn words(error: ffmpeg::Error) -> String {
    match error {
        ffmpeg::Error::Other { errno } => format!("FFmpeg's error {errno}"),
        other => other.to_string(),
    }
}

/// Whether the encoder needs more frames before the next packet.
pub fn wants_more(error: ffmpeg::Error) -> bool {
    let ffmpeg::Error::Other { errno } = error else { return false };
    std::io::Error::from_raw_os_error(errno).kind() == std::io::ErrorKind::WouldBlock
}

/// Whether it is a number that only the file system returns.
fn is_of_disk(errno: i32) -> bool {
    use std::io::ErrorKind;
    let kind = std::io::Error::from_raw_os_error(errno).kind();
    let of_disk = [
        ErrorKind::NotFound,
        ErrorKind::NotADirectory,
        ErrorKind::IsADirectory,
        ErrorKind::PermissionDenied,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::FileTooLarge,
        ErrorKind::StaleNetworkFileHandle,
    ];
    of_disk.contains(&kind)
}

/// A failure at an output, in words.
pub fn failed(path: &Path, error: ffmpeg::Error) -> Error {
    match error {
        ffmpeg::Error::Other { errno } if is_of_disk(errno) => {
            Error::writing(path, &std::io::Error::from_raw_os_error(errno))
        }
        ffmpeg::Error::Other { .. } => Error::output(path, format!("FFmpeg failed ({})", words(error))),
        ffmpeg::Error::EncoderNotFound => {
            Error::output(path, "FFmpeg here has no encoder for it; install FFmpeg with libx264, or name a .gif")
        }
        other => Error::output(path, other),
    }
}
