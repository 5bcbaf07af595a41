//! How films are written.

use clap::Args;
use whycam::sink::Encoding;

#[derive(Args, Clone, Default)]
pub struct Encode {
    /// FFmpeg's encoder for films, such as libx265 or `h264_nvenc`; else one that goes with the file's name
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// The encoder's constant rate factor: smaller is better and larger (libx264: 20)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=63))]
    quality: Option<u8>,
}

impl Encode {
    pub fn encoding(&self, threads: usize) -> Encoding {
        Encoding { encoder: self.encoder.clone(), quality: self.quality, threads }
    }
}
