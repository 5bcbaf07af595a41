//! Models that explain themselves, kept on disk: finding logits and layer and writing the backward pass takes longer
//! than all else at the start.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bounds;
use crate::error::Result;
use crate::models::EMBEDDED;
use crate::onnx::OnnxModel;
use crate::opening::Opened;
use crate::options::ExplainerOptions;
use crate::output::{sealed, unsealed, write_whole};
use crate::session;

/// The metadata that say what a kept model was made from, and how.
const MADE_FROM: &str = "whycam.cache";
/// When a model is kept, the oldest files go until this is left, and those that are older than [`AGE`]. A model has one file
/// here, and one for what the runtime has made of it.
const MOST_BYTES: u64 = 1 << 30;
const AGE: Duration = Duration::from_hours(30 * 24);

/// A place on disk for one prepared model.
pub struct Slot {
    path: PathBuf,
    made_from: String,
}

impl Slot {
    /// The place for a model that is prepared by these options, or `None` where it cannot be told from others.
    pub fn of(options: &ExplainerOptions, opened: &Opened) -> Option<Self> {
        let Opened { model, manifest, .. } = opened;
        // A stamp of the model's file says nothing of others.
        let folder = options.cache.as_ref().filter(|_| !model.weights_beside)?;
        // The same program: another build may write another graph.
        let program = stamp(&std::env::current_exe().ok()?)?;
        let model = match &options.model {
            None => EMBEDDED[0].name.to_owned(),
            Some(name) if EMBEDDED.iter().any(|e| e.name == name) => name.clone(),
            Some(path) => stamp(Path::new(path))?,
        };
        let input = serde_json::to_string(&manifest.input).ok()?;
        let runtime = &session::runtime().ok()?.name;
        let (layer, output) = (options.layer.as_ref().or(manifest.layer.as_ref()), &options.output);
        let made_from = format!("{program} {model} {layer:?} {output:?} {:?} {input} {runtime}", manifest.output);
        let mut hasher = DefaultHasher::new();
        made_from.hash(&mut hasher);
        Some(Self { path: folder.join(format!("{:016x}.prepared", hasher.finish())), made_from })
    }

    /// The model, if it was kept. One that is damaged or of another origin is none.
    pub fn load(&self, name: &str) -> Option<OnnxModel> {
        let bytes = unsealed(bounds::read(&self.path, bounds::MODEL_BYTES).ok()?)?;
        let mut model = OnnxModel::from_bytes(name, bytes).ok()?;
        (model.take_metadata(MADE_FROM)? == self.made_from).then_some(model)
    }

    /// Keeps a model as far as that is possible. It gets its name when it is whole, so that several programs may do
    /// this at once.
    pub fn store(&self, model: &OnnxModel) {
        let mut model = model.clone();
        model.set_metadata(MADE_FROM, &self.made_from);
        let Some(folder) = self.path.parent() else { return };
        let _ = fs::create_dir_all(folder);
        let _ = write_whole(&self.path, sealed(model.to_bytes()), true);
        let _ = tidy(folder);
    }
}

/// What tells a file from another one or from a later state of itself.
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
        let metadata = entry.metadata()?;
        files.push((metadata.modified()?, metadata.len(), entry.path()));
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
    use crate::analysis::{Prepared, prepare_for_classes};

    fn prepared(options: &ExplainerOptions) -> Prepared {
        prepare_for_classes(options, false, &mut None).unwrap_or_else(|e| panic!("{e}"))
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }

    #[test]
    fn a_kept_model_is_the_one_that_was_prepared_and_a_damaged_one_is_made_anew() {
        let folder = std::env::temp_dir().join(format!("whycam-cache-{}", std::process::id()));
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/models/resnet.legacy.onnx");
        let model = Some(model.to_owned());
        let fresh = ExplainerOptions { model, ..ExplainerOptions::default() };
        let kept = ExplainerOptions { cache: Some(folder.clone()), ..fresh.clone() };
        let same = |a: &Prepared, b: &Prepared| {
            assert_eq!(a.model.graph(), b.model.graph());
            assert_eq!((&a.layer, a.grid, &a.place, a.classes), (&b.layer, b.grid, &b.place, b.classes));
            assert_eq!((&a.manifest.name, a.guess.is_some()), (&b.manifest.name, b.guess.is_some()));
        };
        let first = prepared(&fresh);
        same(&first, &prepared(&kept));
        assert_eq!(files(&folder).len(), 1);
        same(&first, &prepared(&kept));
        let early = ExplainerOptions { layer: Some("layer1/layer1.0/relu/".into()), ..kept.clone() };
        assert_ne!(prepared(&early).layer, first.layer);
        assert_eq!(prepared(&early).layer, prepared(&early).layer);
        for file in files(&folder) {
            let bytes = fs::read(&file).unwrap_or_default();
            fs::write(&file, &bytes[..bytes.len() / 2]).unwrap_or_default();
        }
        same(&first, &prepared(&kept));
        let _ = fs::remove_dir_all(folder);
    }
}
