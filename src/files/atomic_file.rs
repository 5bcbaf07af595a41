//! Output files that get their final name only when they are complete.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::{Error, Result};

/// A file that gets its final name only when it is complete. Dropping it earlier removes what was written.
pub struct PartFile {
    /// The final name.
    pub path: PathBuf,
    /// The name under which the file is written.
    pub part: PathBuf,
    done: bool,
    overwrite: bool,
}

impl PartFile {
    /// Chooses a temporary name in the folder of `path`; the caller creates the file.
    ///
    /// # Errors
    /// `path` exists and `overwrite` is false, or its folder does not exist.
    pub fn new(path: &Path, overwrite: bool) -> Result<Self> {
        check_place(path, overwrite)?;
        let folder = folder_of(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if overwrite {
            remove_leftovers(folder.unwrap_or(Path::new(".")), &name);
        }
        let part = path.with_file_name(format!(".{}.part.{name}", std::process::id()));
        Ok(Self { path: path.to_owned(), part, done: false, overwrite })
    }

    /// A file that has its final name from the start, for a recording: what is written stays, however the run ends.
    ///
    /// # Errors
    /// As [`PartFile::new`].
    #[cfg(feature = "video")]
    pub fn in_place(path: &Path, overwrite: bool) -> Result<Self> {
        let mut file = Self::new(path, overwrite)?;
        file.part.clone_from(&file.path);
        file.done = true;
        Ok(file)
    }

    /// Gives the file its final name.
    ///
    /// # Errors
    /// The file cannot be renamed, or another program has created one of that name meanwhile.
    pub fn complete(&mut self) -> Result<()> {
        if !self.done {
            self.rename().map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => Error::exists(&self.path),
                _ => Error::writing(&self.path, &e),
            })?;
            self.done = true;
        }
        Ok(())
    }

    /// Unless it may overwrite, fails if the name exists. A hard link checks and creates the name in one step.
    fn rename(&self) -> io::Result<()> {
        if !self.overwrite {
            match fs::hard_link(&self.part, &self.path) {
                Ok(()) => return fs::remove_file(&self.part),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
                // Some file systems have no hard links.
                Err(_) => {}
            }
        }
        fs::rename(&self.part, &self.path)
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Checks that `path` may be written. A device or a pipe always may.
///
/// # Errors
/// A file or folder of that name exists, and `overwrite` is false.
pub fn check_free(path: &Path, overwrite: bool) -> Result<()> {
    if !overwrite && (path.is_file() || path.is_dir()) { Err(Error::exists(path)) } else { Ok(()) }
}

/// Checks that `path` may be written, and that its folder exists.
///
/// # Errors
/// As [`check_free`]; or there is no such folder.
pub fn check_place(path: &Path, overwrite: bool) -> Result<()> {
    check_free(path, overwrite)?;
    match folder_of(path).filter(|folder| !folder.is_dir()) {
        Some(folder) => Err(Error::output(path, format!("there is no folder {}", folder.display()))),
        None => Ok(()),
    }
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

/// Writes a whole file: under a temporary name first, or straight to a device or a pipe.
///
/// # Errors
/// As [`check_free`]; or the file cannot be written.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>, overwrite: bool) -> Result<()> {
    if path.exists() && !path.is_file() {
        return fs::write(path, bytes).map_err(|e| Error::writing(path, &e));
    }
    let mut file = PartFile::new(path, overwrite)?;
    fs::write(&file.part, bytes).map_err(|e| Error::writing(path, &e))?;
    file.complete()
}

/// The first of the names that does not exist yet.
pub fn first_free(names: impl IntoIterator<Item = String>) -> PathBuf {
    names.into_iter().map(PathBuf::from).find(|name| !name.exists()).unwrap_or_default()
}

/// Removes the temporary files of `name` that killed processes left. Linux only: `/proc` lists the running processes.
fn remove_leftovers(folder: &Path, name: &str) {
    let Some(entries) = fs::read_dir(folder).ok().filter(|_| cfg!(target_os = "linux")) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let process = file.strip_prefix('.').and_then(|rest| rest.strip_suffix(&format!(".part.{name}")));
        if process.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
