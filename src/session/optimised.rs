//! Graphs that ONNX Runtime has optimised, kept on disk in its own format. Such a graph loads without being optimised
//! again, and all sessions of one graph share its weights in memory.

use std::env::consts::ARCH;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ort::session::builder::SessionBuilder;

use super::graph_session::GraphSession;
use crate::files::{PartFile, limits, sealed, unsealed};

/// Models larger than this are not cached, as their graphs would fill the disk.
const MOST_BYTES: usize = 256 << 20;

/// The graphs that sessions of this process use, by their path on disk.
static IN_USE: Mutex<Vec<(PathBuf, Weak<Vec<u8>>)>> = Mutex::new(Vec::new());

/// A session of the optimised graph of `model`, read from `folder` or written there by a session of `builder`. The
/// file gets its name when it is complete, so several processes may write it at once. `None` if the graph cannot be
/// cached or loaded.
pub fn shared_session(model: &[u8], folder: &Path, builder: &SessionBuilder) -> Option<GraphSession> {
    let bytes = optimised_graph(model, folder, builder.clone())?;
    GraphSession::sharing(builder.clone(), bytes).ok()
}

fn optimised_graph(model: &[u8], folder: &Path, builder: SessionBuilder) -> Option<Arc<Vec<u8>>> {
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
        return Some(bytes);
    }
    let cached = limits::read(&path, limits::MODEL_BYTES).ok().and_then(unsealed);
    let bytes = Arc::new(cached.or_else(|| optimise(model, &path, builder))?);
    in_use.push((path, Arc::downgrade(&bytes)));
    Some(bytes)
}

/// Lets the runtime optimise a model, writes the graph to `path` and returns its bytes.
fn optimise(model: &[u8], path: &Path, builder: SessionBuilder) -> Option<Vec<u8>> {
    fs::create_dir_all(path.parent()?).ok()?;
    let mut file = PartFile::new(path, true).ok()?;
    let builder = builder.with_optimized_model_path(&file.part).ok()?;
    builder.with_config_entry("session.save_model_format", "ORT").ok()?.commit_from_memory(model).ok()?;
    let bytes = sealed(fs::read(&file.part).ok()?);
    fs::write(&file.part, &bytes).ok()?;
    file.complete().ok()?;
    unsealed(bytes)
}

/// The processor features that decide the runtime's weight layout; several machines may share a disk.
fn processor() -> (&'static str, Vec<bool>) {
    #[cfg(target_arch = "x86_64")]
    let features = vec![
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
    let features = Vec::new();
    (ARCH, features)
}
