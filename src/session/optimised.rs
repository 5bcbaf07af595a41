//! Graphs as ONNX Runtime has optimised them, kept on disk in its own format: such a graph loads in a fifth of the time
//! that optimising takes, and all sessions of one have the same weights in memory.

use std::env::consts::ARCH;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::bounds;
use crate::output::{PartFile, sealed, unsealed};

/// Larger models are not kept, which would take as much of the disk again.
const MOST_BYTES: usize = 256 << 20;

/// An optimised graph in memory.
pub struct Optimised(Arc<Vec<u8>>);

/// Those that sessions of this process use.
static IN_USE: Mutex<Vec<(PathBuf, Weak<Vec<u8>>)>> = Mutex::new(Vec::new());

impl Optimised {
    /// The graph of a model, out of `folder` or, made by a session of `builder`, kept there from now on. It gets its name
    /// when it is whole, so that several programs may do this at once. `None` where it cannot be kept.
    pub fn of(model: &[u8], folder: &Path, builder: SessionBuilder) -> Option<Self> {
        if model.len() > MOST_BYTES {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (model, ort::info(), processor()).hash(&mut hasher);
        let path = folder.join(format!("{:016x}.optimised", hasher.finish()));
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|(_, bytes)| bytes.strong_count() > 0);
        let used = in_use.iter().find(|(used, _)| *used == path).and_then(|(_, bytes)| bytes.upgrade());
        if let Some(bytes) = used {
            return Some(Self(bytes));
        }
        let kept = bounds::read(&path, bounds::MODEL_BYTES).ok().and_then(unsealed);
        let bytes = Arc::new(kept.or_else(|| make(model, &path, builder))?);
        in_use.push((path, Arc::downgrade(&bytes)));
        Some(Self(bytes))
    }

    /// A session of it, which must not outlive it.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn load(&self, builder: SessionBuilder) -> ort::Result<ort::session::Session> {
        let mut builder = builder.with_optimization_level(GraphOptimizationLevel::Disable)?;
        for key in ["session.use_ort_model_bytes_directly", "session.use_ort_model_bytes_for_initializers"] {
            builder = builder.with_config_entry(key, "1")?;
        }
        builder.commit_from_memory(&self.0)
    }
}

fn make(model: &[u8], path: &Path, builder: SessionBuilder) -> Option<Vec<u8>> {
    fs::create_dir_all(path.parent()?).ok()?;
    let mut file = PartFile::new(path, true).ok()?;
    let builder = builder.with_optimized_model_path(&file.part).ok()?;
    builder.with_config_entry("session.save_model_format", "ORT").ok()?.commit_from_memory(model).ok()?;
    let bytes = sealed(fs::read(&file.part).ok()?);
    fs::write(&file.part, &bytes).ok()?;
    file.complete().ok()?;
    unsealed(bytes)
}

/// What decides how the runtime lays out weights, on a disk that several machines may share.
fn processor() -> (&'static str, Vec<bool>) {
    #[cfg(target_arch = "x86_64")]
    let has = vec![
        is_x86_feature_detected!("avx"),
        is_x86_feature_detected!("avx2"),
        is_x86_feature_detected!("fma"),
        is_x86_feature_detected!("avxvnni"),
        is_x86_feature_detected!("avx512f"),
        is_x86_feature_detected!("avx512bw"),
        is_x86_feature_detected!("avx512dq"),
        is_x86_feature_detected!("avx512vl"),
        is_x86_feature_detected!("avx512vnni"),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let has = Vec::new();
    (ARCH, has)
}
