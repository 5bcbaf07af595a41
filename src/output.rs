//! Outputs that appear under their name when they are whole.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::{Error, Result};

/// A file that gets its final name only when it is complete.
pub struct PartFile {
    pub path: PathBuf,
    pub part: PathBuf,
    done: bool,
    overwrite: bool,
}

impl PartFile {
    /// # Errors
    /// `path` exists and may not be overwritten, or lies in no folder.
    pub fn new(path: &Path, overwrite: bool) -> Result<Self> {
        check_free(path, overwrite)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|f| !f.is_dir()) {
            return Err(Error::output(path, format!("there is no folder {}", folder.display())));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if overwrite {
            sweep(folder.unwrap_or(Path::new(".")), &name);
        }
        let part = path.with_file_name(format!(".{}.part.{name}", std::process::id()));
        Ok(Self { path: path.to_owned(), part, done: false, overwrite })
    }

    /// One that has its final name from the start: a recording, of which what is written must stay whatever happens.
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

    /// Takes nobody's place: what another program has made under the name stays, where the file system can tell.
    fn name(&self) -> io::Result<()> {
        if !self.overwrite {
            match fs::hard_link(&self.part, &self.path) {
                Ok(()) => return fs::remove_file(&self.part),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
                // Not every file system has links.
                Err(_) => {}
            }
        }
        fs::rename(&self.part, &self.path)
    }

    /// # Errors
    /// The file cannot get its name, or another program has made one of that name meanwhile.
    pub fn complete(&mut self) -> Result<()> {
        if !self.done {
            self.name().map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => occupied(&self.path),
                _ => Error::writing(&self.path, &e),
            })?;
            self.done = true;
        }
        Ok(())
    }
}

/// # Errors
/// Something of that name is there, and may not be overwritten.
pub fn check_free(path: &Path, overwrite: bool) -> Result<()> {
    // A device or a pipe is there to be written to.
    if !overwrite && (path.is_file() || path.is_dir()) { Err(occupied(path)) } else { Ok(()) }
}

fn occupied(path: &Path) -> Error {
    Error::output(path, "it exists already; --force overwrites it")
}

/// Writes a file that appears under its name when it is whole, or to a device.
///
/// # Errors
/// As of [`check_free`]; the file cannot be written.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>, overwrite: bool) -> Result<()> {
    if path.exists() && !path.is_file() {
        return fs::write(path, bytes).map_err(|e| Error::writing(path, &e));
    }
    let mut file = PartFile::new(path, overwrite)?;
    fs::write(&file.part, bytes).map_err(|e| Error::writing(path, &e))?;
    file.complete()
}

/// The bytes with their CRC-32 behind them, for a file that nobody else reads.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// What was sealed, if it is still that.
pub fn unsealed(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let sum = bytes.split_off(bytes.len().checked_sub(size_of::<u32>())?);
    (sum == crc32fast::hash(&bytes).to_le_bytes()).then_some(bytes)
}

/// The first of these names under which there is nothing yet.
pub fn first_free(names: impl IntoIterator<Item = String>) -> PathBuf {
    names.into_iter().map(PathBuf::from).find(|name| !name.exists()).unwrap_or_default()
}

/// Removes what runs that were killed have left of a file. Which processes live, Linux alone says in this way.
fn sweep(folder: &Path, name: &str) {
    let Some(entries) = fs::read_dir(folder).ok().filter(|_| cfg!(target_os = "linux")) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let process = file.strip_prefix('.').and_then(|rest| rest.strip_suffix(&format!(".part.{name}")));
        if process.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.part);
        }
    }
}
