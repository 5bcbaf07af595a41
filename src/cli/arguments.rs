//! The commands and their options.

use std::fs::File;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::layer::SubscriberExt;

use super::args::GlobalArgs;
use super::output::ExitStatus;
use super::{bench, cameras, demo, evaluate, explain, generate, inspect, live, methods, models, prepare};

/// Shows why an image classifier says what it says: Grad-CAM for any ONNX model, on pictures,
/// films and live video.
///
/// Without a command it shows the first camera; the options of `whycam live` apply.
#[derive(Parser)]
#[command(name = "whycam", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    live: live::Live,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Explain a camera's picture in a window
    ///
    /// Keys: Space pauses, S takes a snapshot, R records, C changes the colours, + and - the opacity, M the method,
    /// L the layer; 1 to 9 explain the class of that rank and 0 the predicted class; F switches between fluid and
    /// aligned, T shows the likeliest classes, V side by side, I age and rates, H help; Q, Esc or Ctrl-C quit.
    Live(live::Live),
    /// Explain drawn flowers: no camera, no files
    ///
    /// In a window if there is a display, otherwise into a film whose name it prints.
    Demo(demo::Demo),
    /// Explain pictures, folders, GIFs, films and streams
    ///
    /// Results are written next to each input as NAME.whycam.EXT, or where -o says. With --json or --maps
    /// and without -o, no pictures are written. A film keeps its frames, their times, its size and
    /// its sound.
    Explain(explain::Explain),
    /// Show a model's input, classes and layers
    Inspect(inspect::Inspect),
    /// Write an augmented model, which explains its predictions in any ONNX runtime
    ///
    /// It gives `logits`, `activations` and `gradients` next to the model's own outputs, for the class in the
    /// input `class_index` (-1: the predicted one).
    Prepare(prepare::Prepare),
    /// Measure on labelled photos how accurate a model is, and how faithful its maps are
    ///
    /// Photos are in folders that have the names of the model's classes. --method takes one method, several separated
    /// by commas, or all.
    Evaluate(evaluate::Evaluate),
    /// Measure the plain forward pass, the explained one and the whole pipeline, side by side
    Bench(bench::Bench),
    /// List the cameras
    Cameras,
    /// List the built-in models
    Models,
    /// List the methods, with what each costs and is good for
    Methods,
    /// Write man pages or shell completions into a folder
    Generate(generate::Generate),
}

impl Arguments {
    /// # Errors
    /// The work failed.
    pub fn run(self) -> Result<ExitStatus> {
        let global = &self.global;
        let _trace = begin_trace(global)?;
        match self.command {
            None => self.live.run(global),
            Some(Command::Live(live)) => live.run(global),
            Some(Command::Demo(demo)) => demo.run(global),
            Some(Command::Explain(explain)) => explain.run(global),
            Some(Command::Inspect(inspect)) => inspect.run(global),
            Some(Command::Prepare(prepare)) => prepare.run(global),
            Some(Command::Evaluate(evaluate)) => evaluate.run(global),
            Some(Command::Bench(bench)) => bench.run(global),
            Some(Command::Cameras) => cameras::run(),
            Some(Command::Models) => models::run(),
            Some(Command::Methods) => methods::run(),
            Some(Command::Generate(generate)) => generate.run(),
        }
    }
}

/// Writes a trace until the guard is dropped.
fn begin_trace(global: &GlobalArgs) -> Result<Option<FlushGuard>> {
    let Some(path) = &global.trace else { return Ok(None) };
    let file = File::create(path).map_err(|e| whycam::Error::writing(path, &e))?;
    let (layer, guard) = ChromeLayerBuilder::new().writer(file).build();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Some(guard))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// The arguments of every `whycam` in the shell blocks of a page, as a shell hands them over.
    fn commands(page: &str) -> Vec<Vec<String>> {
        let mut script = "whycam() { printf '%s\\t' whycam \"$@\"; echo; }\n".to_owned();
        let mut goes_on = false;
        let blocks = page.split("```sh").skip(1).filter_map(|block| block.split("```").next());
        for line in blocks.flat_map(str::lines) {
            if goes_on || line.split(' ').next() == Some("whycam") {
                script.extend([line, "\n"]);
                goes_on = line.ends_with('\\');
            }
        }
        let variables = ["SLURM_ARRAY_TASK_ID", "SLURM_CPUS_PER_TASK", "JOB_COMPLETION_INDEX"].map(|name| (name, "1"));
        let output = std::process::Command::new("sh").args(["-euc", &script]).envs(variables).output();
        let output = output.unwrap_or_else(|e| panic!("sh: {e}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let words = |line: &str| line.split_terminator('\t').map(str::to_owned).collect();
        String::from_utf8_lossy(&output.stdout).lines().map(words).collect()
    }

    #[test]
    fn the_commands_of_the_readme_are_understood() {
        let commands = commands(include_str!("../../README.md"));
        assert!(commands.len() > 20, "{commands:?}");
        for command in commands {
            Arguments::try_parse_from(&command).unwrap_or_else(|e| panic!("{command:?}: {e}"));
        }
    }
}
