//! A program that serves its page, and what a viewer gets from it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{command, wait_until};

/// A running program with a page.
pub struct Served {
    pub whycam: Child,
    /// `127.0.0.1:PORT`.
    pub host: String,
    /// The rest of the printed address, such as `/?token=…`.
    pub rest: String,
    lines: Receiver<String>,
}

/// An answer without its body.
pub struct Head {
    pub status: u16,
    /// In lower case.
    pub headers: String,
    pub body: BufReader<TcpStream>,
}

impl Served {
    /// Starts the program with these arguments, which serve the page at any free port.
    pub fn start(arguments: &[&str]) -> Self {
        let mut whycam = command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(whycam.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut served = Self { whycam, host: String::new(), rest: String::new(), lines };
        let line = served.wait_for("the page is at ");
        let address = line.split("http://").nth(1).unwrap();
        let (host, rest) = address.split_once('/').unwrap();
        (served.host, served.rest) = (host.to_owned(), format!("/{rest}"));
        served
    }

    /// Waits for a line that is printed, and returns it.
    pub fn wait_for(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_mins(1));
            let line = line.unwrap_or_else(|e| panic!("'{words}' is not printed: {e}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    pub fn request(&self, line: &str, headers: &str, body: &str) -> Head {
        let mut socket = TcpStream::connect(&self.host).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let host = &self.host;
        let length = body.len();
        write!(socket, "{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{body}").unwrap();
        let mut body = BufReader::new(socket);
        let (mut head, mut status) = (String::new(), String::new());
        body.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            body.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            head += &line.to_lowercase();
        }
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Head { status, headers: head, body }
    }

    pub fn get(&self, path: &str) -> Head {
        self.request(&format!("GET {path}"), "", "")
    }

    /// Sends a command of the page. Returns the status.
    pub fn post(&self, json: &str) -> u16 {
        self.request("POST /command", "Content-Type: application/json\r\n", json).status
    }

    /// Waits for an event of a kind that is as wanted, and returns it.
    pub fn event(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut events = self.get("/events").body;
        let mut found = None;
        let mut of_kind = false;
        wait_until(&format!("there is such an event '{kind}'"), || {
            let mut line = String::new();
            events.read_line(&mut line).unwrap();
            if let Some(name) = line.strip_prefix("event: ") {
                of_kind = name.trim() == kind;
            }
            let data = line.strip_prefix("data: ").filter(|_| of_kind);
            found = data.and_then(|data| serde_json::from_str(data).ok()).filter(&wanted);
            found.is_some()
        });
        found.unwrap()
    }

    /// Resident memory, in kB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.whycam.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().split(' ').next().unwrap().parse().unwrap()
    }
}

impl Head {
    /// The next picture of a live stream.
    pub fn picture(&mut self) -> image::RgbImage {
        let mut length = 0;
        loop {
            let mut line = Vec::new();
            self.body.read_until(b'\n', &mut line).unwrap();
            let line = String::from_utf8_lossy(&line).to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if length > 0 && line.trim().is_empty() {
                break;
            }
        }
        // The chunks of HTTP have their lengths in between: pictures come as one chunk each, after which a line follows.
        let mut jpeg = vec![0; length];
        self.body.read_exact(&mut jpeg).unwrap();
        image::load_from_memory(&jpeg).unwrap().to_rgb8()
    }

    /// The whole body, of an answer with a length or in chunks.
    pub fn text(&mut self) -> Vec<u8> {
        let length = self.headers.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = Vec::new();
        if let Some(length) = length {
            body.resize(length, 0);
            self.body.read_exact(&mut body).unwrap();
            return body;
        }
        loop {
            let mut line = String::new();
            self.body.read_line(&mut line).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            self.body.read_exact(&mut chunk).unwrap();
            if length == 0 {
                return body;
            }
            body.extend(&chunk[..length]);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.whycam.kill();
        let _ = self.whycam.wait();
    }
}
