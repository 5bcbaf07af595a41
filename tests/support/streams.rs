//! Streams for live view, and what the program says about them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command};

use super::wait_until;

/// The number in front of some words in a text.
pub fn number_before(text: &str, words: &str) -> f64 {
    let before = &text[..text.find(words).unwrap_or_else(|| panic!("no '{words}' in {text}"))];
    let digits = before.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap();
    digits.parse().unwrap_or_else(|_| panic!("no number before '{words}' in {text}"))
}

/// Serves a film as an endless transport stream to the next client, at an address of this machine that ends in `:PORT/`.
pub fn serve_http(input: &str, address: &str) -> Child {
    let serve = ["-v", "error", "-re", "-stream_loop", "50", "-i", input, "-c", "copy", "-f", "mpegts", "-listen", "1"];
    let server = Command::new("ffmpeg").args(serve).arg(address).spawn();
    let server = server.unwrap_or_else(|e| panic!("ffmpeg: {e}; run `make setup`"));
    let port = address.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    wait_for_listener(port.unwrap_or_else(|| panic!("{address} has no port")));
    server
}

/// An RTSP server, and a client that sends it a film over and over.
pub struct RtspServer {
    server: Child,
    sender: Child,
    port: u16,
}

impl RtspServer {
    pub fn start(input: &str) -> Self {
        let perl = |arguments: &[&str]| {
            let perl = Command::new("perl").args(["-MRTSP::Server", "-e"]).args(arguments).spawn();
            perl.unwrap_or_else(|e| panic!("perl: {e}; run `make setup`"))
        };
        assert!(perl(&["1"]).wait().unwrap().success(), "there is no RTSP server; run `make setup`");
        let [inward, outward, pictures] = [free_port(), free_port(), free_port()];
        let [to, from, first] = [inward, outward, pictures].map(|port| port.to_string());
        let serve = "use AnyEvent; RTSP::Server->new_with_options->listen; AnyEvent->condvar->recv";
        let server = perl(&[serve, "--", "-s", &to, "-c", &from, "--rtp_start_port", &first]);
        wait_for_listener(inward);
        wait_for_listener(outward);
        let send = ["-v", "error", "-re", "-stream_loop", "50", "-i", input, "-an", "-c", "copy", "-f", "rtsp"];
        let sender = Command::new("ffmpeg").args(send).arg(format!("rtsp://127.0.0.1:{inward}/live")).spawn();
        let sender = sender.unwrap_or_else(|e| panic!("ffmpeg: {e}; run `make setup`"));
        let server = Self { server, sender, port: outward };
        wait_until("the server has the stream", || server.has_the_stream());
        server
    }

    pub fn address(&self) -> String {
        format!("rtsp://127.0.0.1:{}/live", self.port)
    }

    fn has_the_stream(&self) -> bool {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(socket, "DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", self.address()).unwrap();
        let mut status = String::new();
        BufReader::new(socket).read_line(&mut status).unwrap();
        status.contains("200 OK")
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        for process in [&mut self.sender, &mut self.server] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub fn end(mut process: Child) {
    let _ = process.kill();
    let _ = process.wait();
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a program listens at a port. A connection would be taken for the client, so this reads the kernel's table
/// of sockets, where `0A` is the state of a listener, and `01` that of one that has its client already.
fn wait_for_listener(port: u16) {
    let port_field = format!(":{port:04X}");
    wait_until(&format!("a program listens at port {port}"), || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            matches!(fields[..], [_, local, _, state, ..] if local.ends_with(&port_field) && ["0A", "01"].contains(&state))
        })
    });
}
