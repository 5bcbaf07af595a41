//! Raw maps, after `ReLU`, neither upscaled nor normalised: `[h,w]`.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{ImageBuffer, Luma};
use ndarray_npy::{NpzWriter, WriteNpyError, write_npy};

use super::{Ending, ExplainedFrame, Flow, Sink};
use crate::cam::CamMap;
use crate::error::{Error, Result};
use crate::explanation::Facts;
use crate::output::PartFile;

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

/// What the files of maps are called.
#[derive(Clone, Debug)]
pub struct MapNames {
    pub format: MapFormat,
    /// The number of each input, where several runs share the inputs: a map is called by the numbers of input and frame
    /// then. Else it is called by its number over the whole run.
    pub inputs: Option<Arc<HashMap<String, usize>>>,
}

impl MapNames {
    /// The name of a map's file; `class` counts the classes that were asked for. An archive has no such files.
    pub fn file(&self, explained: &ExplainedFrame, class: usize) -> Option<String> {
        let name = self.stem(explained, class);
        match self.format {
            MapFormat::Npy => Some(format!("{name}.npy")),
            MapFormat::Png => Some(format!("{name}.png")),
            MapFormat::Npz => None,
        }
    }

    fn stem(&self, explained: &ExplainedFrame, class: usize) -> String {
        let frame = &explained.frame;
        let name = match &self.inputs {
            Some(inputs) => format!("{:06}-{:06}", inputs.get(&frame.medium.name).unwrap_or(&0), frame.index),
            None => format!("{:06}", explained.number),
        };
        if class > 0 { format!("{name}.{class}") } else { name }
    }
}

pub struct MapsSink {
    folder: PathBuf,
    names: MapNames,
    archive: Option<Archive>,
}

struct Archive {
    writer: NpzWriter<BufWriter<File>>,
    file: PartFile,
}

const ARCHIVE: &str = "maps.npz";

impl MapsSink {
    /// # Errors
    /// The folder cannot be made, or holds maps of another run and `overwrite` is false.
    pub fn new(folder: &Path, names: MapNames, overwrite: bool) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        let first = match names.format {
            MapFormat::Npy => "000000.npy",
            MapFormat::Png => "000000.png",
            MapFormat::Npz => ARCHIVE,
        };
        // Runs that share the inputs share the folder, too.
        if !overwrite && names.inputs.is_none() && folder.join(first).exists() {
            return Err(Error::output(folder, "it holds maps of another run already; --force overwrites them"));
        }
        let archive = if names.format == MapFormat::Npz {
            let file = PartFile::new(&folder.join(ARCHIVE), overwrite)?;
            let part = File::create(&file.part).map_err(|e| Error::writing(&file.part, &e))?;
            Some(Archive { writer: NpzWriter::new(BufWriter::new(part)), file })
        } else {
            None
        };
        Ok(Self { folder: folder.to_owned(), names, archive })
    }

    fn write_map(&mut self, map: &CamMap, explained: &ExplainedFrame, class: usize) -> Result<()> {
        if let Some(Archive { writer, file }) = &mut self.archive {
            let added = writer.add_array(self.names.stem(explained, class), &map.values);
            return added.map_err(|e| Error::output(&file.path, e));
        }
        let Some(name) = self.names.file(explained, class) else { return Ok(()) };
        let path = self.folder.join(name);
        if self.names.format == MapFormat::Png {
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
            self.write_map(map, explained, class)?;
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, _: Ending) -> Result<()> {
        let Some(Archive { writer, mut file }) = self.archive.take() else { return Ok(()) };
        writer.finish().map(drop).map_err(|e| Error::output(&file.path, e))?;
        file.complete()
    }
}
