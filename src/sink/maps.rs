//! Raw maps `[h,w]` as files: after `ReLU` (those of values signed), neither enlarged nor normalised.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{ImageBuffer, ImageFormat, Luma};
use ndarray_npy::{NpzWriter, WriteNpyExt};

use super::interface::{Ending, ExplainedFrame, Flow, Sink};
use crate::cam::CamMap;
use crate::error::{Error, Result};
use crate::explain::ExplanationContext;
use crate::files::{PartFile, make_folder, write_whole};

/// The file format of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapFormat {
    /// A NumPy file of float32 per map.
    Npy,
    /// A 16-bit grey picture per map, in which white is the map's largest value.
    Png,
    /// One NumPy archive, `maps.npz`, with an array per map.
    Npz,
}

/// The size of the maps in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapSize {
    /// As they are made, a number for each cell.
    #[default]
    Cells,
    /// That of the picture, each value where it is drawn; zero where the model does not see the picture.
    Picture,
}

/// The names and the form of map files.
#[derive(Clone, Debug)]
pub struct MapNames {
    pub format: MapFormat,
    pub size: MapSize,
    /// The number of each input, if several runs share the inputs: maps are then named by the numbers of input and
    /// frame. Otherwise they are named by the frame's number in the whole run.
    pub inputs: Option<Arc<HashMap<String, usize>>>,
}

impl MapNames {
    /// The file name of the map with an index, in the order of [`maps`](crate::explain::Explanation::maps); in an archive
    /// its name, a slash, and the name of the array.
    pub fn file(&self, explained: &ExplainedFrame, index: usize) -> String {
        let name = self.stem(explained, index);
        match self.format {
            MapFormat::Npy => format!("{name}.npy"),
            MapFormat::Png => format!("{name}.png"),
            MapFormat::Npz => format!("{ARCHIVE}/{name}"),
        }
    }

    fn stem(&self, explained: &ExplainedFrame, index: usize) -> String {
        let frame = &explained.frame;
        let name = match &self.inputs {
            Some(inputs) => format!("{:06}-{:06}", inputs.get(&frame.medium.name).unwrap_or(&0), frame.index),
            None => format!("{:06}", explained.number),
        };
        if index > 0 { format!("{name}.{index}") } else { name }
    }
}

/// Writes the maps of each frame into a folder.
pub struct MapsSink {
    folder: PathBuf,
    names: MapNames,
    overwrite: bool,
    archive: Option<Archive>,
}

struct Archive {
    writer: NpzWriter<BufWriter<File>>,
    file: PartFile,
}

const ARCHIVE: &str = "maps.npz";

impl MapsSink {
    /// Creates the folder if necessary.
    ///
    /// # Errors
    /// The folder cannot be created, or holds maps of another run and `overwrite` is false. Without it, no map that comes later
    /// replaces a file either.
    pub fn new(folder: &Path, names: MapNames, overwrite: bool) -> Result<Self> {
        make_folder(folder)?;
        let first = match names.format {
            MapFormat::Npy => "000000.npy",
            MapFormat::Png => "000000.png",
            MapFormat::Npz => ARCHIVE,
        };
        // Runs that share the inputs also share the folder.
        if !overwrite && names.inputs.is_none() && folder.join(first).exists() {
            return Err(Error::exists(folder.join(first)));
        }
        let archive = if names.format == MapFormat::Npz {
            let file = PartFile::new(&folder.join(ARCHIVE), overwrite)?;
            let part = File::create(&file.part).map_err(|e| Error::writing(&file.part, &e))?;
            Some(Archive { writer: NpzWriter::new(BufWriter::new(part)), file })
        } else {
            None
        };
        Ok(Self { folder: folder.to_owned(), names, overwrite, archive })
    }

    fn write_map(&mut self, map: &CamMap, explained: &ExplainedFrame, index: usize) -> Result<()> {
        if let Some(Archive { writer, file }) = &mut self.archive {
            let added = writer.add_array(self.names.stem(explained, index), &map.values);
            return added.map_err(|e| Error::output(&file.path, e));
        }
        let path = self.folder.join(self.names.file(explained, index));
        if self.names.format == MapFormat::Png {
            let (h, w) = map.values.dim();
            // A signed map has its zero at middle grey.
            let (middle, range) = if map.signed { (0.5, 0.5) } else { (0.0, 1.0) };
            let white = if map.evidence { range / map.strength() } else { 0.0 };
            let level = |v: &f32| ((middle + v * white) * f32::from(u16::MAX)).round() as u16;
            let levels = map.values.iter().map(level).collect();
            let picture = ImageBuffer::<Luma<u16>, Vec<u16>>::from_raw(w as u32, h as u32, levels);
            let picture = picture.ok_or_else(|| Error::output(&path, "the map is too large for a picture"))?;
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, ImageFormat::Png).map_err(|e| Error::output(&path, e))?;
            return write_whole(&path, bytes.into_inner(), self.overwrite);
        }
        let mut bytes = Vec::new();
        map.values.write_npy(&mut bytes).map_err(|e| Error::output(&path, e))?;
        write_whole(&path, bytes, self.overwrite)
    }
}

impl Sink for MapsSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
        for (index, map) in explained.explanation.maps().enumerate() {
            match self.names.size {
                MapSize::Cells => self.write_map(map, explained, index)?,
                MapSize::Picture => {
                    let picture = &explained.frame.picture;
                    let size = (picture.width() as usize, picture.height() as usize);
                    let placed = explained.explanation.over_picture(map, size)?;
                    self.write_map(&map.with_values(placed), explained, index)?;
                }
            }
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, _: Ending) -> Result<()> {
        let Some(Archive { writer, mut file }) = self.archive.take() else { return Ok(()) };
        writer.finish().map(drop).map_err(|e| Error::output(&file.path, e))?;
        file.complete()
    }
}
