//! Streams to look at live, and what the program says of them.

use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

/// The number that stands before some words in a text.
pub fn number_before(text: &str, words: &str) -> f64 {
    let before = &text[..text.find(words).unwrap_or_else(|| panic!("no '{words}' in {text}"))];
    let digits = before.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap();
    digits.parse().unwrap_or_else(|_| panic!("no number before '{words}' in {text}"))
}

/// A film as an endless transport stream for the next one who asks.
pub fn serve_http(input: &str, address: &str) -> Child {
    let serve = ["-v", "error", "-re", "-stream_loop", "50", "-i", input, "-c", "copy", "-f", "mpegts", "-listen", "1"];
    let server = Command::new("ffmpeg").args(serve).arg(address).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    server
}

pub fn end(mut process: Child) {
    let _ = process.kill();
    let _ = process.wait();
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
