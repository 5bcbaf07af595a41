//! The program: reads the command line, does the work, reports once what went wrong.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    return_freed_memory();
    let arguments = cli::Arguments::parse();
    match arguments.run() {
        Ok(status) => status.into(),
        Err(error) => {
            cli::say(format_args!("{error:#}"));
            cli::Status::of(&error).into()
        }
    }
}

/// Keeps glibc from holding on to what was freed. By itself it keeps ever more, up to the largest block that it has
/// seen freed: hundreds of megabytes after a few models were loaded one after the other.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc takes its settings by a call of C")]
fn return_freed_memory() {
    const KEPT_BYTES: i32 = 128 << 10;
    // SAFETY: mallopt takes two numbers, and no other thread runs yet.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn return_freed_memory() {}
