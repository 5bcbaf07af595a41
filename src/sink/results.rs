//! Explained pictures, animations and films as files: one per input, of the same kind.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::animation::Animation;
#[cfg(feature = "video")]
use super::film::Film;
use super::interface::{Encoding, Ending, ExplainedFrame, Flow, Sink};
use super::picture::write_picture;
use crate::error::{Error, Result};
use crate::explain::ExplanationContext;
use crate::files::make_folder;
use crate::media::{Frame, Medium, MediumKind, Report};

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

/// The names of results without their ending, decided for all inputs at once, so that every run over them and every
/// part of a run gives the same.
#[derive(Clone, Debug, Default)]
pub struct ResultNames(HashMap<PathBuf, PathBuf>);

impl ResultNames {
    /// Films, and the others, whose results may have the same ending.
    const FILMS: &[&str] = &["avi", "flv", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ts", "webm", "wmv"];

    /// Names the results of these inputs. `p.jpg` gives `p`, and `p.png` beside it `p.png`.
    pub fn plan(destination: &Destination, inputs: &[PathBuf]) -> Self {
        let mut taken = HashSet::new();
        let mut names = HashMap::new();
        for input in inputs {
            let folder = destination.folder_for(input);
            let is_film = Self::FILMS.contains(&extension(input).as_str());
            let whole = input.file_name().unwrap_or_default();
            let numbered = (2..).map(|number| {
                let mut name = whole.to_owned();
                name.push(format!("-{number}"));
                name
            });
            let short = input.file_stem().unwrap_or_default().to_owned();
            let candidates = [short, whole.to_owned()].into_iter().chain(numbered);
            for name in candidates {
                if taken.insert((is_film, folder.join(&name))) {
                    names.insert(input.clone(), folder.join(name));
                    break;
                }
            }
        }
        Self(names)
    }
}

impl Destination {
    /// The folder of the result for an input.
    fn folder_for(&self, input: &Path) -> PathBuf {
        match self {
            Self::Folder { folder, roots } => {
                let below = roots.iter().find_map(|root| input.strip_prefix(root).ok()?.parent());
                folder.join(below.unwrap_or(Path::new("")))
            }
            _ => input.parent().map(Path::to_owned).unwrap_or_default(),
        }
    }
}

/// Writes each input's explained frames to a file.
pub struct ResultsSink {
    destination: Destination,
    names: ResultNames,
    overwrite: bool,
    encoding: Encoding,
    report: Report,
    /// The results of this run.
    written: HashSet<PathBuf>,
    current: Option<Current>,
}

struct Current {
    medium: Arc<Medium>,
    path: PathBuf,
    /// `None` once its result has failed.
    file: Option<File>,
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
    pub fn new(
        destination: Destination,
        names: ResultNames,
        encoding: Encoding,
        overwrite: bool,
        report: Report,
    ) -> Result<Self> {
        if let Destination::Folder { folder, .. } = &destination {
            make_folder(folder)?;
        }
        Ok(Self { destination, names, overwrite, encoding, report, written: HashSet::new(), current: None })
    }

    fn path_for(&self, medium: &Medium) -> Result<PathBuf> {
        if let Destination::File(path) = &self.destination {
            return Ok(self.free_recording(path, medium));
        }
        let Some(input) = &medium.path else {
            return Err(Error::output(&medium.name, "this input is not a file; name an output file or folder"));
        };
        let folder = self.destination.folder_for(input);
        if let Destination::Folder { .. } = self.destination {
            make_folder(&folder)?;
        }
        let own = || folder.join(input.file_stem().unwrap_or_default());
        let mut path = self.names.0.get(input).cloned().unwrap_or_else(own).into_os_string();
        path.push(format!(".whycam.{}", extension_for(medium, input)));
        let path = PathBuf::from(path);
        if self.written.contains(&path) { Err(Error::exists(path)) } else { Ok(path) }
    }

    /// The file of a recording. A stream that comes back at another size is recorded under the next free name.
    fn free_recording(&self, path: &Path, medium: &Medium) -> PathBuf {
        if medium.kind != MediumKind::Live || !self.written.contains(path) {
            return path.to_owned();
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let next = (2..).map(|number| path.with_file_name(format!("{stem}-{number}.{extension}")));
        let free = next.into_iter().find(|next| !next.exists()).unwrap_or_default();
        let Medium { width, height, .. } = medium;
        let name = free.display();
        self.report.tell(format!("the picture is {width}x{height} now; the recording goes on in {name}"));
        free
    }

    fn open(&mut self, frame: &Frame) -> Result<(PathBuf, File)> {
        let medium = &frame.medium;
        let path = self.path_for(medium)?;
        let file = match medium.kind {
            MediumKind::Still => File::Picture,
            kind if extension(&path) == "gif" => {
                let repeats = if let MediumKind::Animation { repeats } = kind { repeats } else { None };
                File::Animation(Box::new(Animation::create(&path, repeats, self.overwrite)?))
            }
            _ => open_film(&path, medium, &self.encoding, self.overwrite, &self.report)?,
        };
        self.written.insert(path.clone());
        Ok((path, file))
    }

    /// Writes a frame to the result of its medium, which is opened first if it is new.
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        let same = |current: &Current| Arc::ptr_eq(&current.medium, &frame.medium);
        if !self.current.as_ref().is_some_and(same) {
            self.close(Ending::Whole)?;
            let medium = Arc::clone(&frame.medium);
            self.current = Some(Current { medium, path: PathBuf::new(), file: None });
            let (path, file) = self.open(frame)?;
            if let Some(current) = &mut self.current {
                (current.path, current.file) = (path, Some(file));
            }
        }
        let Some(Current { path, file: Some(file), .. }) = &mut self.current else { return Ok(()) };
        match file {
            File::Picture => write_picture(path, &frame.picture, self.overwrite),
            File::Animation(animation) => animation.write(frame),
            #[cfg(feature = "video")]
            File::Film(film) => film.write(frame),
        }
    }

    fn close(&mut self, ending: Ending) -> Result<()> {
        let Some(Current { medium, file: Some(file), .. }) = self.current.take() else { return Ok(()) };
        let finished = match file {
            File::Picture => Ok(()),
            File::Animation(animation) => animation.finish(ending),
            #[cfg(feature = "video")]
            File::Film(film) => film.finish(ending),
        };
        self.collect(&medium.name, finished)
    }

    /// Collects the failure of one result among several, so that the others go on. A full disk fails them all.
    fn collect(&mut self, input: &str, written: Result<()>) -> Result<()> {
        let Err(error) = written else { return Ok(()) };
        if matches!(self.destination, Destination::File(_)) || error.is_full_disk() {
            return Err(error);
        }
        self.report.fail(input, error);
        if let Some(current) = &mut self.current {
            current.file = None;
        }
        Ok(())
    }
}

/// The extension of the result for an input.
fn extension_for(medium: &Medium, input: &Path) -> &'static str {
    match medium.kind {
        MediumKind::Still => "png",
        MediumKind::Animation { .. } => "gif",
        MediumKind::Film { .. } | MediumKind::Live => {
            let stored = extension(input);
            let kept = ["mkv", "mov", "webm"].into_iter().find(|known| stored == *known);
            film_extension(medium, kept.unwrap_or("mp4"))
        }
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

#[cfg(feature = "video")]
fn film_extension(medium: &Medium, preferred: &'static str) -> &'static str {
    Film::extension_for(medium, preferred)
}

#[cfg(not(feature = "video"))]
fn film_extension(_: &Medium, preferred: &'static str) -> &'static str {
    preferred
}

#[cfg(feature = "video")]
fn open_film(path: &Path, medium: &Medium, encoding: &Encoding, overwrite: bool, report: &Report) -> Result<File> {
    Ok(File::Film(Box::new(Film::create(path, medium, encoding, overwrite, report)?)))
}

#[cfg(not(feature = "video"))]
fn open_film(path: &Path, _: &Medium, _: &Encoding, _: bool, _: &Report) -> Result<File> {
    Err(Error::output(path, "this build of whycam writes no films (feature `video`); name a .gif"))
}

impl Sink for ResultsSink {
    fn write(&mut self, explained: &ExplainedFrame, _: &ExplanationContext) -> Result<Flow> {
        let frame = &explained.frame;
        let written = self.write_frame(frame);
        self.collect(&frame.medium.name, written)?;
        Ok(Flow::Continue)
    }

    fn finish(&mut self, ending: Ending) -> Result<()> {
        self.close(ending)
    }
}

#[cfg(all(test, feature = "video"))]
mod tests {
    use image::RgbImage;
    use ndarray::Array2;

    use super::*;
    use crate::cam::CamMap;
    use crate::explain::{ClassPrediction, Explanation, Prediction};
    use crate::media::{Time, TimeBase};
    use crate::model::Region;

    fn stream(side: u32) -> Arc<Medium> {
        Arc::new(Medium {
            name: "stream".into(),
            path: None,
            address: None,
            kind: MediumKind::Live,
            width: side,
            height: side,
            time_base: TimeBase::MILLISECONDS,
        })
    }

    fn frame_of(medium: &Arc<Medium>, number: u64) -> ExplainedFrame {
        let time = Time { ticks: 40 * number as i64, base: TimeBase::MILLISECONDS };
        let region = Region { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let prediction = Prediction::Classes(ClassPrediction::new(0, 1.0, 1.0, Vec::new()));
        let explanation = Explanation::new(prediction, CamMap::new(Array2::zeros((1, 1))), region, region);
        let frame = Frame::now(medium, number, time, RgbImage::new(medium.width, medium.height));
        ExplainedFrame { frame, explanation, number }
    }

    #[test]
    fn a_stream_that_comes_back_at_another_size_keeps_its_first_recording() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("whycam-recording-{}", std::process::id()));
        make_folder(&folder)?;
        let destination = Destination::File(folder.join("a.mkv"));
        let mut sink =
            ResultsSink::new(destination, ResultNames::default(), Encoding::default(), false, Report::silent())?;
        let [first, second, third] = [64, 32, 48].map(stream);
        for (number, medium) in (0..).zip([&first, &first, &second, &third]) {
            sink.write(&frame_of(medium, number), &ExplanationContext::default())?;
        }
        sink.finish(Ending::Whole)?;
        let written = ["a.mkv", "a-2.mkv", "a-3.mkv", "a-4.mkv"].map(|name| folder.join(name).is_file());
        std::fs::remove_dir_all(&folder).map_err(|e| Error::writing(&folder, &e))?;
        assert_eq!(written, [true, true, true, false]);
        Ok(())
    }
}
