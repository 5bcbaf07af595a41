//! The program: it parses the command line, does the work, and reports what went wrong, once.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::allocator::keep_little();
    cli::keep_quiet_about_pictures();
    let arguments = cli::Arguments::parse_words(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match arguments.run() {
        Ok(status) => status.into(),
        Err(error) => {
            cli::say_failure(&error);
            cli::ExitStatus::of(&error).into()
        }
    }
}
