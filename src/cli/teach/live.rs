//! Teaching while a camera runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use whycam::overlay::Blend;
use whycam::pipeline::Policy;
use whycam::plumbing::check_free;
use whycam::source::class_folders;
use whycam::teach::PupilOptions;

use super::command::Teach;
use super::folder;
use crate::cli::args::{ExplainArgs, GlobalArgs, MapArgs, ModelArgs, ModelSettings};
use crate::cli::output::{ExitStatus, UsageError, check_outputs, report, say};
use crate::cli::run::PipelineRun;
use crate::cli::style_args::StyleArgs;

pub fn teach(options: Teach, global: &GlobalArgs) -> Result<ExitStatus> {
    if options.view.headless && options.view.audience.serve.is_none() {
        let problem = "teaching live takes keys, so it needs a window or --serve; without them, teach from a folder";
        return Err(UsageError(problem.into()).into());
    }
    if options.view.audience.kiosk {
        return Err(UsageError("teaching writes pictures, and in a kiosk nothing is written".into()).into());
    }
    if options.source.lanes() > 1 {
        return Err(UsageError("classes are taught from one source".into()).into());
    }
    options.view.audience.start_log()?;
    let album = album_of(&options.out);
    let again = album.is_dir();
    if !again {
        check_free(&options.out, options.view.force)?;
        check_free(&options.out.with_extension("toml"), options.view.force)?;
    }
    let report = report(global.quiet);
    let open = options.source.opener(options.view.ends(), &report)?;
    let read: Vec<&Path> = options.source.files().chain([Path::new(&options.backbone)]).collect();
    let written = [Some(options.out.as_path()), options.view.record.as_deref(), options.view.json.as_deref()];
    check_outputs(&written, &read)?;
    if again && !global.quiet {
        say(format_args!("going on with the pictures in {}", album.display()));
    }
    let explain = ExplainArgs {
        model: ModelArgs {
            model: Some(options.backbone.clone()),
            settings: ModelSettings { shares_processor: true, ..options.settings.clone() },
        },
        map: MapArgs::at(&options.method, &options.layers),
        style: StyleArgs { usual_blend: Blend::Evidence, ..options.style.clone() },
    };
    let taught = PupilOptions {
        backbone: explain.model.options(),
        out: options.out.clone(),
        album: album.clone(),
        classes: options.classes.iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect(),
    };
    let status = PipelineRun {
        global,
        explain: &explain,
        open,
        sinks: Box::new(|| options.view.sinks(true, explain.model.settings.threads, &report)),
        screen: options.view.audience.screen((640, 480), options.view.headless)?,
        options: options.view.pipeline_options(Policy::Newest, 1),
        explainers: None,
        pictures: options.view.pictures(),
        progress: false,
        highest: None,
        taught: Some(taught),
    }
    .run()?;
    measure(options, &album, global)?;
    Ok(status)
}

/// The folder of the pictures: that of the model, without its extension.
pub fn album_of(out: &Path) -> PathBuf {
    out.with_extension("")
}

/// Teaches once more from the pictures that were taken, with all measurements.
fn measure(options: Teach, album: &Path, global: &GlobalArgs) -> Result<()> {
    let classes = class_folders(album).unwrap_or_default();
    let taught = classes.iter().filter(|class| !class.photos.is_empty()).count();
    if taught < 2 {
        if !global.quiet {
            say("nothing is written, since there are not two classes with pictures");
        }
        return Ok(());
    }
    let mut view = options.view;
    (view.json, view.force) = (None, true);
    folder::teach(&Teach { folder: Some(album.to_owned()), live: false, view, ..options }, global)?;
    Ok(())
}
