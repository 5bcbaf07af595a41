//! How pictures lie in a film file: their size, and the turn that stands them upright.

use ffmpeg_the_third as ffmpeg;

use crate::frame::{Medium, MediumKind};
use crate::turn::{FORMATS as FORMATS_WITH_TURN, Turn};

/// How pictures are stored in the file.
pub struct Storage {
    pub width: u32,
    pub height: u32,
    pub sample_aspect: ffmpeg::Rational,
    /// Filters that turn an upright picture into a stored one.
    pub turn_back: &'static str,
    /// What the file says of it.
    pub turn: Option<Turn>,
}

impl Storage {
    /// As in the input, where the format can say how its pictures are to be turned, else upright.
    pub fn of(medium: &Medium, extension: &str) -> Self {
        let (mut width, mut height) = (medium.width, medium.height);
        let MediumKind::Film { sample_aspect: (n, d), turn, .. } = medium.kind else {
            return Self { width, height, sample_aspect: ffmpeg::Rational::new(0, 1), turn_back: "", turn: None };
        };
        let mut sample_aspect = ffmpeg::Rational::new(n, d.max(1));
        let kept = turn.filter(|_| FORMATS_WITH_TURN.contains(&extension));
        let swaps = turn.is_some_and(|turn| turn.swaps());
        if swaps && kept.is_some() {
            (width, height) = (height, width);
        } else if swaps && n > 0 {
            sample_aspect = sample_aspect.invert();
        }
        Self { width, height, sample_aspect, turn_back: kept.map_or("", |turn| turn.filters().1), turn: kept }
    }
}

/// Writes a display matrix into a stream's side data.
#[allow(unsafe_code)]
pub fn say_turn(stream: &mut ffmpeg::format::stream::StreamMut, turn: Turn) {
    let bytes: Vec<u8> = turn.matrix.iter().flat_map(|number| number.to_ne_bytes()).collect();
    let kind = ffmpeg::ffi::AVPacketSideDataType::DISPLAYMATRIX;
    // SAFETY: the stream's pointer is valid while it is borrowed; the call gives null or as many
    // bytes as were asked for. The safe interface writes no side data of streams.
    unsafe {
        let place = ffmpeg::ffi::av_stream_new_side_data(stream.as_mut_ptr(), kind, bytes.len());
        if !place.is_null() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        }
    }
}
