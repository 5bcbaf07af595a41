//! How pictures are stored in a film file: their size, aspect and rotation.

use ffmpeg::ffi::AVPacketSideDataType;
#[cfg(not(ffmpeg_8))]
use ffmpeg::ffi::av_stream_new_side_data as new_side_data;
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
    // SAFETY: the stream's pointer is valid while it is borrowed. The buffer is null or of the requested length.
    unsafe {
        let buffer = new_side_data(stream.as_mut_ptr(), AVPacketSideDataType::DISPLAYMATRIX, bytes.len());
        if !buffer.is_null() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
        }
    }
}

/// A buffer for side data, which FFmpeg 8 keeps among the parameters.
#[cfg(ffmpeg_8)]
#[expect(unsafe_code, reason = "the safe interface cannot write side data")]
unsafe fn new_side_data(stream: *mut ffmpeg::ffi::AVStream, kind: AVPacketSideDataType, length: usize) -> *mut u8 {
    // SAFETY: a stream has parameters as long as it lives, and their list of side data grows by this call alone.
    unsafe {
        let parameters = &mut *(*stream).codecpar;
        let (list, count) = (&raw mut parameters.coded_side_data, &raw mut parameters.nb_coded_side_data);
        let data = ffmpeg::ffi::av_packet_side_data_new(list, count, kind, length, 0);
        data.as_mut().map_or(std::ptr::null_mut(), |data| data.data)
    }
}
