//! `whycam models`

use anyhow::Result;
use whycam::model::EMBEDDED;

use super::output::{ExitStatus, print};

pub fn run() -> Result<ExitStatus> {
    let mut lines = Vec::new();
    for model in EMBEDDED {
        let manifest = model.manifest()?;
        let accuracy = manifest.accuracy.map_or(String::new(), |a| format!("  accuracy {:.2}", a.test));
        lines.push(format!("{}  {}{accuracy}\n", manifest.name, manifest.description));
    }
    print(&lines.concat())
}
