//! Raw maps, after `ReLU`, neither upscaled nor normalised: `[h,w]`.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use image::{ImageBuffer, Luma};
use ndarray_npy::{NpzWriter, WriteNpyError, write_npy};

use super::{Ending, ExplainedFrame, Flow, PartFile, Sink};
use crate::cam::CamMap;
use crate::error::{Error, Result};
use crate::explainer::Facts;

/// How maps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapFormat {
    /// A NumPy file of float32 each.
    Npy,
    /// A grey picture of 16 bits each, its white the map's largest value.
    Png,
    /// One NumPy archive, `maps.npz`, with an array for each map.
    Npz,
}

pub struct MapsSink {
    folder: PathBuf,
    format: MapFormat,
    archive: Option<Archive>,
}

struct Archive {
    writer: NpzWriter<BufWriter<File>>,
    file: PartFile,
}

const ARCHIVE: &str = "maps.npz";

/// The name of a map's file: its number over the whole run, and of several classes the place of the
/// class after the first. An archive has no such files.
pub fn map_file_name(format: MapFormat, number: u64, class: usize) -> Option<String> {
    let name = map_name(number, class);
    match format {
        MapFormat::Npy => Some(format!("{name}.npy")),
        MapFormat::Png => Some(format!("{name}.png")),
        MapFormat::Npz => None,
    }
}

fn map_name(number: u64, class: usize) -> String {
    if class == 0 { format!("{number:06}") } else { format!("{number:06}.{class}") }
}

impl MapsSink {
    /// # Errors
    /// The folder cannot be made, or holds maps of another run and `overwrite` is false.
    pub fn new(folder: &Path, format: MapFormat, overwrite: bool) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        let first = map_file_name(format, 0, 0).unwrap_or_else(|| ARCHIVE.into());
        if !overwrite && folder.join(first).exists() {
            return Err(Error::output(folder, "it holds maps of another run already; --force overwrites them"));
        }
        let archive = if format == MapFormat::Npz {
            let file = PartFile::new(&folder.join(ARCHIVE), overwrite)?;
            let part = File::create(&file.part).map_err(|e| Error::writing(&file.part, &e))?;
            Some(Archive { writer: NpzWriter::new(BufWriter::new(part)), file })
        } else {
            None
        };
        Ok(Self { folder: folder.to_owned(), format, archive })
    }

    fn write_map(&mut self, map: &CamMap, number: u64, class: usize) -> Result<()> {
        if let Some(Archive { writer, file }) = &mut self.archive {
            let added = writer.add_array(map_name(number, class), &map.values);
            return added.map_err(|e| Error::output(&file.path, e));
        }
        let Some(name) = map_file_name(self.format, number, class) else { return Ok(()) };
        let path = self.folder.join(name);
        if self.format == MapFormat::Png {
            let (h, w) = map.values.dim();
            let white = if map.evidence { f32::from(u16::MAX) / map.max } else { 0.0 };
            let levels = map.values.iter().map(|v| (v * white).round() as u16).collect();
            let picture = ImageBuffer::<Luma<u16>, Vec<u16>>::from_raw(w as u32, h as u32, levels);
            let picture = picture.ok_or_else(|| Error::output(&path, "the map is too large for a picture"))?;
            return picture.save(&path).map_err(|e| Error::output(&path, e));
        }
        write_npy(&path, &map.values).map_err(|e| match e {
            WriteNpyError::Io(e) => Error::writing(&path, &e),
            other => Error::output(&path, other),
        })
    }
}

impl Sink for MapsSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &Facts) -> Result<Flow> {
        let explanation = &explained.explanation;
        let maps = std::iter::once(&explanation.map).chain(explanation.others.iter().map(|other| &other.map));
        for (class, map) in maps.enumerate() {
            self.write_map(map, explained.number, class)?;
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, _: Ending) -> Result<()> {
        let Some(Archive { writer, mut file }) = self.archive.take() else { return Ok(()) };
        writer.finish().map(drop).map_err(|e| Error::output(&file.path, e))?;
        file.complete()
    }
}
