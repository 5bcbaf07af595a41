//! A model that learns while a camera runs.

use std::path::PathBuf;

use image::RgbImage;

use super::album::{Album, AlbumClass};
use super::backbone::{Backbone, FeatureReader};
use super::backgrounds::{BackgroundCheck, backgrounds};
use super::lesson::{Lesson, Thoroughness, teach};
use crate::error::{Error, Result};
use crate::explain::Explainer;
use crate::files::write_whole;
use crate::model::{ModelOptions, ModelSource, Request};
use crate::session::Compute;

/// What is taught, and where it goes.
#[derive(Clone, Debug)]
pub struct PupilOptions {
    /// The model whose features are kept, and how it runs.
    pub backbone: ModelOptions,
    /// The model that is written; its manifest is written next to it.
    pub out: PathBuf,
    /// The folder of the pictures.
    pub album: PathBuf,
    /// The names of the classes.
    pub classes: Vec<String>,
}

/// A model that learns from one picture after the other.
pub struct Pupil {
    backbone: Backbone,
    reader: FeatureReader,
    album: Album,
    options: PupilOptions,
    /// What is learned, with the model's manifest.
    lesson: Option<(Lesson, String)>,
}

/// Crops of each picture. A camera gives many pictures, so that few crops serve.
const CROPS: usize = 2;
const SEED: u64 = 1;
/// Pictures of each class that are mixed with those of others.
const MIXED: usize = 8;

impl Pupil {
    /// Reads the backbone, and the pictures of an earlier run.
    ///
    /// # Errors
    /// The backbone has no features, or a picture cannot be read.
    pub fn new(options: PupilOptions) -> Result<Self> {
        let backbone = Backbone::new(&options.backbone)?;
        // The view runs on the other threads meanwhile.
        let mut reader = backbone.reader(Compute { threads: 1, ..options.backbone.compute })?;
        let mut album = Album::new(&options.album, &options.classes)?;
        for (number, (class, path)) in album.earlier().into_iter().enumerate() {
            album.take_up(class, path, |picture| reader.views(picture, CROPS, number as u64))?;
        }
        Ok(Self { backbone, reader, album, options, lesson: None })
    }

    /// The pictures.
    pub fn album(&mut self) -> &mut Album {
        &mut self.album
    }

    pub fn classes(&self) -> Vec<AlbumClass> {
        self.album.classes()
    }

    /// Takes a picture of the class of this number, counted from 0.
    ///
    /// # Errors
    /// The runtime fails, or the picture cannot be written.
    pub fn look(&mut self, class: usize, picture: &RgbImage) -> Result<()> {
        let seed = self.album.classes().iter().map(|class| class.pictures as u64).sum();
        let views = self.reader.views(picture, CROPS, seed)?;
        self.album.add(class, picture, views)
    }

    /// Fits the classes. Returns whether there are two classes to tell apart.
    ///
    /// # Errors
    /// A feature is not finite.
    pub fn learn(&mut self) -> Result<bool> {
        self.lesson = None;
        if self.album.taught().len() < 2 {
            return Ok(false);
        }
        let examples = self.album.examples(self.backbone.length)?;
        let lesson = teach(&examples, Thoroughness::Quick, SEED, &|_| true)?;
        let name = self.options.out.file_stem().unwrap_or_default().to_string_lossy();
        let manifest = lesson.manifest(&name, &self.backbone)?;
        self.lesson = Some((lesson, manifest));
        Ok(true)
    }

    /// Writes what is learned: the model, and its manifest.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self) -> Result<()> {
        let Some((lesson, manifest)) = &self.lesson else { return Ok(()) };
        let out = &self.options.out;
        write_whole(&out.with_extension("toml"), manifest, true)?;
        write_whole(out, lesson.model(&self.backbone)?.to_bytes(), true)
    }

    /// An explainer of what is learned; of the backbone before there are two classes.
    ///
    /// # Errors
    /// As [`Explainer::new`].
    pub fn explainer(&self, request: &Request) -> Result<Explainer> {
        let Some((lesson, manifest)) = &self.lesson else { return Explainer::new(&self.options.backbone, request) };
        let model = ModelSource::File(self.options.out.clone());
        let options = ModelOptions { model, compute: self.options.backbone.compute, ..ModelOptions::default() };
        Explainer::of_typed(lesson.typed(&self.backbone, manifest)?, &options, request)
    }

    /// Checks whether classes are recognised by their background, in the order of [`Pupil::classes`].
    ///
    /// # Errors
    /// There are not two classes, or the runtime fails.
    pub fn check(&mut self) -> Result<Vec<BackgroundCheck>> {
        let Some((lesson, _)) = &self.lesson else {
            return Err(Error::Conflict("teach two classes first".into()));
        };
        let checks = backgrounds(&self.album.pictures(MIXED)?, &mut self.reader, &lesson.linear, SEED, &|_| true)?;
        let mut of_classes = vec![BackgroundCheck::default(); self.album.classes().len()];
        for (class, check) in self.album.taught().into_iter().zip(checks) {
            of_classes[class] = check;
        }
        Ok(of_classes)
    }
}
