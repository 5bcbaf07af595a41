//! Explained pictures, animations and films as files: one per input, of the same kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::animation::Animation;
#[cfg(feature = "video")]
use super::film::Film;
use super::interface::{Encoding, Ending, ExplainedFrame, Flow, Sink};
use super::picture::write_picture;
use crate::error::{Error, Result};
use crate::explain::ExplanationContext;
use crate::media::{Frame, Medium, MediumKind};

/// Where results are written.
#[derive(Clone, Debug)]
pub enum Destination {
    /// `NAME.whycam.EXT` next to each input.
    Beside,
    /// `NAME.whycam.EXT` in a folder, in the subfolders that each input has below one of `roots`.
    Folder { folder: PathBuf, roots: Vec<PathBuf> },
    /// One file, for one input.
    File(PathBuf),
}

/// Writes each input's explained frames to a file.
pub struct ResultsSink {
    destination: Destination,
    overwrite: bool,
    encoding: Encoding,
    current: Option<Current>,
}

struct Current {
    medium: Arc<Medium>,
    path: PathBuf,
    file: File,
}

enum File {
    /// Written as a whole when its only frame arrives.
    Picture,
    Animation(Box<Animation>),
    #[cfg(feature = "video")]
    Film(Box<Film>),
}

impl ResultsSink {
    /// Creates the folder of [`Destination::Folder`].
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn new(destination: Destination, encoding: Encoding, overwrite: bool) -> Result<Self> {
        if let Destination::Folder { folder, .. } = &destination {
            std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        }
        Ok(Self { destination, overwrite, encoding, current: None })
    }

    fn path_for(&self, medium: &Medium) -> Result<PathBuf> {
        if let Destination::File(path) = &self.destination {
            return Ok(path.clone());
        }
        let Some(input) = &medium.path else {
            return Err(Error::output(&medium.name, "this input is not a file; name an output file or folder"));
        };
        let extension = match medium.kind {
            MediumKind::Still => "png",
            MediumKind::Animation => "gif",
            MediumKind::Film { .. } | MediumKind::Live => {
                let stored = extension(input);
                ["mkv", "mov", "webm"].into_iter().find(|known| stored == *known).unwrap_or("mp4")
            }
        };
        let name = format!("{}.whycam.{extension}", input.file_stem().unwrap_or_default().to_string_lossy());
        let Destination::Folder { folder, roots } = &self.destination else { return Ok(input.with_file_name(name)) };
        let subfolders = roots.iter().find_map(|root| input.strip_prefix(root).ok()?.parent());
        let folder = folder.join(subfolders.unwrap_or(Path::new("")));
        std::fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, &e))?;
        Ok(folder.join(name))
    }

    fn open(&self, frame: &Frame) -> Result<Current> {
        let medium = &frame.medium;
        let path = self.path_for(medium)?;
        let still = medium.kind == MediumKind::Still;
        let file = if still {
            File::Picture
        } else if extension(&path) == "gif" {
            File::Animation(Box::new(Animation::create(&path, self.overwrite)?))
        } else {
            open_film(&path, medium, &self.encoding, self.overwrite)?
        };
        Ok(Current { medium: Arc::clone(medium), path, file })
    }

    fn close(&mut self, ending: Ending) -> Result<()> {
        let Some(Current { file, .. }) = self.current.take() else { return Ok(()) };
        match file {
            File::Picture => {}
            File::Animation(animation) => animation.finish(ending)?,
            #[cfg(feature = "video")]
            File::Film(film) => film.finish(ending)?,
        }
        Ok(())
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

#[cfg(feature = "video")]
fn open_film(path: &Path, medium: &Medium, encoding: &Encoding, overwrite: bool) -> Result<File> {
    Ok(File::Film(Box::new(Film::create(path, medium, encoding, overwrite)?)))
}

#[cfg(not(feature = "video"))]
fn open_film(path: &Path, _: &Medium, _: &Encoding, _: bool) -> Result<File> {
    Err(Error::output(path, "this build of whycam writes no films (feature `video`); name a .gif"))
}

impl Sink for ResultsSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
        let frame = &explained.frame;
        let same = |current: &Current| Arc::ptr_eq(&current.medium, &frame.medium);
        if !self.current.as_ref().is_some_and(same) {
            self.close(Ending::Whole)?;
            self.current = Some(self.open(frame)?);
        }
        let Some(current) = &mut self.current else { return Ok(Flow::Continue) };
        match &mut current.file {
            File::Picture => write_picture(&current.path, &frame.picture, self.overwrite)?,
            File::Animation(animation) => animation.write(frame)?,
            #[cfg(feature = "video")]
            File::Film(film) => film.write(frame)?,
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, ending: Ending) -> Result<()> {
        self.close(ending)
    }
}
