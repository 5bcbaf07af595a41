//! Teaching from a folder.

use anyhow::{Result, anyhow};
use indicatif::ProgressBar;
use whycam::plumbing::{check_free, write_whole};
use whycam::teach::{Backbone, Collection, Lesson, Thoroughness, backgrounds, read_folder, teach as fit};

use super::command::Teach;
use super::table::Taught;
use crate::cli::args::GlobalArgs;
use crate::cli::output::{ExitStatus, UsageError, check_outputs, print, say, say_error, write_json};
use crate::cli::run::{progress_bar, stop_on_ctrl_c};
use crate::cli::view::ViewArgs;

/// Pictures of each class that are mixed with those of others.
const MIXED: usize = 16;

pub fn teach(options: &Teach, global: &GlobalArgs) -> Result<ExitStatus> {
    let Teach { folder, out, settings, seed, view, .. } = options;
    let ViewArgs { json, force, .. } = view;
    let Some(folder) = folder else { return Err(UsageError("name a folder of class folders".into()).into()) };
    let manifest = out.with_extension("toml");
    check_outputs(&[Some(out), Some(&manifest), json.as_deref()], &[options.backbone.as_ref()])?;
    for path in [Some(out), Some(&manifest), json.as_ref()].into_iter().flatten() {
        check_free(path, *force)?;
    }
    global.tell_runtime()?;
    let model = settings.options(Some(&options.backbone));
    let backbone = Backbone::new(&model)?;
    global.tell_guess(backbone.typed.loaded.guess);
    if !global.quiet {
        backbone.typed.loaded.notices.iter().for_each(say);
    }
    let bar = if global.quiet { ProgressBar::hidden() } else { progress_bar() };
    bar.set_length(1000);
    let stop = stop_on_ctrl_c()?;
    let done = |from: f32, to: f32| {
        let (bar, stop) = (&bar, &stop);
        move |share: f32| {
            bar.set_position((1000.0 * (from + share * (to - from))) as u64);
            !stop.is_requested()
        }
    };
    let taught = (|| {
        let collection = read_folder(folder, &backbone, model.compute, &done(0.0, 0.5))?;
        let lesson = fit(&collection.examples, Thoroughness::Measured, *seed, &done(0.5, 0.9))?;
        let mut reader = backbone.reader(model.compute)?;
        let checks = backgrounds(&collection.pictures(MIXED)?, &mut reader, &lesson.linear, *seed, &done(0.9, 1.0))?;
        Ok(Taught { collection, lesson, checks })
    })();
    bar.finish_and_clear();
    let taught = match taught {
        Err(whycam::Error::Cancelled) => return Ok(ExitStatus::Interrupted),
        taught => taught?,
    };
    write(options, &backbone, &taught.lesson)?;
    report(options, global, &taught)
}

fn write(options: &Teach, backbone: &Backbone, lesson: &Lesson) -> Result<()> {
    let name = options.out.file_stem().ok_or_else(|| anyhow!("{}: it has no name", options.out.display()))?;
    let manifest = lesson.manifest(&name.to_string_lossy(), backbone)?;
    // A model without its manifest would be preprocessed by a guess.
    write_whole(&options.out.with_extension("toml"), manifest, options.view.force)?;
    write_whole(&options.out, lesson.model(backbone)?.to_bytes(), options.view.force)?;
    Ok(())
}

fn report(options: &Teach, global: &GlobalArgs, taught: &Taught) -> Result<ExitStatus> {
    let Collection { unread, .. } = &taught.collection;
    unread.iter().for_each(say_error);
    if !write_json(options.view.json.as_deref(), || format!("{}\n", taught.as_json()), options.view.force)? {
        print(&taught.as_table())?;
    }
    if !global.quiet {
        taught.warnings().iter().for_each(say);
        let (model, manifest) = (&options.out, options.out.with_extension("toml"));
        let (model, manifest) = (model.display(), manifest.display());
        say(format_args!("{model} and {manifest} are written; see it with: whycam live --model {model}"));
    }
    Ok(if unread.is_empty() { ExitStatus::Done } else { ExitStatus::Failed })
}
