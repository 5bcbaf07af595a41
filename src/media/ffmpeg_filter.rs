//! A chain of FFmpeg filters for frames of one size and pixel format.

use ffmpeg::util::frame::Video;
use ffmpeg_the_third as ffmpeg;

/// A chain of FFmpeg filters.
pub struct Filter {
    graph: ffmpeg::filter::Graph,
}

impl Filter {
    /// `width` and `height` are in pixels; `chain` has the syntax of `ffmpeg -vf`.
    ///
    /// # Errors
    /// FFmpeg was built without one of the filters, or the chain does not fit the frames.
    pub fn new(pixel: ffmpeg::format::Pixel, width: u32, height: u32, chain: &str) -> Result<Self, ffmpeg::Error> {
        let find = |name| ffmpeg::filter::find(name).ok_or(ffmpeg::Error::FilterNotFound);
        let mut graph = ffmpeg::filter::Graph::new();
        let arguments = format!("video_size={width}x{height}:pix_fmt={}:time_base=1/1", pixel_name(pixel));
        graph.add(&find("buffer")?, "in", &arguments)?;
        graph.add(&find("buffersink")?, "out", "")?;
        graph.output("in", 0)?.input("out", 0)?.parse(chain)?;
        graph.validate()?;
        Ok(Self { graph })
    }

    /// Filters one frame.
    ///
    /// # Errors
    /// The frame has another size or pixel format.
    pub fn run(&mut self, frame: &Video) -> Result<Video, ffmpeg::Error> {
        let mut filtered = Video::empty();
        self.graph.get("in").ok_or(ffmpeg::Error::Bug)?.source().add(frame)?;
        self.graph.get("out").ok_or(ffmpeg::Error::Bug)?.sink().frame(&mut filtered)?;
        Ok(filtered)
    }
}

/// FFmpeg's name of a pixel format.
pub fn pixel_name(pixel: ffmpeg::format::Pixel) -> &'static str {
    pixel.descriptor().map_or("yuv420p", ffmpeg::format::pixel::Descriptor::name)
}
