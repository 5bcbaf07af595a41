//! The thread that speaks HTTP.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::routes::{Site, answer};
use crate::error::{Error, Result};

/// Connections at once. A page takes about three.
const MOST_CONNECTIONS: usize = 96;
/// How long a connection may take to send a request, and may stay without one.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// A connection that neither streams nor asks for anything for so long is closed, also one whose viewer takes no answers.
const IDLE_TIME: Duration = Duration::from_secs(15);
/// Bytes that wait for a viewer.
const BUFFER: usize = 64 << 10;
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 17\r\nRetry-After: 5\r\n\
                      Connection: close\r\n\r\ntoo many viewers\n";

/// The server. Dropping it closes all connections.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Takes an address; port 0 is any free one. Returns it with the address taken.
    ///
    /// # Errors
    /// The address is taken, or not of this machine.
    pub fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
        let failed = |e: std::io::Error| {
            let problem = format!("{e}; --serve ADDR:PORT takes another address");
            Error::runtime(format!("serving at {address}"), problem).caused_by(e)
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let taken = listener.local_addr().map_err(failed)?;
        Ok((listener, taken))
    }

    /// Answers requests from now on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(listener: TcpListener, site: Site) -> Result<Self> {
        let failed = |e: std::io::Error| Error::runtime("thread page", &e).caused_by(e);
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, Arc::new(site)) => {}
                    _ = stopped => {}
                }
            });
            // A picture that is being encoded for a viewer is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("page".into()).spawn(serve).map_err(failed)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The process has no more files.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            let _ = stream.try_write(BUSY);
            continue;
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            converse(stream, site).await;
            drop(place);
        });
    }
}

/// Answers the requests of one connection until it ends, or its viewer takes nothing for too long.
async fn converse(stream: TcpStream, site: Arc<Site>) {
    // Pictures go out as soon as they are there.
    let _ = stream.set_nodelay(true);
    let stalled = Arc::new(Notify::new());
    // Requests so far, and whether the last one is answered for as long as the viewer stays.
    let state = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
    let service = service_fn(|request: Request<Incoming>| {
        let (site, stalled, state) = (Arc::clone(&site), Arc::clone(&stalled), Arc::clone(&state));
        async move {
            state.0.fetch_add(1, Ordering::Relaxed);
            let response = answer(&site, request, stalled).await;
            state.1.store(response.body().is_stream(), Ordering::Relaxed);
            Ok::<_, Infallible>(response)
        }
    });
    let idle = async {
        let mut before = None;
        loop {
            tokio::time::sleep(IDLE_TIME).await;
            let now = state.0.load(Ordering::Relaxed);
            if before == Some(now) && !state.1.load(Ordering::Relaxed) {
                return;
            }
            before = Some(now);
        }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A viewer who leaves is no error.
        _ = connection => {}
        () = stalled.notified() => {}
        () = idle => {}
    }
}
