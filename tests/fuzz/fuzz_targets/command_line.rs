//! Lines as the words of a command line.
#![no_main]
#![allow(dead_code)]

#[path = "../../../src/cli/mod.rs"]
mod cli;

use clap::Parser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = cli::Arguments::try_parse_from(std::iter::once("whycam").chain(text.lines()));
});
