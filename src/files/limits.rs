//! Limits on what is read from files of unknown origin, and safe printing of their text.

use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;

use crate::error::{Error, Result};

/// The largest model file: Protocol Buffers limit a message to this size
/// (<https://protobuf.dev/programming-guides/proto-limits/>). Each file of external weights may be as large.
pub const MODEL_BYTES: u64 = 2 << 30;
/// The largest manifest or list of labels.
pub const TEXT_BYTES: u64 = 16 << 20;
/// The largest file of one input tensor.
pub const TENSOR_BYTES: u64 = 1 << 30;
/// The most that is copied of a pipe.
pub const PIPE_BYTES: u64 = 16 << 30;
/// The largest picture file.
pub const PICTURE_BYTES: u64 = 1 << 30;
/// The longest side of a picture that a camera, an option or a model may state.
pub const LONGEST_SIDE: usize = 8192;
/// The lengths that a side may have.
pub const SIDES: RangeInclusive<u32> = 1..=LONGEST_SIDE as u32;
/// The most numbers in an input of a model, whatever shape its file states.
pub const NUMBERS: usize = 1 << 28;
/// The most pixels in a picture or frame.
pub const PIXELS: u64 = 100_000_000;

/// Whether a tensor of this shape has at most [`NUMBERS`].
pub fn fits(shape: &[usize]) -> bool {
    shape.iter().try_fold(1_usize, |count, length| count.checked_mul(*length)).is_some_and(|count| count <= NUMBERS)
}

/// Reads a whole file of at most `most` bytes. Reading stops there, whatever size the file system reports.
///
/// # Errors
/// The file cannot be read, or is larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let stated = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(stated.min(most)).unwrap_or(0));
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it is larger than the {} that whycam takes here", amount(most));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// Reads UTF-8 text of at most [`TEXT_BYTES`].
///
/// # Errors
/// The file cannot be read, is larger, or is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path, TEXT_BYTES)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn amount(bytes: u64) -> String {
    if bytes >= 1 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// Checks the size of a picture before it is decoded. `path` is for the message.
///
/// # Errors
/// The picture has more than [`PIXELS`] pixels, or none.
pub fn check_picture(path: impl AsRef<Path>, width: u32, height: u32) -> Result<()> {
    let problem = match u64::from(width) * u64::from(height) {
        0 => format!("a picture of {width}x{height} has no pixels; the file is damaged"),
        pixels if pixels > PIXELS => format!(
            "its size is {width}x{height}, and whycam takes {} million pixels at most; make it smaller first",
            PIXELS / 1_000_000
        ),
        _ => return Ok(()),
    };
    Err(Error::input(path, problem))
}

/// Text that is safe to print to a terminal: control characters and changes of the writing direction are escaped.
pub fn printable(text: &str) -> String {
    let is_control = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_control(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_refused() {
        if cfg!(unix) {
            let error = read(Path::new("/dev/zero"), 1 << 20).map_err(|e| e.to_string());
            assert_eq!(error, Err("it is larger than the 1 MiB that whycam takes here".into()));
        }
    }

    #[test]
    fn an_absurd_size_is_reported_with_the_limit() {
        assert!(check_picture("a.png", 12_000, 8_000).is_ok());
        let message = |width, height| check_picture("a.png", width, height).map_err(|e| e.to_string()).unwrap_err();
        assert!(message(60_000, 60_000).contains("60000x60000") && message(60_000, 60_000).contains("100 million"));
        assert!(message(0, 5).contains("0x5"));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("tulip\u{1b}[2J\r\u{9b}A\u{202e}x\n"), "tulip\\u{1b}[2J\\u{d}\\u{9b}A\\u{202e}x\n");
        assert_eq!(printable("Gänseblümchen 雏菊"), "Gänseblümchen 雏菊");
    }
}
