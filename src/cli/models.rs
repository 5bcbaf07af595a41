//! `whycam models`

use anyhow::Result;
use whycam::model::EMBEDDED;

use super::output::{ExitStatus, print};

pub fn run() -> Result<ExitStatus> {
    let mut lines = Vec::new();
    for model in EMBEDDED {
        let manifest = model.manifest()?;
        let accuracy = manifest.accuracy.and_then(|accuracy| accuracy.test.or(accuracy.stated));
        let accuracy = accuracy.map_or(String::new(), |accuracy| format!("  accuracy {accuracy:.2}"));
        lines.push(format!("{}  {}{accuracy}\n", manifest.name, manifest.description));
    }
    print(&lines.concat())
}
