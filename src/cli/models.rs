//! `whycam models`

use anyhow::Result;
use whycam::models::EMBEDDED;

use super::Status;

pub fn run() -> Result<Status> {
    for model in EMBEDDED {
        let manifest = model.manifest()?;
        let accuracy = manifest.accuracy.map_or(String::new(), |a| format!("  accuracy {:.2}", a.test));
        println!("{}  {}{accuracy}", manifest.name, manifest.description);
    }
    Ok(Status::Done)
}
