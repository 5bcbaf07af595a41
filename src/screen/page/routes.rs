//! What is at which address.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use image::ImageFormat;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc};

use super::access::{Access, Refusal};
use super::body::PageBody;
use super::command::PageCommand;
use super::feed::{Feed, Watching};
use crate::screen::ViewerCommand;

/// What the server answers from.
pub struct Site {
    pub access: Access,
    pub feed: Arc<Feed>,
    pub commands: Sender<ViewerCommand>,
    /// Whether viewers can save nothing.
    pub kiosk: bool,
    /// The turn to encode a snapshot.
    pub encoding: Semaphore,
}

/// The files of the page: address, kind and content.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("assets/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("assets/page.js")),
    ("/controls.js", "text/javascript; charset=utf-8", include_str!("assets/controls.js")),
    ("/results.js", "text/javascript; charset=utf-8", include_str!("assets/results.js")),
];
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'self'";
/// The largest command, in bytes.
const MOST_COMMAND: usize = 4096;
/// Commands that may wait. A page sends a few a second.
pub const MOST_WAITING: usize = 64;
/// A viewer who takes nothing for this long has gone.
const STALL: Duration = Duration::from_secs(30);
/// How long a command may take to come.
const COMMAND_TIME: Duration = Duration::from_secs(5);
/// How long a single picture is waited for.
const PICTURE_TIME: Duration = Duration::from_secs(5);

/// Answers a request. `stalled` is notified when its viewer takes nothing for too long.
pub async fn answer(site: &Site, request: Request<Incoming>, stalled: Arc<Notify>) -> Response<PageBody> {
    let mut response = match answered(site, request, stalled).await {
        Ok(response) => response,
        Err((status, why)) => with(status, "text/plain; charset=utf-8", format!("{why}\n")),
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(CACHE_CONTROL, "no-store");
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(REFERRER_POLICY, "no-referrer");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

async fn answered(
    site: &Site,
    request: Request<Incoming>,
    stalled: Arc<Notify>,
) -> Result<Response<PageBody>, Refusal> {
    let (method, address) = (request.method().clone(), request.uri().clone());
    site.access.check(&method, &address, request.headers())?;
    let path = address.path();
    let wanted = if path == "/command" { Method::POST } else { Method::GET };
    if method != wanted {
        let mut refused = with(StatusCode::METHOD_NOT_ALLOWED, "text/plain", format!("{path} takes {wanted}\n"));
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_str(wanted.as_str()).unwrap_or(HeaderValue::from_static("")));
        return Ok(refused);
    }
    // The token leaves the address, so that it is not seen on the screen, kept in the history or sent on.
    if let Some(cookie) = site.access.cookie_for(&address).filter(|_| path == "/") {
        let mut moved = with(StatusCode::SEE_OTHER, "text/plain", "the page is at /\n".into());
        moved.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            moved.headers_mut().insert(SET_COOKIE, cookie);
        }
        return Ok(moved);
    }
    match path {
        "/live.mjpg" => Ok(live(site, stalled)),
        "/events" => Ok(events(site, stalled)),
        "/history" => Ok(with(StatusCode::OK, "application/json", site.feed.history())),
        "/snapshot.png" if site.kiosk => Err((StatusCode::FORBIDDEN, "pictures of a kiosk are not saved")),
        "/snapshot.png" => snapshot(site).await,
        "/command" => command(site, request).await,
        _ => {
            let file = FILES.iter().find(|(at, ..)| *at == path);
            let (_, kind, content) = file.ok_or((StatusCode::NOT_FOUND, "there is nothing here; the page is at /"))?;
            Ok(respond(StatusCode::OK, kind, Bytes::from_static(content.as_bytes())))
        }
    }
}

fn respond(status: StatusCode, kind: &'static str, content: Bytes) -> Response<PageBody> {
    respond_with(status, kind, PageBody::Whole(Some(content)))
}

fn with(status: StatusCode, kind: &'static str, content: String) -> Response<PageBody> {
    respond(status, kind, content.into())
}

fn respond_with(status: StatusCode, kind: &'static str, body: PageBody) -> Response<PageBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The live picture: each time the newest one that the viewer has not got.
fn live(site: &Site, stalled: Arc<Notify>) -> Response<PageBody> {
    let (sender, chunks) = mpsc::channel(1);
    let mut pictures = site.feed.shown.subscribe();
    pictures.mark_changed();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                changed = pictures.changed() => if changed.is_err() { return },
            }
            let part = pictures.borrow_and_update().as_ref().map(|shown| shown.part.clone());
            if let Some(part) = part
                && !send(&sender, part, &stalled).await
            {
                return;
            }
        }
    });
    let body = PageBody::Stream { chunks, _watching: Some(Watching::new(&site.feed)) };
    respond_with(StatusCode::OK, "multipart/x-mixed-replace; boundary=whycam-picture", body)
}

/// The events from now on, after the latest state. A viewer who is too slow misses some.
fn events(site: &Site, stalled: Arc<Notify>) -> Response<PageBody> {
    let (sender, chunks) = mpsc::channel(1);
    let mut events = site.feed.events.subscribe();
    let state = site.feed.state();
    tokio::spawn(async move {
        let mut next = Ok(state);
        loop {
            match next {
                // There is no state before the first frame.
                Ok(event) if event.is_empty() => {}
                Ok(event) => {
                    if !send(&sender, event, &stalled).await {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
            next = tokio::select! {
                () = sender.closed() => return,
                event = events.recv() => event,
            };
        }
    });
    respond_with(StatusCode::OK, "text/event-stream", PageBody::Stream { chunks, _watching: None })
}

/// Sends a chunk. Returns whether the viewer is still there.
async fn send(sender: &mpsc::Sender<Bytes>, chunk: Bytes, stalled: &Notify) -> bool {
    match sender.send_timeout(chunk, STALL).await {
        Ok(()) => true,
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
            stalled.notify_one();
            false
        }
        Err(mpsc::error::SendTimeoutError::Closed(_)) => false,
    }
}

/// The picture as PNG. Where nobody watches, the next one.
async fn snapshot(site: &Site) -> Result<Response<PageBody>, Refusal> {
    let none = (StatusCode::SERVICE_UNAVAILABLE, "there is no picture yet");
    let _watching = Watching::new(&site.feed);
    let mut pictures = site.feed.shown.subscribe();
    let some = pictures.wait_for(Option::is_some);
    let shown = tokio::time::timeout(PICTURE_TIME, some).await.map_err(|_| none)?.map_err(|_| none)?.clone();
    let shown = shown.ok_or(none)?;
    // One at a time, since it takes a core from the model.
    let _turn = site.encoding.acquire().await.map_err(|_| none)?;
    let encoded = tokio::task::spawn_blocking(move || {
        let mut png = std::io::Cursor::new(Vec::new());
        shown.picture.write_to(&mut png, ImageFormat::Png).map(|()| png.into_inner())
    });
    let png = encoded.await.ok().and_then(Result::ok).ok_or(none)?;
    Ok(respond(StatusCode::OK, "image/png", png.into()))
}

/// Takes a command of the page.
async fn command(site: &Site, request: Request<Incoming>) -> Result<Response<PageBody>, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A form of another site cannot send this type.
    if !kind.starts_with("application/json") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "a command is application/json"));
    }
    let body = Limited::new(request.into_body(), MOST_COMMAND).collect();
    let late = (StatusCode::REQUEST_TIMEOUT, "the command did not come in time");
    let body = tokio::time::timeout(COMMAND_TIME, body).await.map_err(|_| late)?;
    let body = body.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "a command has at most 4096 bytes"))?.to_bytes();
    let refused = |why: String| {
        let json = serde_json::json!({ "error": why }).to_string();
        Ok(with(StatusCode::BAD_REQUEST, "application/json", json))
    };
    let command = match serde_json::from_slice::<PageCommand>(&body) {
        Ok(command) => command.into_command(),
        Err(error) => return refused(format!("not a command: {error}")),
    };
    match command {
        Err(error) => refused(error.to_string()),
        Ok(command) => {
            site.commands
                .try_send(command)
                .map_err(|_| (StatusCode::TOO_MANY_REQUESTS, "too many commands at once"))?;
            Ok(respond_with(StatusCode::NO_CONTENT, "text/plain", PageBody::Whole(None)))
        }
    }
}
