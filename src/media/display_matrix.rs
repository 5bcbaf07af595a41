//! The rotation that shows a film's stored pictures upright.

/// A display matrix: 16.16 fixed-point numbers, the third of each row 2.30 (ISO/IEC 14496-12, section 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisplayMatrix {
    pub matrix: [i32; 9],
}

impl DisplayMatrix {
    /// The film formats that can store a display matrix, by file name extension.
    #[cfg(feature = "video")]
    pub const FORMATS: &[&str] = &["m4v", "mov", "mp4"];

    /// Reads the side data of a stream: nine numbers in native byte order. `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let numbers: Vec<i32> = bytes.as_chunks().0.iter().map(|b| i32::from_ne_bytes(*b)).collect();
        Some(Self { matrix: numbers.try_into().ok()? })
    }

    /// FFmpeg's filters that rotate stored pictures upright, and those that rotate them back. Only multiples of 90
    /// degrees are handled; other angles give no filter.
    pub fn filters(&self) -> (&'static str, &'static str) {
        let [a, b, _, c, d, ..] = self.matrix.map(f64::from);
        let degrees = b.atan2(a).to_degrees().round() as i32;
        match degrees.rem_euclid(360) {
            90 if c > 0.0 => ("transpose=cclock_flip,", "transpose=cclock_flip,"),
            90 => ("transpose=clock,", "transpose=cclock,"),
            180 if d > 0.0 => ("hflip,", "hflip,"),
            180 => ("hflip,vflip,", "hflip,vflip,"),
            270 if c < 0.0 => ("transpose=clock_flip,", "transpose=clock_flip,"),
            270 => ("transpose=cclock,", "transpose=clock,"),
            0 if d < 0.0 => ("vflip,", "vflip,"),
            _ => ("", ""),
        }
    }

    /// Whether the rotation swaps width and height.
    pub fn swaps(&self) -> bool {
        self.filters().0.starts_with("transpose")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;

    #[test]
    fn quarter_rotations_and_mirrors_are_undone() {
        let rotation = |a, b, c, d| DisplayMatrix { matrix: [a, b, 0, c, d, 0, 0, 0, 1 << 30] };
        assert_eq!(rotation(ONE, 0, 0, ONE).filters(), ("", ""));
        assert_eq!(rotation(0, ONE, -ONE, 0).filters(), ("transpose=clock,", "transpose=cclock,"));
        assert_eq!(rotation(0, -ONE, ONE, 0).filters(), ("transpose=cclock,", "transpose=clock,"));
        assert_eq!(rotation(-ONE, 0, 0, -ONE).filters().0, "hflip,vflip,");
        assert_eq!(rotation(ONE, 0, 0, -ONE).filters().0, "vflip,");
        assert!(rotation(0, ONE, -ONE, 0).swaps() && !rotation(-ONE, 0, 0, -ONE).swaps());
    }
}
