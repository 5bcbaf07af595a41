//! How much is taken from files that others made, and what of their text is shown.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// The largest model, as Protocol Buffers bound a message (<https://protobuf.dev/programming-guides/proto-limits/>);
/// its weights may lie in other files, each as large.
pub const MODEL_BYTES: u64 = 2 << 30;
/// Of manifests and lists of labels.
pub const TEXT_BYTES: u64 = 16 << 20;
/// Of one tensor that is a model's input.
pub const TENSOR_BYTES: u64 = 1 << 30;
/// Of one picture or frame.
pub const PIXELS: u64 = 100_000_000;

/// A whole file that has no more than so many bytes. No more are read, whatever the file says of itself.
///
/// # Errors
/// It cannot be read, or is larger.
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

/// As [`read`], for text in UTF-8.
///
/// # Errors
/// It cannot be read, is larger, or no text.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path, TEXT_BYTES)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8"))
}

fn amount(bytes: u64) -> String {
    if bytes >= 1 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// # Errors
/// A picture of this size has more pixels than whycam takes, or none.
pub fn check_picture(of: impl AsRef<Path>, width: u32, height: u32) -> Result<()> {
    let problem = match u64::from(width) * u64::from(height) {
        0 => format!("a picture of {width}x{height} has no pixels; the file is damaged"),
        pixels if pixels > PIXELS => format!(
            "its size is {width}x{height}, and whycam takes {} million pixels at most; make it smaller first",
            PIXELS / 1_000_000
        ),
        _ => return Ok(()),
    };
    Err(Error::input(of, problem))
}

/// Text from a file as it may go to a terminal: what would steer it, or turn the direction of reading, is spelled out.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_end_is_refused() {
        if cfg!(unix) {
            let error = read(Path::new("/dev/zero"), 1 << 20).map_err(|e| e.to_string());
            assert_eq!(error, Err("it is larger than the 1 MiB that whycam takes here".into()));
        }
    }

    #[test]
    fn a_size_without_reason_is_named_beside_the_limit() {
        assert!(check_picture("a.png", 12_000, 8_000).is_ok());
        let said = |width, height| check_picture("a.png", width, height).map_err(|e| e.to_string()).unwrap_err();
        assert!(said(60_000, 60_000).contains("60000x60000") && said(60_000, 60_000).contains("100 million"));
        assert!(said(0, 5).contains("0x5"));
    }

    #[test]
    fn text_steers_no_terminal() {
        assert_eq!(printable("tulip\u{1b}[2J\r\u{9b}A\u{202e}x\n"), "tulip\\u{1b}[2J\\u{d}\\u{9b}A\\u{202e}x\n");
        assert_eq!(printable("Gänseblümchen 雏菊"), "Gänseblümchen 雏菊");
    }
}
