//! What an interrupted evaluation has measured.

use std::path::{Path, PathBuf};

use anyhow::Result;
use whycam::evaluate::Plan;
use whycam::sink::ResumeLog;
use whycam::source::class_folders;

use crate::cli::output::UsageError;
use crate::cli::resume_key::{ResumeKey, written};

/// The log next to the file of results.
pub fn log(json: Option<&Path>, folder: &Path, plan: &Plan) -> Result<ResumeLog> {
    let Some(json) = json.filter(|json| *json != Path::new("-")) else {
        return Err(UsageError("--resume needs --json FILE, to keep next to it what is measured".into()).into());
    };
    let mut key = ResumeKey::new(&plan.options, &plan.request);
    key.note("folder", folder.display().to_string(), String::new());
    let photos = class_folders(folder).unwrap_or_default().into_iter().flat_map(|class| class.photos);
    key.note("photos", checksum(photos), String::new());
    key.note("films", checksum(plan.films.iter().cloned()), String::new());
    key.note("sample", plan.sample, 0);
    key.note("grids", plan.grids, 0);
    key.note("seed", plan.seed, 0);
    let done = format!("{}.done", json.display());
    Ok(ResumeLog::read(Path::new(&done), &key.text(), "options, photos or films")?)
}

/// The number of files, and a checksum of their names, sizes and times. Empty without any.
fn checksum(files: impl Iterator<Item = PathBuf>) -> String {
    let (mut count, mut hasher) = (0, crc32fast::Hasher::new());
    for file in files {
        hasher.update(format!("{} {}\n", file.display(), written(&file)).as_bytes());
        count += 1;
    }
    if count == 0 { String::new() } else { format!("{count}, {:08x}", hasher.finalize()) }
}
