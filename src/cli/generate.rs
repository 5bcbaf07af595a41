//! `whycam generate`

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use whycam::Error;
use whycam::plumbing::make_folder;

use super::arguments::Arguments;
use super::output::ExitStatus;

#[derive(Args)]
pub struct Generate {
    #[arg(value_name = "WHAT")]
    what: What,
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// A page for whycam and one for each command
    Man,
    /// For bash, elvish, fish, PowerShell and zsh
    Completions,
    /// One page in Markdown with the help of each command
    Reference,
}

impl Generate {
    pub fn run(self) -> Result<ExitStatus> {
        let failed = |e: std::io::Error| Error::writing(&self.folder, &e);
        make_folder(&self.folder)?;
        let mut command = Arguments::command();
        match self.what {
            What::Man => clap_mangen::generate_to(command, &self.folder).map_err(failed)?,
            What::Completions => {
                for shell in Shell::value_variants() {
                    clap_complete::generate_to(*shell, &mut command, "whycam", &self.folder).map_err(failed)?;
                }
            }
            What::Reference => fs::write(self.folder.join("commands.md"), reference(command)).map_err(failed)?,
        }
        Ok(ExitStatus::Done)
    }
}

/// The help of each command, as Markdown.
fn reference(mut command: Command) -> String {
    command.build();
    let mut page = format!("# Commands\n\n```\n{}\n```\n", command.render_long_help());
    for part in command.get_subcommands_mut().filter(|part| part.get_name() != "help") {
        let (name, help) = (part.get_name().to_owned(), part.render_long_help());
        let _ = write!(page, "\n## whycam {name}\n\n```\n{help}\n```\n");
    }
    page
}
