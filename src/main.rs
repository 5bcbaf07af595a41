//! The program: reads the command line, does the work, reports once what went wrong.

mod cli;
mod memory;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    memory::keep_little();
    let arguments = cli::Arguments::parse();
    match arguments.run() {
        Ok(status) => status.into(),
        Err(error) => {
            cli::say(format_args!("{error:#}"));
            cli::Status::of(&error).into()
        }
    }
}
