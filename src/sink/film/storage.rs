//! How pictures are stored in a film file: their size, aspect and rotation.

use ffmpeg_the_third as ffmpeg;

use crate::media::{DisplayMatrix, Medium, MediumKind};

/// How pictures are stored in the file.
pub struct Storage {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The aspect of a pixel.
    pub sample_aspect: ffmpeg::Rational,
    /// Filters that rotate an upright picture into its stored form.
    pub rotate_back: &'static str,
    /// The display matrix that the file declares.
    pub display_matrix: Option<DisplayMatrix>,
}

impl Storage {
    /// As in the input if the format, given by its file name extension, can store a display matrix; else upright.
    pub fn of(medium: &Medium, extension: &str) -> Self {
        let (mut width, mut height) = (medium.width, medium.height);
        let MediumKind::Film { sample_aspect: (n, d), display_matrix, .. } = medium.kind else {
            let sample_aspect = ffmpeg::Rational::new(0, 1);
            return Self { width, height, sample_aspect, rotate_back: "", display_matrix: None };
        };
        let mut sample_aspect = ffmpeg::Rational::new(n, d.max(1));
        let kept = display_matrix.filter(|_| DisplayMatrix::FORMATS.contains(&extension));
        let swaps = display_matrix.is_some_and(|matrix| matrix.swaps());
        if swaps && kept.is_some() {
            (width, height) = (height, width);
        } else if swaps && n > 0 {
            sample_aspect = sample_aspect.invert();
        }
        let rotate_back = kept.map_or("", |matrix| matrix.filters().1);
        Self { width, height, sample_aspect, rotate_back, display_matrix: kept }
    }
}

/// Writes a display matrix into a stream's side data.
#[expect(unsafe_code, reason = "the safe interface cannot write side data")]
pub fn write_display_matrix(stream: &mut ffmpeg::format::stream::StreamMut, display_matrix: DisplayMatrix) {
    let bytes: Vec<u8> = display_matrix.matrix.iter().flat_map(|number| number.to_ne_bytes()).collect();
    let kind = ffmpeg::ffi::AVPacketSideDataType::DISPLAYMATRIX;
    // SAFETY: the stream's pointer is valid while it is borrowed. The call returns null or a buffer of the requested
    // length. The safe interface cannot write side data of streams.
    unsafe {
        let buffer = ffmpeg::ffi::av_stream_new_side_data(stream.as_mut_ptr(), kind, bytes.len());
        if !buffer.is_null() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
        }
    }
}
