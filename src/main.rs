//! The program: it parses the command line, does the work, and reports what went wrong, once.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::allocator::keep_little();
    let arguments = cli::Arguments::parse();
    match arguments.run() {
        Ok(status) => status.into(),
        Err(error) => {
            cli::say_failure(&error);
            cli::ExitStatus::of(&error).into()
        }
    }
}
