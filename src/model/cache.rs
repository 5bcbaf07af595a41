//! Augmented models kept on disk: locating logits and layer and writing the backward pass takes longer than everything
//! else at the start.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::load::LoadedModel;
use super::options::{ModelOptions, ModelSource};
use super::request::Request;
use crate::error::Result;
use crate::files::{limits, sealed, unsealed, write_whole};
use crate::onnx::OnnxModel;
use crate::session;

/// The metadata entry that tells what a kept model was made from, and how.
const MADE_FROM: &str = "whycam.cache";
/// The metadata entry with what a user should know of how the scores were found, a JSON list.
const NOTICES: &str = "whycam.cache.notices";
/// When a model is stored, the oldest files are removed until this is left, and all that are older than [`AGE`]. A model
/// has one file here, and one for the runtime's optimised graph.
const MOST_BYTES: u64 = 1 << 30;
/// What names of files in the cache end in: augmented models, and graphs that the runtime optimised.
const KINDS: [&str; 2] = ["prepared", "optimised"];
const AGE: Duration = Duration::from_hours(30 * 24);

/// A file in the cache for one augmented model.
pub struct Slot {
    path: PathBuf,
    made_from: String,
}

impl Slot {
    /// The file for a model with these options, or `None` where the model cannot be told from others.
    pub fn of(options: &ModelOptions, request: &Request, loaded: &LoadedModel) -> Option<Self> {
        let LoadedModel { model, manifest, .. } = loaded;
        // A stamp of the model's file says nothing of the files that hold its weights.
        let folder = options.cache.as_ref().filter(|_| !model.external_weights)?;
        // The same program: another build may write another graph.
        let program = stamp(&std::env::current_exe().ok()?)?;
        let source = match &options.model {
            ModelSource::Embedded(embedded) => embedded.name.to_owned(),
            ModelSource::File(path) => stamp(loaded.path.as_deref().unwrap_or(path))?,
            ModelSource::Bytes(_) => return None,
        };
        let input = serde_json::to_string(&manifest.input).ok()?;
        let runtime = &session::runtime().ok()?.name;
        let layers = match request.layers.as_slice() {
            [] => manifest.layer.clone(),
            layers => Some(layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
        };
        // What a detector's outputs mean, and what its classes are called, is part of the kept model.
        let meaning = (&manifest.output, &manifest.task, manifest.reading(), &manifest.labels, manifest.shift);
        // Without a method, the model's default may write another graph.
        let usual = request.method.is_none();
        // A guess gives way to what the task needs, what was asked for does not; a size that is open is found by trying.
        let open = (loaded.guess.is_some(), loaded.size_open, &manifest.known);
        let made_from = format!("{program} {source} {layers:?} {usual} {meaning:?} {open:?} {input} {runtime}");
        let mut hasher = DefaultHasher::new();
        made_from.hash(&mut hasher);
        Some(Self { path: folder.join(format!("{:016x}.prepared", hasher.finish())), made_from })
    }

    /// The model, if it is kept, and what a user should know of it. A damaged file, or one of another origin, counts as
    /// absent.
    pub fn load(&self, name: &str) -> Option<(OnnxModel, Vec<String>)> {
        let bytes = unsealed(limits::read(&self.path, limits::MODEL_BYTES).ok()?)?;
        let mut model = OnnxModel::from_bytes(name, bytes).ok()?;
        let notices = serde_json::from_str(&model.take_metadata(NOTICES)?).ok()?;
        (model.take_metadata(MADE_FROM)? == self.made_from).then_some((model, notices))
    }

    /// Keeps a model, if the folder can be written. The file gets its name when it is complete, so that several
    /// programs may do this at once.
    pub fn store(&self, model: &OnnxModel, notices: &[String]) {
        let mut model = model.clone();
        model.set_metadata(NOTICES, serde_json::json!(notices).to_string());
        model.set_metadata(MADE_FROM, &self.made_from);
        let Some(folder) = self.path.parent() else { return };
        let _ = fs::create_dir_all(folder);
        let _ = write_whole(&self.path, sealed(model.to_bytes()), true);
        let _ = tidy(folder);
    }
}

/// Tells a file from another one, and from a later state of itself.
fn stamp(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let metadata = path.metadata().ok()?;
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {} {changed:?}", path.display(), metadata.len()))
}

fn tidy(folder: &Path) -> Result<(), std::io::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // The folder may hold files of others.
        if path.extension().is_some_and(|extension| KINDS.iter().any(|kind| extension == *kind)) {
            let metadata = entry.metadata()?;
            files.push((metadata.modified()?, metadata.len(), path));
        }
    }
    files.sort();
    let now = SystemTime::now();
    let mut bytes = 0;
    for (at, (changed, length, path)) in files.iter().rev().enumerate() {
        bytes += length;
        let old = now.duration_since(*changed).is_ok_and(|age| age > AGE);
        if at > 0 && (bytes > MOST_BYTES || old) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grad::LayerName;
    use crate::model::{AugmentedModel, Preset, augmented};

    fn prepared(options: &ModelOptions, layer: Option<&str>) -> AugmentedModel {
        let layers = layer.map(LayerName::from).into_iter().collect();
        let request = Request { layers, ..Request::default() };
        augmented(options, &request, false, &mut None).unwrap_or_else(|e| panic!("{e}"))
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }

    #[test]
    fn a_kept_model_is_the_augmented_one_and_a_damaged_one_is_made_again() {
        let folder = std::env::temp_dir().join(format!("whycam-cache-{}", std::process::id()));
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/models/resnet.legacy.onnx");
        let fresh = ModelOptions { model: model.into(), ..ModelOptions::default() };
        let kept = ModelOptions { cache: Some(folder.clone()), ..fresh.clone() };
        let same = |a: &AugmentedModel, b: &AugmentedModel| {
            assert_eq!(a.model.graph(), b.model.graph());
            let about = |m: &AugmentedModel| (m.contract.layer.clone(), m.contract.grid, m.contract.geometry);
            assert_eq!(about(a), about(b));
            assert_eq!((&a.manifest.name, a.guess.is_some()), (&b.manifest.name, b.guess.is_some()));
        };
        let first = prepared(&fresh, None);
        same(&first, &prepared(&kept, None));
        assert_eq!(files(&folder).len(), 1);
        same(&first, &prepared(&kept, None));
        let early = Some("layer1/layer1.0/relu/");
        assert_ne!(prepared(&kept, early).contract.layer, first.contract.layer);
        assert_eq!(prepared(&kept, early).contract.layer, prepared(&kept, early).contract.layer);
        for file in files(&folder) {
            let bytes = fs::read(&file).unwrap_or_default();
            fs::write(&file, &bytes[..bytes.len() / 2]).unwrap_or_default();
        }
        same(&first, &prepared(&kept, None));
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn what_was_asked_for_is_kept_apart_from_the_same_as_a_guess() {
        let folder = std::env::temp_dir().join(format!("whycam-cache-of-guesses-{}", std::process::id()));
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/detectors/yolov8.onnx");
        let fresh = ModelOptions { model: model.into(), ..ModelOptions::default() };
        for preset in [None, Some(Preset::ImageNet), None] {
            let fresh = ModelOptions { preset, ..fresh.clone() };
            let kept = ModelOptions { cache: Some(folder.clone()), ..fresh.clone() };
            let input = |options| format!("{:?}", prepared(options, None).manifest.input);
            assert_eq!(input(&kept), input(&fresh), "{preset:?}");
        }
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn files_of_others_in_the_folder_stay() {
        let folder = std::env::temp_dir().join(format!("whycam-cache-of-others-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap_or_default();
        let old = SystemTime::now() - 2 * AGE;
        for name in ["mine.onnx", "1.prepared", "2.optimised", "3.prepared"] {
            let file = fs::File::create(folder.join(name)).and_then(|file| file.set_modified(old));
            file.unwrap_or_else(|e| panic!("{e}"));
        }
        tidy(&folder).unwrap_or_else(|e| panic!("{e}"));
        let left: Vec<_> = files(&folder).into_iter().filter_map(|path| Some(path.file_name()?.to_owned())).collect();
        assert!(left.len() == 2 && left.contains(&"mine.onnx".into()), "{left:?}");
        let _ = fs::remove_dir_all(folder);
    }
}
