//! The pictures that a classifier is taught from, in class folders.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use image::RgbImage;
use ndarray::Array1;

use super::backbone::Backbone;
use super::examples::Examples;
use crate::error::{Error, Result};
use crate::session::Compute;
use crate::source::{ClassFolder, Input, class_folders, is_still, read_photo};

/// Pictures of classes, with their features.
pub struct Collection {
    pub examples: Examples,
    /// The file of each example.
    pub photos: Vec<PathBuf>,
    /// What could not be read.
    pub unread: Vec<Error>,
}

/// Up to this number of pictures, crops of each are taken too.
const FEW: usize = 500;
/// Crops of each picture.
const CROPS: usize = 4;

/// Reads the pictures in a folder of class folders. `compute.threads` pictures are read at once, 0 meaning one a core;
/// `proceed` gets the share of the work that is done and returns whether to go on.
///
/// # Errors
/// There are not two classes with pictures, the runtime fails, or `proceed` returned false.
pub fn read_folder(
    folder: &Path,
    backbone: &Backbone,
    compute: Compute,
    proceed: &(dyn Fn(f32) -> bool + Sync),
) -> Result<Collection> {
    let classes = class_folders(folder)?;
    let listed: Vec<(usize, &PathBuf)> =
        classes.iter().enumerate().flat_map(|(at, class)| class.photos.iter().map(move |photo| (at, photo))).collect();
    let threads = match compute.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let compute = Compute { threads: 1, ..compute };
    let readers: Vec<_> = (0..threads.min(listed.len())).map(|_| backbone.reader(compute)).collect::<Result<_>>()?;
    let each = if listed.len() <= FEW { CROPS } else { 0 };
    let (next, done, read) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let shared = (&listed, &next, &done, &read);
    thread::scope(|scope| {
        for mut reader in readers {
            scope.spawn(move || {
                let (listed, next, done, read) = shared;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((class, photo)) = listed.get(number) else { break };
                    let views = read_still(photo).and_then(|picture| reader.views(&picture, each, number as u64));
                    let count = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if let Ok(mut read) = read.lock() {
                        read.push((number, *class, views));
                    }
                    if !proceed(count as f32 / listed.len() as f32) {
                        next.store(listed.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if done.into_inner() < listed.len() {
        return Err(Error::Cancelled);
    }
    let mut read = read.into_inner().unwrap_or_default();
    read.sort_by_key(|(number, ..)| *number);
    let read = read.into_iter().map(|(number, class, views)| Read { photo: listed[number].1, class, views });
    Collection::new(folder, &classes, read, backbone.length)
}

/// A photo that was read.
struct Read<'r> {
    photo: &'r PathBuf,
    class: usize,
    /// The features of the photo and of its crops.
    views: Result<Vec<Array1<f32>>>,
}

impl Collection {
    fn new<'r>(
        folder: &Path,
        classes: &[ClassFolder],
        read: impl Iterator<Item = Read<'r>>,
        length: usize,
    ) -> Result<Self> {
        let (mut kept, mut class, mut photos, mut unread) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Read { photo, class: of, views } in read {
            match views {
                Ok(views) if views.iter().flatten().all(|value| value.is_finite()) => {
                    class.push(of);
                    photos.push(photo.clone());
                    kept.push(views);
                }
                Ok(_) => unread.push(Error::input(photo, "its features are not finite, so it does not count")),
                Err(error @ Error::Input { .. }) => unread.push(error),
                Err(error) => return Err(error),
            }
        }
        let names = classes.iter().map(|class| class.name.clone()).collect();
        let examples = Examples::new(names, class, &kept, length)?;
        let counts = examples.counts();
        if let Some(at) = counts.iter().position(|count| *count == 0) {
            let problem = "no picture of this class can be read; add some, or remove the folder";
            return Err(Error::input(&classes[at].path, problem));
        }
        if counts.len() < 2 {
            let problem = format!("one class, {}; to tell something apart there must be two", classes[0].name);
            return Err(Error::input(folder, problem));
        }
        Ok(Self { examples, photos, unread })
    }

    /// Up to `each` pictures of every class, evenly spread.
    ///
    /// # Errors
    /// A file is gone.
    pub fn pictures(&self, each: usize) -> Result<Vec<Vec<RgbImage>>> {
        let of_class = |class: usize| {
            let own = self.photos.iter().zip(&self.examples.class).filter(|(_, of)| **of == class);
            read_some(&own.map(|(photo, _)| photo).collect::<Vec<_>>(), each)
        };
        (0..self.examples.names.len()).map(of_class).collect()
    }
}

/// Reads up to `most` of these photos, evenly spread.
///
/// # Errors
/// A file is gone.
pub fn read_some(photos: &[&PathBuf], most: usize) -> Result<Vec<RgbImage>> {
    let step = photos.len().div_ceil(most).max(1);
    photos.iter().step_by(step).map(|photo| read_photo(photo)).collect()
}

fn read_still(photo: &Path) -> Result<RgbImage> {
    if !is_still(&Input::file(photo)) {
        return Err(Error::input(photo, "it is no still picture; save frames of it as pictures"));
    }
    read_photo(photo)
}
