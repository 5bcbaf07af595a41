//! Explained pictures and films as files: for each input one of its own kind.

use std::path::{Path, PathBuf};

use super::animation::Animation;
#[cfg(feature = "video")]
use super::film::Film;
use super::picture::write_picture;
use super::{Encoding, Ending, ExplainedFrame, Flow, Sink};
use crate::error::{Error, Result};
use crate::explanation::Facts;
use crate::frame::{Frame, Medium, MediumKind};

/// Where results go.
#[derive(Clone, Debug)]
pub enum Place {
    /// `NAME.whycam.EXT` beside each input.
    Beside,
    /// `NAME.whycam.EXT` in a folder; below it the folders that lie between one of `roots` and the input.
    Folder { folder: PathBuf, roots: Vec<PathBuf> },
    /// One file, for one input.
    File(PathBuf),
}

pub struct ResultsSink {
    place: Place,
    overwrite: bool,
    encoding: Encoding,
    current: Option<Current>,
}

struct Current {
    medium: std::sync::Arc<Medium>,
    path: PathBuf,
    file: File,
}

enum File {
    /// Written at once.
    Picture,
    Animation(Box<Animation>),
    #[cfg(feature = "video")]
    Film(Box<Film>),
}

impl ResultsSink {
    /// # Errors
    /// The folder cannot be made.
    pub fn new(place: Place, encoding: Encoding, overwrite: bool) -> Result<Self> {
        if let Place::Folder { folder, .. } = &place {
            std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        }
        Ok(Self { place, overwrite, encoding, current: None })
    }

    fn path_for(&self, medium: &Medium) -> Result<PathBuf> {
        if let Place::File(path) = &self.place {
            return Ok(path.clone());
        }
        let Some(input) = &medium.path else {
            return Err(Error::output(&medium.name, "this input has no file to lie beside; name an output with -o"));
        };
        let extension = match medium.kind {
            MediumKind::Still => "png",
            MediumKind::Animation => "gif",
            MediumKind::Film { .. } | MediumKind::Live => {
                let own = extension(input);
                ["mkv", "mov", "webm"].into_iter().find(|known| own == *known).unwrap_or("mp4")
            }
        };
        let name = format!("{}.whycam.{extension}", input.file_stem().unwrap_or_default().to_string_lossy());
        let Place::Folder { folder, roots } = &self.place else { return Ok(input.with_file_name(name)) };
        let between = roots.iter().find_map(|root| input.strip_prefix(root).ok()?.parent());
        let folder = folder.join(between.unwrap_or(Path::new("")));
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
        Ok(Current { medium: std::sync::Arc::clone(medium), path, file })
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
    fn write(&mut self, explained: &ExplainedFrame, _: &Facts) -> Result<Flow> {
        let frame = &explained.frame;
        let same = |current: &Current| std::sync::Arc::ptr_eq(&current.medium, &frame.medium);
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
