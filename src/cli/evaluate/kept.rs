//! What an interrupted evaluation has measured.

use std::path::{Path, PathBuf};

use anyhow::Result;
use whycam::evaluate::Plan;
use whycam::sink::ResumeLog;
use whycam::source::class_folders;

use crate::cli::output::UsageError;
use crate::cli::resume_key::ResumeKey;

/// The log next to the file of results.
pub fn log(json: Option<&Path>, folder: &Path, plan: &Plan) -> Result<ResumeLog> {
    let Some(json) = json.filter(|json| *json != Path::new("-")) else {
        return Err(UsageError("--resume needs --json FILE, to keep next to it what is measured".into()).into());
    };
    let path = |path: &PathBuf| path.display().to_string();
    let mut key = ResumeKey::new(&plan.options, &plan.request);
    key.note("folder", folder.display().to_string(), String::new());
    key.note("photos", fingerprint(folder), String::new());
    key.note("sample", plan.sample, 0);
    key.note("grids", plan.grids, 0);
    key.note("seed", plan.seed, 0);
    key.note("films", plan.films.iter().map(path).collect::<Vec<_>>(), Vec::new());
    Ok(ResumeLog::read(Path::new(&format!("{}.done", json.display())), &key.text())?)
}

/// The number of photos, and a checksum of their names and sizes. Empty for a folder without class folders.
fn fingerprint(folder: &Path) -> String {
    let classes = class_folders(folder).unwrap_or_default();
    let (mut photos, mut hasher) = (0, crc32fast::Hasher::new());
    for photo in classes.iter().flat_map(|class| &class.photos) {
        let bytes = photo.metadata().map_or(0, |metadata| metadata.len());
        hasher.update(format!("{} {bytes}\n", photo.display()).as_bytes());
        photos += 1;
    }
    if photos == 0 { String::new() } else { format!("{photos}, {:08x}", hasher.finalize()) }
}
