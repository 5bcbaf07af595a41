//! The commands and their options.

use std::ffi::OsString;
use std::fs::File;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::layer::SubscriberExt;

use super::args::GlobalArgs;
use super::output::ExitStatus;
use super::{
    bench, cameras, demo, evaluate, explain, generate, gradient, inspect, live, methods, models, prepare, teach, web,
};

/// Shows why an image classifier says what it says: Grad-CAM for any ONNX model, on pictures,
/// films and live video.
///
/// Without a command it shows the first camera; the options of `whycam live` apply.
#[derive(Parser)]
#[command(name = "whycam", version, max_term_width = 100)]
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
    /// L the layer; 1 to 9 explain the class of that rank, or that object, and 0 the predicted class, or all objects; Tab the
    /// next object; N teaches new classes, which 1 to 9 then take pictures of; F switches between fluid and aligned, T shows the likeliest classes, V side by side, I age and rates, H help; Q, Esc or Ctrl-C quit.
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
    /// Write a model that also gives the gradient of one of its tensors by others
    ///
    /// It takes the gradient by the first tensor in the input `seed`, and gives one output TENSOR.gradient for each of the
    /// others: the product of the seed with the Jacobian. The model may be of pictures or of anything else.
    Gradient(gradient::Gradient),
    /// Write a page that explains what the visitor's own camera sees, in the visitor's browser
    ///
    /// The page is a folder of files for any web server. The model runs in the browser, by WebGPU where there is, else by
    /// WebAssembly; no picture leaves the visitor's machine.
    Web(web::Web),
    /// Measure on labelled photos how accurate a model is, and how faithful its maps are
    ///
    /// Photos are in folders that have the names of the model's classes. --method takes one method, several separated
    /// by commas, or all.
    Evaluate(evaluate::Evaluate),
    /// Teach new classes from folders of pictures, in seconds
    ///
    /// The features of a model stay as they are, and the classes are fitted to them. The result is a model with its
    /// manifest, which every other command takes.
    Teach(teach::Teach),
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
    /// Parses the command line.
    ///
    /// # Errors
    /// It is wrong, or asks for help.
    pub fn parse_words<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(words)?;
        check_order(&matches)?;
        check_teaching(&matches)?;
        Self::from_arg_matches(&matches)
    }

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
            Some(Command::Gradient(gradient)) => gradient.run(global),
            Some(Command::Web(web)) => web.run(global),
            Some(Command::Evaluate(evaluate)) => evaluate.run(global),
            Some(Command::Teach(teach)) => teach.run(global),
            Some(Command::Bench(bench)) => bench.run(global),
            Some(Command::Cameras) => cameras::run(),
            Some(Command::Models) => models::run(),
            Some(Command::Methods) => methods::run(),
            Some(Command::Generate(generate)) => generate.run(),
        }
    }
}

/// # Errors
/// An option of live view comes before another command, which would not use it.
fn check_order(matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((name, _)) = matches.subcommand() else { return Ok(()) };
    let mut command = Arguments::command();
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let early = command.get_arguments().find(|option| !option.is_global_set() && given(option.get_id().as_str()));
    let Some(option) = early.and_then(|option| option.get_long()) else { return Ok(()) };
    let problem = format!("--{option} comes after the command: whycam {name} --{option} …");
    Err(command.error(ErrorKind::ArgumentConflict, problem))
}

/// # Errors
/// Teaching does not use an option, or only with --live.
fn check_teaching(matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some(("teach", given)) = matches.subcommand() else { return Ok(()) };
    let mut program = Arguments::command();
    let Some(command) = program.find_subcommand_mut("teach") else { return Ok(()) };
    let options: Vec<String> = command.get_arguments().map(|option| option.get_id().to_string()).collect();
    let refused = |id: &&String| {
        let id = id.as_str();
        let used = !teach::NEVER.contains(&id) && (given.get_flag("live") || teach::OF_FOLDER.contains(&id));
        !used && given.value_source(id) == Some(ValueSource::CommandLine)
    };
    let Some(id) = options.iter().find(refused) else { return Ok(()) };
    let name = id.replace('_', "-");
    let problem = if teach::NEVER.contains(&id.as_str()) {
        format!("--{name} is not for teaching")
    } else {
        format!("--{name} is for whycam teach --live")
    };
    Err(command.error(ErrorKind::ArgumentConflict, problem))
}

/// Writes a trace until the guard is dropped.
fn begin_trace(global: &GlobalArgs) -> Result<Option<FlushGuard>> {
    let Some(path) = &global.trace else { return Ok(None) };
    // An earlier trace is written anew; anything else is not.
    let is_trace = |text: &str| {
        let events = text.strip_prefix("[\n");
        text.is_empty()
            || events.is_some_and(|events| {
                matches!(events.trim(), "" | "]") || events.lines().any(|event| event.contains("\"ph\":"))
            })
    };
    if path.is_file() && !std::fs::read_to_string(path).is_ok_and(|text| is_trace(&text)) {
        return Err(whycam::Error::output(path, "it exists and is no trace; remove it, or choose another name").into());
    }
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
    fn an_option_is_given_after_its_command() {
        let parsed = |words: &str| Arguments::parse_words(words.split(' ')).map(drop).map_err(|e| e.to_string());
        assert_eq!(parsed("whycam -q models"), Ok(()));
        assert_eq!(parsed("whycam --camera 1"), Ok(()));
        let error = parsed("whycam --model flowers explain a.png").unwrap_err();
        assert!(error.contains("whycam explain --model"), "{error}");
    }

    #[test]
    fn the_commands_of_the_pages_are_understood() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
        let pages = std::fs::read_dir(docs).unwrap_or_else(|e| panic!("{docs}: {e}"));
        let mut text = include_str!("../../README.md").to_owned();
        for page in pages.flatten() {
            text += &std::fs::read_to_string(page.path()).unwrap_or_else(|e| panic!("{e}"));
        }
        let commands = commands(&text);
        assert!(commands.len() > 30, "{commands:?}");
        for command in commands {
            Arguments::parse_words(&command).unwrap_or_else(|e| panic!("{command:?}: {e}"));
        }
    }
}
