//! The command line, one file a command.

mod bench;
mod cameras;
mod common;
mod demo;
mod encode;
mod evaluate;
mod explain;
mod generate;
mod inspect;
mod live;
mod methods;
mod models;
mod prepare;
mod run;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

pub use common::Common;

/// Shows why an image classifier says what it says: Grad-CAM for any ONNX model, on pictures,
/// films and live video.
///
/// Without a command it shows the first camera.
#[derive(Parser)]
#[command(name = "whycam", version, max_term_width = 100, args_conflicts_with_subcommands = false)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    /// Explain what a camera sees, in a window
    ///
    /// Keys: Space pauses, S takes a snapshot, R records, C changes the colours, + and - the opacity, M the method,
    /// L the layer; 1 to 9 explain that class and 0 the predicted one; F is fluid or aligned, T shows the likeliest
    /// classes, V side by side, I age and rates, H help; Q, Esc or Ctrl-C end it.
    Live(live::Live),
    /// Explain drawn flowers: no camera, no files
    ///
    /// In a window where there is a display, else into a film that it names.
    Demo(demo::Demo),
    /// Explain pictures, folders, GIFs, films and streams
    ///
    /// Results lie beside each input as NAME.whycam.EXT, or where -o says. With --json or --maps
    /// and without -o, no pictures are written. A film keeps its frames, their times, its size and
    /// its sound.
    Explain(explain::Explain),
    /// Show a model's input, classes and layers that can be explained
    Inspect(inspect::Inspect),
    /// Write a model that explains itself in any ONNX runtime
    ///
    /// Beside its own outputs it gives `logits`, `activations` and `gradients`, for the class that
    /// the input `class_index` names (-1: the predicted one).
    Prepare(prepare::Prepare),
    /// Measure on photos of known classes how right a model is, and how true its maps are
    ///
    /// --method takes one, several with commas between them, or all. Photos lie in folders that bear the
    /// names of the model's classes.
    Evaluate(evaluate::Evaluate),
    /// Measure the plain forward pass, the explained one and the whole pipeline, side by side
    Bench(bench::Bench),
    /// List the cameras
    Cameras,
    /// List the built-in models
    Models,
    /// List the ways to make a map, with what each costs and is good for
    Methods,
    /// Write man pages or completions for shells into a folder
    Generate(generate::Generate),
}

/// What the program ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    Failed,
    /// The command line is wrong.
    Usage,
    Interrupted,
}

/// Arguments that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl Status {
    pub fn of(error: &anyhow::Error) -> Self {
        let unknown = matches!(error.downcast_ref(), Some(whycam::Error::Unknown { .. } | whycam::Error::Together(_)));
        if unknown || error.is::<UsageError>() { Self::Usage } else { Self::Failed }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Usage => 2,
            Status::Interrupted => 130,
        })
    }
}

impl Arguments {
    /// # Errors
    /// The work failed; the error says of what.
    pub fn run(self) -> Result<Status> {
        let common = &self.common;
        let _trace = common.begin_trace()?;
        match self.command {
            None => live::Live::default().run(common),
            Some(Command::Live(live)) => live.run(common),
            Some(Command::Demo(demo)) => demo.run(common),
            Some(Command::Explain(explain)) => explain.run(common),
            Some(Command::Inspect(inspect)) => inspect.run(common),
            Some(Command::Prepare(prepare)) => prepare.run(common),
            Some(Command::Evaluate(evaluate)) => evaluate.run(common),
            Some(Command::Bench(bench)) => bench.run(common),
            Some(Command::Cameras) => cameras::run(),
            Some(Command::Models) => models::run(),
            Some(Command::Methods) => methods::run(),
            Some(Command::Generate(generate)) => generate.run(),
        }
    }
}

/// Says something to the person at the terminal, on standard error.
pub fn say(what: impl std::fmt::Display) {
    eprintln!("whycam: {}", whycam::printable(&what.to_string()));
}

/// Writes to standard output; a reader that has gone, as `head` does, is no error.
fn print(text: &str) -> Result<Status> {
    match io::stdout().write_all(whycam::printable(text).as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context("cannot write to standard output"),
        _ => Ok(Status::Done),
    }
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
