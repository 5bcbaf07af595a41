//! `whycam evaluate`

mod json;
mod page;
mod plots;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use whycam::ExplainerOptions;
use whycam::cam::{self, METHODS, Method};
use whycam::evaluate::{Plan, evaluate};
use whycam::{check_free, write_whole};

use super::run::progress_bar;
use super::{Common, Status, UsageError, print, say};

#[derive(Args)]
pub struct Evaluate {
    /// A folder of class folders, such as flowers/roses/1.jpg
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How many of the photos the maps are measured on; all are classified
    #[arg(long, value_name = "N", default_value_t = 100)]
    sample: usize,
    /// How many grids of four photos are pointed at
    #[arg(long, value_name = "N", default_value_t = 50)]
    grids: usize,
    /// Also measure flicker and lag of the maps along this film; may be given several times
    #[arg(long, value_name = "FILE")]
    film: Vec<PathBuf>,
    /// Of the choice of photos and grids
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// One JSON object, to a file or - for standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// A report with pictures and plots, in one file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

/// Photos whose maps are compared with those of a model with other weights.
const SANITY_PHOTOS: usize = 8;
const STEPS: usize = 32;

impl Evaluate {
    pub fn run(self, common: &Common) -> Result<Status> {
        for path in [&self.json, &self.html].into_iter().flatten() {
            check_free(path, self.force)?;
        }
        for (option, given) in [("--class", &common.class), ("--contrast", &common.contrast)] {
            if given.is_some() {
                let problem = format!("{option} does not go with evaluate, which explains the predicted class");
                return Err(UsageError(problem).into());
            }
        }
        common.tell_runtime()?;
        let plan = Plan {
            options: ExplainerOptions { method: None, ..common.explainer_options() },
            methods: methods(common.method.as_deref())?,
            sample: self.sample,
            grids: self.grids,
            sanity: SANITY_PHOTOS,
            steps: STEPS,
            seed: self.seed,
            films: self.film,
        };
        let bar = if common.quiet { ProgressBar::hidden() } else { progress_bar() };
        bar.set_length(1000);
        let evaluation = evaluate(&self.folder, &plan, |share| bar.set_position((share * 1000.0) as u64));
        bar.finish_and_clear();
        let evaluation = evaluation?;
        if let Some(path) = &self.html {
            write_whole(path, page::page(&evaluation, &plan, common)?, self.force)?;
        }
        for error in &evaluation.unread {
            say(error);
        }
        let status = if evaluation.unread.is_empty() { Status::Done } else { Status::Failed };
        let json = || format!("{}\n", json::json(&evaluation));
        match &self.json {
            Some(path) if path == Path::new("-") => {
                print(&json())?;
                return Ok(status);
            }
            Some(path) => write_whole(path, json(), self.force)?,
            None => {}
        }
        print(&table::table(&evaluation))?;
        Ok(status)
    }
}

/// One method, several with commas between them, or all.
fn methods(names: Option<&str>) -> Result<Vec<&'static Method>> {
    Ok(match names {
        None => vec![&METHODS[0]],
        Some("all") => METHODS.iter().collect(),
        Some(names) => names.split(',').map(|name| cam::find(name.trim())).collect::<whycam::Result<_>>()?,
    })
}
