//! Decoding the pictures that cameras send.

use std::borrow::Cow;
use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, DynamicImage, ImageDecoder, RgbImage};
use yuv::{YuvBiPlanarImage, YuvConversionMode, YuvError, YuvPackedImage, YuvPlanarImage, YuvRange, YuvStandardMatrix};

/// A pixel format that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    Rgb,
    Bgr,
    Gray,
    Nv12,
    Yuv420,
    Yuyv,
    Uyvy,
    Mjpeg,
}

impl PixelFormat {
    /// All of them, the cheapest to decode first.
    pub const ALL: [Self; 8] =
        [Self::Rgb, Self::Bgr, Self::Nv12, Self::Yuv420, Self::Yuyv, Self::Uyvy, Self::Mjpeg, Self::Gray];

    /// The name in V4L2's documentation, which is also its code there.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rgb => "RGB3",
            Self::Bgr => "BGR3",
            Self::Gray => "GREY",
            Self::Nv12 => "NV12",
            Self::Yuv420 => "YU12",
            Self::Yuyv => "YUYV",
            Self::Uyvy => "UYVY",
            Self::Mjpeg => "MJPG",
        }
    }
}

/// How the bytes of a picture are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub format: PixelFormat,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Bytes from one row of the first plane to the next.
    pub stride: u32,
    pub range: YuvRange,
    pub matrix: YuvStandardMatrix,
}

impl Layout {
    /// Rows without padding, in the range and matrix of webcams.
    pub fn unpadded(format: PixelFormat, width: u32, height: u32) -> Self {
        let bytes = match format {
            PixelFormat::Rgb | PixelFormat::Bgr => 3,
            PixelFormat::Yuyv | PixelFormat::Uyvy => 2,
            PixelFormat::Gray | PixelFormat::Nv12 | PixelFormat::Yuv420 | PixelFormat::Mjpeg => 1,
        };
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        Self { format, width, height, stride: width.saturating_mul(bytes), range, matrix }
    }
}

/// Decodes a picture into one of its size. The error says what is wrong with the bytes.
pub fn decode(bytes: &[u8], layout: Layout, picture: &mut RgbImage) -> Result<(), String> {
    let Layout { width, height, stride, range, matrix, .. } = layout;
    let to_stride = 3 * width;
    let converted = |result: Result<(), YuvError>| result.map_err(|e| e.to_string());
    match layout.format {
        PixelFormat::Rgb => copy_rows(bytes, layout, picture, |to, from| to.copy_from_slice(from)),
        PixelFormat::Bgr => {
            copy_rows(bytes, layout, picture, |to, from| to.copy_from_slice(from))?;
            picture.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.reverse());
            Ok(())
        }
        PixelFormat::Gray => copy_rows(bytes, layout, picture, |to, from| {
            to.as_chunks_mut::<3>().0.iter_mut().zip(from).for_each(|(to, from)| *to = [*from; 3]);
        }),
        PixelFormat::Yuyv | PixelFormat::Uyvy => {
            let rows = whole_rows(bytes, layout)?;
            let image = YuvPackedImage { yuy: &rows, yuy_stride: stride, width, height };
            let convert = if layout.format == PixelFormat::Yuyv { yuv::yuyv422_to_rgb } else { yuv::uyvy422_to_rgb };
            converted(convert(&image, picture, to_stride, range, matrix))
        }
        PixelFormat::Nv12 => {
            let (y_plane, uv_plane) = planes(bytes, stride, height)?;
            let uv_stride = stride;
            let image = YuvBiPlanarImage { y_plane, y_stride: stride, uv_plane, uv_stride, width, height };
            let mode = YuvConversionMode::default();
            converted(yuv::yuv_nv12_to_rgb(&image, picture, to_stride, range, matrix, mode))
        }
        PixelFormat::Yuv420 => {
            let (y_plane, chroma) = planes(bytes, stride, height)?;
            let (u_plane, v_plane) = planes(chroma, stride / 2, height.div_ceil(2))?;
            let (y_stride, u_stride, v_stride) = (stride, stride / 2, stride / 2);
            let image = YuvPlanarImage { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height };
            converted(yuv::yuv420_to_rgb(&image, picture, to_stride, range, matrix))
        }
        PixelFormat::Mjpeg => decode_jpeg(bytes, picture),
    }
}

/// The first plane and the rest.
fn planes(bytes: &[u8], stride: u32, height: u32) -> Result<(&[u8], &[u8]), String> {
    let of_first = stride as usize * height as usize;
    bytes
        .split_at_checked(of_first)
        .ok_or_else(|| format!("{} bytes where the first plane has {of_first}", bytes.len()))
}

/// The rows with their padding, and without what follows them. A driver may leave out the padding of the last row.
fn whole_rows(bytes: &[u8], layout: Layout) -> Result<Cow<'_, [u8]>, String> {
    let Layout { format, width, height, stride, .. } = layout;
    let whole = stride as usize * height as usize;
    let padding = stride.saturating_sub(Layout::unpadded(format, width, height).stride) as usize;
    match bytes.len() {
        count if count >= whole => Ok(bytes[..whole].into()),
        count if count >= whole - padding => {
            let mut padded = bytes.to_vec();
            padded.resize(whole, 0);
            Ok(padded.into())
        }
        count => Err(format!("{count} bytes of {whole}")),
    }
}

/// Calls `copy` with each row of the picture and its bytes.
fn copy_rows(bytes: &[u8], layout: Layout, picture: &mut RgbImage, copy: fn(&mut [u8], &[u8])) -> Result<(), String> {
    let Layout { format, width, height, stride, .. } = layout;
    let row_bytes = Layout::unpadded(format, width, height).stride as usize;
    let rows = bytes.chunks(stride.max(1) as usize).filter_map(|chunk| chunk.get(..row_bytes));
    let mut copied = 0;
    for (to, from) in picture.chunks_exact_mut(3 * width as usize).zip(rows) {
        copy(to, from);
        copied += 1;
    }
    if copied < height { Err(format!("{copied} rows of {height}")) } else { Ok(()) }
}

fn decode_jpeg(bytes: &[u8], picture: &mut RgbImage) -> Result<(), String> {
    let decoder = JpegDecoder::new(Cursor::new(with_tables(bytes))).map_err(|e| e.to_string())?;
    if decoder.dimensions() != picture.dimensions() {
        let ((width, height), wanted) = (decoder.dimensions(), picture.dimensions());
        return Err(format!("a picture of {width}x{height}, not {}x{}", wanted.0, wanted.1));
    }
    if decoder.color_type() == ColorType::Rgb8 {
        return decoder.read_image(picture).map_err(|e| e.to_string());
    }
    picture.copy_from_slice(&DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?.into_rgb8());
    Ok(())
}

/// Motion JPEG may leave the Huffman tables out. The usual ones are meant then.
fn with_tables(bytes: &[u8]) -> Cow<'_, [u8]> {
    const START_OF_SCAN: u8 = 0xda;
    const TABLES: u8 = 0xc4;
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4)
        && marker != START_OF_SCAN
    {
        if marker == TABLES {
            return bytes.into();
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    let Some((start, rest)) = bytes.split_at_checked(2) else { return bytes.into() };
    let mut completed = start.to_vec();
    for (id, lengths, values) in HUFFMAN_TABLES {
        let size = (2 + 1 + lengths.len() + values.len()) as u16;
        completed.extend([0xff, TABLES]);
        completed.extend(size.to_be_bytes());
        completed.push(id);
        completed.extend(lengths);
        completed.extend(values);
    }
    completed.extend(rest);
    completed.into()
}

/// The usual tables: identifier, number of codes of each length and their values (ITU-T T.81, annex K.3).
const HUFFMAN_TABLES: [(u8, [u8; 16], &[u8]); 4] = [
    (0x00, [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x01, [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x10, [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &LUMINANCE),
    (0x11, [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &CHROMINANCE),
];

const LUMINANCE: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14,
    0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09,
    0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a,
    0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65,
    0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
    0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9,
    0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca,
    0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
    0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

const CHROMINANCE: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32,
    0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16,
    0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39,
    0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64,
    0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86,
    0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8,
    0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9,
    0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, Rgb};

    use super::*;

    const WIDTH: u32 = 4;
    const HEIGHT: u32 = 2;

    fn decoded(bytes: &[u8], layout: Layout) -> Result<RgbImage, String> {
        let mut picture = RgbImage::new(layout.width, layout.height);
        decode(bytes, layout, &mut picture).map(|()| picture)
    }

    /// A red picture of each format, with rows that are padded by as many bytes. Red is Y 82, U 90, V 240 in the limited
    /// range of BT.601.
    fn red(format: PixelFormat, padding: usize) -> Vec<u8> {
        let rows = |pixels: &[u8], count: usize, padding: usize| {
            let row = [pixels.repeat(WIDTH as usize / 2), vec![0; padding]].concat();
            row.repeat(count)
        };
        let half = HEIGHT as usize / 2;
        match format {
            PixelFormat::Rgb => rows(&[255, 0, 0, 255, 0, 0], 2 * half, padding),
            PixelFormat::Bgr => rows(&[0, 0, 255, 0, 0, 255], 2 * half, padding),
            PixelFormat::Gray => rows(&[255, 255], 2 * half, padding),
            PixelFormat::Yuyv => rows(&[82, 90, 82, 240], 2 * half, padding),
            PixelFormat::Uyvy => rows(&[90, 82, 240, 82], 2 * half, padding),
            PixelFormat::Nv12 => [rows(&[82, 82], 2 * half, padding), rows(&[90, 240], half, padding)].concat(),
            PixelFormat::Yuv420 => {
                let chroma = [90, 240].map(|value| rows(&[value], half, padding / 2));
                [rows(&[82, 82], 2 * half, padding), chroma.concat()].concat()
            }
            PixelFormat::Mjpeg => jpeg(),
        }
    }

    fn jpeg() -> Vec<u8> {
        let picture = RgbImage::from_pixel(WIDTH, HEIGHT, Rgb([255, 0, 0]));
        let mut bytes = Vec::new();
        let encoded = JpegEncoder::new(&mut bytes).encode(&picture, WIDTH, HEIGHT, ExtendedColorType::Rgb8);
        encoded.unwrap_or_else(|e| panic!("{e}"));
        bytes
    }

    #[test]
    fn each_format_is_decoded_and_too_few_bytes_are_an_error() {
        for format in PixelFormat::ALL {
            for padding in [0, 2] {
                let unpadded = Layout::unpadded(format, WIDTH, HEIGHT);
                let layout = Layout { stride: unpadded.stride + padding, ..unpadded };
                let bytes = red(format, padding as usize);
                let picture = decoded(&bytes, layout).unwrap_or_else(|e| panic!("{format:?}: {e}"));
                let wanted = if format == PixelFormat::Gray { [255, 255, 255] } else { [255, 0, 0] };
                for pixel in picture.pixels() {
                    assert!(pixel.0.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 3), "{format:?}: {pixel:?}");
                }
                let followed = [bytes.as_slice(), &[7; 9]].concat();
                assert_eq!(decoded(&followed, layout).as_ref(), Ok(&picture), "{format:?}");
                if !matches!(format, PixelFormat::Nv12 | PixelFormat::Yuv420 | PixelFormat::Mjpeg) {
                    let cut = &bytes[..bytes.len() - padding as usize];
                    assert_eq!(decoded(cut, layout).as_ref(), Ok(&picture), "{format:?}");
                }
                assert!(decoded(&bytes[..bytes.len() / 2], layout).is_err(), "{format:?}");
                assert!(decoded(&[], layout).is_err(), "{format:?}");
            }
        }
    }

    #[test]
    fn a_jpeg_without_huffman_tables_has_the_usual_ones() {
        let whole = jpeg();
        let mut bare = whole[..2].to_vec();
        let mut at = 2;
        while whole[at + 1] != 0xda {
            let end = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
            if whole[at + 1] != 0xc4 {
                bare.extend(&whole[at..end]);
            }
            at = end;
        }
        bare.extend(&whole[at..]);
        assert!(bare.len() + 400 < whole.len());
        let layout = Layout::unpadded(PixelFormat::Mjpeg, WIDTH, HEIGHT);
        assert_eq!(decoded(&bare, layout), decoded(&whole, layout));
        assert!(decoded(&whole, Layout { width: 8, ..layout }).is_err_and(|e| e.contains("4x2, not 8x2")));
    }
}
