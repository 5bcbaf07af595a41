//! The pictures that are taught while a camera runs, each on disk as soon as it is taken.

use std::fs;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use ndarray::Array1;

use super::collection::read_some;
use super::examples::Examples;
use crate::error::{Error, Result};
use crate::files::{make_folder, write_whole};
use crate::source::{class_folders, read_photo};

/// The most classes, one for each number key.
pub const MOST_CLASSES: usize = 9;
/// The width of thumbnails, in pixels.
const THUMBNAIL: u32 = 160;
const QUALITY: u8 = 95;

/// Pictures of up to nine classes, in a folder that has a folder for each class.
pub struct Album {
    folder: PathBuf,
    classes: Vec<String>,
    entries: Vec<Entry>,
    history: Vec<Step>,
    /// The number of the next group of pictures.
    next_group: usize,
}

/// A picture of the album.
struct Entry {
    class: usize,
    /// Pictures that one press of a key took have one number.
    group: usize,
    path: PathBuf,
    thumbnail: RgbImage,
    /// The features of the picture and of its crops.
    views: Vec<Array1<f32>>,
}

/// What can be undone.
enum Step {
    /// A group of pictures was added.
    Added(usize),
    /// A class was forgotten: its pictures, each with the bytes of its file.
    Forgot(Vec<(Entry, Vec<u8>)>),
}

/// A class as the viewer sees it.
#[derive(Clone, Debug)]
pub struct AlbumClass {
    pub name: String,
    pub pictures: usize,
    /// The newest picture, in small.
    pub thumbnail: Option<RgbImage>,
}

impl Album {
    /// An album of these classes in a folder. What an earlier run left there is read by [`Album::earlier`].
    ///
    /// # Errors
    /// There are more than nine classes, or a name that no folder can have.
    pub fn new(folder: &Path, names: &[String]) -> Result<Self> {
        let mut album = Self {
            folder: folder.to_owned(),
            classes: Vec::new(),
            entries: Vec::new(),
            history: Vec::new(),
            next_group: 1,
        };
        let earlier = if folder.is_dir() { class_folders(folder).unwrap_or_default() } else { Vec::new() };
        for name in names.iter().cloned().chain(earlier.into_iter().map(|class| class.name)) {
            if !album.classes.contains(&name) {
                album.add_class(name)?;
            }
        }
        Ok(album)
    }

    /// The pictures that the folder has already, with the number of their class.
    pub fn earlier(&self) -> Vec<(usize, PathBuf)> {
        let found = if self.folder.is_dir() { class_folders(&self.folder).unwrap_or_default() } else { Vec::new() };
        let number = |name: &String| self.classes.iter().position(|class| class == name);
        let of_class = found.into_iter().filter_map(|class| Some((number(&class.name)?, class.photos)));
        of_class.flat_map(|(class, photos)| photos.into_iter().map(move |photo| (class, photo))).collect()
    }

    /// Takes up a picture that the folder has already.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn take_up(
        &mut self,
        class: usize,
        path: PathBuf,
        views: impl FnOnce(&RgbImage) -> Result<Vec<Array1<f32>>>,
    ) -> Result<()> {
        let picture = read_photo(&path)?;
        let group = path.file_stem().and_then(|name| name.to_str()?.split('-').next()?.parse().ok()).unwrap_or(0);
        self.next_group = self.next_group.max(group + 1);
        self.entries.push(Entry { class, group, path, thumbnail: thumbnail(&picture), views: views(&picture)? });
        Ok(())
    }

    fn add_class(&mut self, name: String) -> Result<()> {
        let problem = if self.classes.len() == MOST_CLASSES {
            format!("there are number keys for {MOST_CLASSES} classes")
        } else if name.trim().is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
            "a class is also a folder: it needs a name, without / and \\, that does not begin with a dot".into()
        } else {
            self.classes.push(name);
            return Ok(());
        };
        Err(Error::Conflict(format!("class '{name}': {problem}")))
    }

    /// Begins a group of pictures, which is undone as a whole.
    pub fn begin_group(&mut self) {
        self.next_group += 1;
    }

    /// Adds a picture to the class of this number, counted from 0, and writes it to the folder. A class without a name is
    /// called by its number.
    ///
    /// # Errors
    /// The picture cannot be written.
    pub fn add(&mut self, class: usize, picture: &RgbImage, views: Vec<Array1<f32>>) -> Result<()> {
        while self.classes.len() <= class {
            self.add_class(format!("class {}", self.classes.len() + 1))?;
        }
        let group = self.next_group;
        let in_group = self.entries.iter().filter(|entry| entry.group == group).count() + 1;
        let folder = self.folder.join(&self.classes[class]);
        let path = folder.join(format!("{group:04}-{in_group:03}.jpg"));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .encode_image(picture)
            .map_err(|e| Error::output(&path, e))?;
        make_folder(&folder)?;
        write_whole(&path, bytes, true)?;
        self.entries.push(Entry { class, group, path, thumbnail: thumbnail(picture), views });
        if !matches!(self.history.last(), Some(Step::Added(last)) if *last == group) {
            self.history.push(Step::Added(group));
        }
        Ok(())
    }

    /// Undoes the last step, and says what. `None` if there is none.
    ///
    /// # Errors
    /// A picture cannot be removed, or not be written again.
    pub fn undo(&mut self) -> Result<Option<String>> {
        match self.history.pop() {
            None => Ok(None),
            Some(Step::Added(group)) => {
                let removed = self.remove(|entry| entry.group == group)?;
                Ok(Some(format!("{} pictures are taken back", removed.len())))
            }
            Some(Step::Forgot(entries)) => {
                let count = entries.len();
                for (entry, bytes) in entries {
                    write_whole(&entry.path, bytes, true)?;
                    self.entries.push(entry);
                }
                Ok(Some(format!("{count} pictures are back")))
            }
        }
    }

    /// Forgets the pictures of a class. Returns their number.
    ///
    /// # Errors
    /// A picture cannot be removed.
    pub fn forget(&mut self, class: usize) -> Result<usize> {
        let removed = self.remove(|entry| entry.class == class)?;
        let count = removed.len();
        if count > 0 {
            self.history.push(Step::Forgot(removed));
        }
        Ok(count)
    }

    fn remove(&mut self, chosen: impl Fn(&Entry) -> bool) -> Result<Vec<(Entry, Vec<u8>)>> {
        let (removed, kept): (Vec<Entry>, Vec<Entry>) = self.entries.drain(..).partition(chosen);
        self.entries = kept;
        let remove = |entry: Entry| {
            let bytes = fs::read(&entry.path).map_err(|e| Error::reading(&entry.path, &e))?;
            fs::remove_file(&entry.path).map_err(|e| Error::writing(&entry.path, &e))?;
            Ok((entry, bytes))
        };
        removed.into_iter().map(remove).collect()
    }

    /// Gives the classes these names, in their order, and renames their folders.
    ///
    /// # Errors
    /// Two classes would have one name, a name cannot be a folder's, or a folder cannot be renamed.
    pub fn rename(&mut self, names: &[String]) -> Result<()> {
        let kept = self.classes.iter().skip(names.len()).cloned();
        let mut renamed = Self::new(Path::new(""), &[])?;
        for name in names.iter().cloned().chain(kept) {
            if renamed.classes.contains(&name) {
                return Err(Error::Conflict(format!("two classes would be called '{name}'")));
            }
            renamed.add_class(name)?;
        }
        // In two steps, since names may change places.
        let hidden = |class: usize| self.folder.join(format!(".renamed-{class}"));
        let present: Vec<usize> = (0..self.classes.len()).filter(|class| self.of(*class).is_dir()).collect();
        for class in &present {
            fs::rename(self.of(*class), hidden(*class)).map_err(|e| Error::writing(self.of(*class), &e))?;
        }
        let before = std::mem::replace(&mut self.classes, renamed.classes);
        for class in present {
            let folder = self.folder.join(&self.classes[class]);
            fs::rename(self.folder.join(format!(".renamed-{class}")), &folder)
                .map_err(|e| Error::writing(&folder, &e))?;
        }
        let moved = |path: &Path, class: usize| {
            self.folder.join(&self.classes[class]).join(path.file_name().unwrap_or_default())
        };
        if before != self.classes {
            let paths: Vec<PathBuf> = self.entries.iter().map(|entry| moved(&entry.path, entry.class)).collect();
            self.entries.iter_mut().zip(paths).for_each(|(entry, path)| entry.path = path);
            let forgotten = self.history.iter().flat_map(|step| match step {
                Step::Forgot(entries) => entries.iter().map(|(entry, _)| moved(&entry.path, entry.class)).collect(),
                Step::Added(_) => Vec::new(),
            });
            let mut paths = forgotten.collect::<Vec<_>>().into_iter();
            for step in &mut self.history {
                if let Step::Forgot(entries) = step {
                    entries.iter_mut().zip(&mut paths).for_each(|((entry, _), path)| entry.path = path);
                }
            }
        }
        Ok(())
    }

    fn of(&self, class: usize) -> PathBuf {
        self.folder.join(&self.classes[class])
    }

    pub fn classes(&self) -> Vec<AlbumClass> {
        let class = |(class, name): (usize, &String)| {
            let own = || self.entries.iter().filter(|entry| entry.class == class);
            let thumbnail = own().next_back().map(|entry| entry.thumbnail.clone());
            AlbumClass { name: name.clone(), pictures: own().count(), thumbnail }
        };
        self.classes.iter().enumerate().map(class).collect()
    }

    /// What is taught, of the classes that have pictures.
    ///
    /// # Errors
    /// The features do not have the length `length`.
    pub fn examples(&self, length: usize) -> Result<Examples> {
        let taught = self.taught();
        let number = |class: usize| taught.iter().position(|of| *of == class).unwrap_or(0);
        let class = self.entries.iter().map(|entry| number(entry.class)).collect();
        let views: Vec<Vec<Array1<f32>>> = self.entries.iter().map(|entry| entry.views.clone()).collect();
        Examples::new(taught.iter().map(|class| self.classes[*class].clone()).collect(), class, &views, length)
    }

    /// The classes that have pictures.
    pub fn taught(&self) -> Vec<usize> {
        (0..self.classes.len()).filter(|class| self.entries.iter().any(|entry| entry.class == *class)).collect()
    }

    /// Up to `each` pictures of every class that has some, evenly spread.
    ///
    /// # Errors
    /// A picture is gone.
    pub fn pictures(&self, each: usize) -> Result<Vec<Vec<RgbImage>>> {
        let of_class = |class: usize| {
            let own = self.entries.iter().filter(|entry| entry.class == class).map(|entry| &entry.path);
            read_some(&own.collect::<Vec<_>>(), each)
        };
        self.taught().into_iter().map(of_class).collect()
    }
}

fn thumbnail(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    imageops::thumbnail(picture, THUMBNAIL, (THUMBNAIL * height).div_ceil(width.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("whycam-album-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn counts(album: &Album) -> Vec<(String, usize)> {
        album.classes().into_iter().map(|class| (class.name, class.pictures)).collect()
    }

    #[test]
    fn steps_are_undone_and_the_folder_has_what_the_album_has() {
        let folder = folder("undo");
        let mut album = Album::new(&folder, &["mug".into()]).unwrap();
        let picture = RgbImage::from_pixel(40, 30, image::Rgb([9, 90, 200]));
        for (class, pictures) in [(0, 3), (1, 2)] {
            album.begin_group();
            (0..pictures).for_each(|_| album.add(class, &picture, vec![ndarray::arr1(&[1.0])]).unwrap());
        }
        assert_eq!(counts(&album), [("mug".into(), 3), ("class 2".into(), 2)]);
        assert_eq!(album.forget(0).unwrap(), 3);
        album.rename(&["cup".into(), "key".into()]).unwrap();
        assert_eq!(counts(&album), [("cup".into(), 0), ("key".into(), 2)]);
        assert!(album.undo().unwrap().is_some() && album.undo().unwrap().is_some());
        assert_eq!(counts(&album), [("cup".into(), 3), ("key".into(), 0)]);
        assert_eq!(Album::new(&folder, &["cup".into()]).unwrap().earlier().len(), 3);
        assert!(album.rename(&["a".into(), "a".into()]).is_err() && album.rename(&["a/b".into()]).is_err());
        album.undo().unwrap();
        assert_eq!((album.undo().unwrap(), album.earlier().len()), (None, 0));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_album_goes_on_where_an_earlier_run_ended() {
        let folder = folder("again");
        let picture = RgbImage::new(8, 8);
        let mut first = Album::new(&folder, &["b".into(), "a".into()]).unwrap();
        first.add(0, &picture, Vec::new()).unwrap();
        first.begin_group();
        first.add(1, &picture, Vec::new()).unwrap();
        let mut again = Album::new(&folder, &["b".into()]).unwrap();
        for (class, path) in again.earlier() {
            again.take_up(class, path, |_| Ok(Vec::new())).unwrap();
        }
        again.begin_group();
        again.add(0, &picture, Vec::new()).unwrap();
        assert_eq!(counts(&again), [("b".into(), 2), ("a".into(), 1)]);
        assert_eq!(again.earlier().len(), 3);
        fs::remove_dir_all(folder).unwrap();
    }
}
