//! The page as a screen.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::access::Access;
use super::feed::Feed;
use super::pictures;
use super::routes::{MOST_WAITING, Site};
use super::server::Server;
use super::state::{Known, state};
use crate::error::{Error, Result};
use crate::media::{Picture, without_secrets};
use crate::overlay::{Blend, Caption};
use crate::screen::{Screen, ScreenFrame, Switches, ViewerCommand, recording, taught};
use crate::sink::json_line;
use crate::sync::channel::Sender;

/// Where the page is served, and to whom.
#[derive(Clone, Debug)]
pub struct PageOptions {
    pub address: SocketAddr,
    /// The secret of its viewers. Without one, a page that other machines reach gets a new one.
    pub token: Option<String>,
    /// Whether its viewers can neither record nor save.
    pub kiosk: bool,
}

/// A page in the browser, for any number of viewers. It costs nothing while nobody watches.
pub struct Page {
    address: SocketAddr,
    token: Option<String>,
    feed: Arc<Feed>,
    commands: Receiver<ViewerCommand>,
    pictures: Sender<Picture>,
    _server: Server,
    caption: Caption,
    known: Known,
    /// The model whose layers are known.
    layers_of: String,
    was_watched: bool,
    last_event: Instant,
    /// The state that was sent last, and when.
    state: Value,
    last_state: Instant,
    /// How the view looked then; `None` asks for a new state with the next frame.
    look: Option<Look>,
    /// The class whose button is held, and since when.
    held: Option<(usize, Instant)>,
}

/// What viewers see change at once; the rest of the state may be a second old.
#[derive(PartialEq)]
struct Look {
    switches: Switches,
    class: Option<usize>,
    method: String,
    layer: String,
    colormap: &'static str,
    blend: Blend,
}

impl Look {
    fn of(view: &ScreenFrame) -> Self {
        Self {
            switches: view.switches,
            class: view.class,
            method: view.context.method.clone(),
            layer: view.context.layer.clone(),
            colormap: view.style.colormap.name(),
            blend: view.style.blend,
        }
    }
}

impl Page {
    const EVENT_INTERVAL: Duration = Duration::from_millis(100);
    const STATE_INTERVAL: Duration = Duration::from_secs(1);
    /// The browser of a button that is held for longer has gone.
    const LONGEST_HOLD: Duration = Duration::from_secs(20);

    /// Serves the page from now on.
    ///
    /// # Errors
    /// The address is taken, or not of this machine.
    pub fn serve(options: PageOptions) -> Result<Self> {
        let (listener, address) = Server::bind(options.address)?;
        let loopback = address.ip().is_loopback();
        let token = match options.token {
            None if !loopback => Some(Access::new_token()?),
            token => token,
        };
        let feed = Arc::new(Feed::new());
        let (sender, commands) = bounded(MOST_WAITING);
        let pictures = pictures::start(Arc::clone(&feed))?;
        let access = Access::new(token.clone(), loopback, address.port());
        let (kiosk, encoding) = (options.kiosk, Semaphore::new(1));
        let server =
            Server::start(listener, Site { access, feed: Arc::clone(&feed), commands: sender, kiosk, encoding })?;
        let now = Instant::now();
        Ok(Self {
            address,
            token,
            feed,
            commands,
            pictures,
            _server: server,
            caption: Caption::new()?,
            known: Known { kiosk, ..Known::default() },
            layers_of: String::new(),
            was_watched: false,
            last_event: now,
            state: Value::Null,
            last_state: now,
            look: None,
            held: None,
        })
    }

    /// The address to open, with the token if there is one.
    pub fn address(&self) -> String {
        let ip = if self.address.ip().is_unspecified() { own_ip(self.address) } else { self.address.ip() };
        let token = self.token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
        format!("http://{}/{token}", SocketAddr::new(ip, self.address.port()))
    }

    fn send_picture(&self, view: &ScreenFrame) {
        let mut picture = view.drawn.clone();
        if let Some(teaching) = view.teaching {
            taught::draw(&mut picture, &self.caption, teaching);
        }
        if view.switches.recording {
            recording::draw(&mut picture);
        }
        self.pictures.send(picture);
    }

    /// Sends the state if it has changed, and every second.
    fn send_state(&mut self, view: &ScreenFrame) -> Result<()> {
        let look = Look::of(view);
        if self.look.as_ref() == Some(&look) && self.last_state.elapsed() < Self::STATE_INTERVAL {
            return Ok(());
        }
        self.look = Some(look);
        self.last_state = Instant::now();
        self.state = serde_json::to_value(state(view, &self.known)).map_err(|e| Error::output("the page", e))?;
        self.feed.send_state(&self.state.to_string());
        Ok(())
    }
}

/// The address by which other machines reach this one. Nothing is sent to find it.
fn own_ip(address: SocketAddr) -> std::net::IpAddr {
    let route = if address.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
    let socket = std::net::UdpSocket::bind(SocketAddr::new(address.ip(), 0));
    let local = socket.and_then(|socket| socket.connect(route).and_then(|()| socket.local_addr()));
    local.map_or(address.ip(), |local| local.ip())
}

/// What the model says, and how sure it is.
fn answer(view: &ScreenFrame) -> Option<(String, f32)> {
    let best = view.explanation.ranking(view.context).into_iter().next();
    best.map(|best| (best.label, best.share))
}

impl Screen for Page {
    fn size(&self) -> Option<(u32, u32)> {
        (self.feed.watching() > 0).then_some(pictures::SIZE)
    }

    fn show(&mut self, view: &ScreenFrame) -> Result<()> {
        self.feed.note(|| answer(view));
        if self.feed.watching() > 0 && view.drawn.width() > 0 {
            self.send_picture(view);
        }
        if self.feed.events.receiver_count() == 0 {
            return Ok(());
        }
        if self.last_event.elapsed() >= Self::EVENT_INTERVAL {
            self.last_event = Instant::now();
            let name = view.frame.medium.short_name();
            self.feed.send("frame", &json_line(view.frame, &name, view.explanation, view.context)?);
        }
        self.send_state(view)
    }

    fn tell(&mut self, message: &str) {
        self.feed.send("message", &json!({ "text": without_secrets(message) }).to_string());
    }

    fn wait(&mut self, why: &str) {
        if !self.state.is_object() {
            self.state = json!({});
        }
        self.state["waiting"] = without_secrets(why).into();
        self.feed.send_state(&self.state.to_string());
        // The state of the next frame says that it has come.
        self.look = None;
    }

    fn offer_layers(&mut self, layers: &[String]) {
        self.known.layers = layers.to_vec();
        self.look = None;
    }

    fn reset(&mut self) {
        self.look = None;
    }

    fn poll(&mut self) -> Result<Vec<ViewerCommand>> {
        let mut commands: Vec<ViewerCommand> = self.commands.try_iter().collect();
        for command in &commands {
            if let ViewerCommand::Number { number, down } = command {
                self.held = down.then(|| (*number, Instant::now()));
            }
            // The state that follows shows what the command did.
            self.look = None;
        }
        if let Some((number, _)) = self.held.take_if(|(_, since)| since.elapsed() > Self::LONGEST_HOLD) {
            commands.push(ViewerCommand::Number { number, down: false });
        }
        // While the picture is held or no frame comes, viewers learn that the program is still there.
        if self.state.is_object() && self.last_state.elapsed() >= Self::STATE_INTERVAL {
            self.last_state = Instant::now();
            self.feed.send_state(&self.state.to_string());
        }
        let is_watched = self.feed.watching() > 0;
        if is_watched && !self.was_watched {
            commands.push(ViewerCommand::Watched);
        }
        let model = self.state["model"].as_str().unwrap_or_default();
        if is_watched && self.layers_of != model {
            model.clone_into(&mut self.layers_of);
            commands.push(ViewerCommand::ListLayers);
        }
        if self.was_watched && !is_watched {
            self.feed.forget_picture();
        }
        self.was_watched = is_watched;
        Ok(commands)
    }
}
