//! A log on disk of what is printed, for a program that runs unattended.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use whycam::plumbing::{make_folder, without_secrets};

use super::output::say;

/// Days that are kept.
const DAYS: usize = 7;

static LOG: OnceLock<Mutex<RollingFileAppender>> = OnceLock::new();

/// Writes a copy of every line that is printed from now on into a folder: `whycam.DATE.log`, a file a day. Addresses lose
/// their secrets.
///
/// # Errors
/// The folder cannot be written.
pub fn start(folder: &Path) -> Result<()> {
    make_folder(folder)?;
    let builder = RollingFileAppender::builder().rotation(Rotation::DAILY).max_log_files(DAYS);
    let log = builder.filename_prefix("whycam").filename_suffix("log").build(folder);
    let log = log.with_context(|| format!("cannot write the log into {}", folder.display()))?;
    // A second start goes on with the first log.
    let _ = LOG.set(Mutex::new(log));
    say(format_args!("the log is in {}", folder.display()));
    Ok(())
}

/// Writes a line to the log, if there is one. A full disk stops the log alone.
pub fn write(line: &str) {
    if let Some(log) = LOG.get() {
        let now = OffsetDateTime::now_utc().truncate_to_second().format(&Rfc3339).unwrap_or_default();
        let _ = writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{now} {}", without_secrets(line));
    }
}
