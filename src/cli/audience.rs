//! Options for showing live view to an audience: a page, the full screen, a kiosk, a virtual camera.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use whycam::Error;
use whycam::screen::{Kiosk, Screen, Screens};

use super::args::user_folder;
use super::log;
use super::output::say;
use super::view::seconds;

#[derive(Args)]
#[command(next_help_heading = "Audience")]
pub struct AudienceArgs {
    /// Serve a page with the live picture and buttons, at this address [default: 127.0.0.1:8080, which only this machine
    /// reaches]
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8080",
          value_parser = address)]
    pub serve: Option<SocketAddr>,
    /// The secret that viewers of the page need [default: a new one, if other machines reach the page]
    #[arg(long, value_name = "SECRET", requires = "serve", value_parser = token)]
    token: Option<String>,
    /// Fill the screen
    #[arg(long, conflicts_with = "headless")]
    fullscreen: bool,
    /// Run unattended: hide the pointer, ignore keys that stop or save, go back to the start after a minute without a
    /// key, restart the source for ever, and write a log
    #[arg(long)]
    pub kiosk: bool,
    /// The folder of the log; a new file begins each day, and a week is kept [default: ~/.local/state/whycam with --kiosk]
    #[arg(long, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// Show the explained pictures as a camera to other programs: a V4L2 output device, such as one of v4l2loopback
    #[arg(long, value_name = "DEVICE")]
    pub camera_out: Option<PathBuf>,
    /// The seconds without a key after which a kiosk goes back to the start
    #[arg(long, value_name = "S", requires = "kiosk", value_parser = seconds, default_value = "60")]
    kiosk_reset: Duration,
}

/// Parses an address: ADDR:PORT, or one of the two.
fn address(text: &str) -> Result<SocketAddr, String> {
    const PORT: u16 = 8080;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let text =
        if let Some(rest) = text.strip_prefix("localhost") { format!("127.0.0.1{rest}") } else { text.to_owned() };
    let port = text.strip_prefix(':').unwrap_or(&text).parse().map(|port| SocketAddr::new(loopback, port));
    let ip = text.parse().map(|ip| SocketAddr::new(ip, PORT));
    text.parse().ok().or(port.ok()).or(ip.ok()).ok_or_else(|| "give ADDR:PORT, like 0.0.0.0:8080".into())
}

/// Parses a token. It goes into addresses and cookies.
fn token(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain && text.len() >= 8 {
        Ok(text.to_owned())
    } else {
        Err("give 8 letters, digits, '-', '_' or '.', or more".into())
    }
}

impl AudienceArgs {
    /// The window, unless there shall be none, and the page, if one is served. A page needs no window: without a display it is
    /// served alone.
    ///
    /// # Errors
    /// There is no display and no page, or the page's address is taken.
    pub fn screen(&self, (width, height): (u32, u32), headless: bool) -> Result<Option<Box<dyn Screen>>> {
        let mut screens = Vec::new();
        if !headless {
            match window(width, height, self.fullscreen, !self.kiosk) {
                Ok(window) => screens.push(window),
                Err(error @ Error::NoDisplay(_)) if self.serve.is_some() && !self.fullscreen => {
                    say(format_args!("{error}; only the page is shown"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(address) = self.serve {
            screens.push(self.page(address)?);
        }
        if screens.is_empty() {
            return Ok(None);
        }
        let screen: Box<dyn Screen> = Box::new(Screens(screens));
        Ok(Some(if self.kiosk { Box::new(Kiosk::new(screen, self.kiosk_reset)) } else { screen }))
    }

    #[cfg(feature = "serve")]
    fn page(&self, address: SocketAddr) -> Result<Box<dyn Screen>> {
        use whycam::screen::{Page, PageOptions};
        let page = Page::serve(PageOptions { address, token: self.token.clone(), kiosk: self.kiosk })?;
        say(format_args!("the page is at {}", page.address()));
        Ok(Box::new(page))
    }

    #[cfg(not(feature = "serve"))]
    fn page(&self, _: SocketAddr) -> Result<Box<dyn Screen>> {
        anyhow::bail!("this build of whycam serves no pages (feature `serve`)")
    }

    /// Starts the log, if there shall be one.
    ///
    /// # Errors
    /// Its folder cannot be written.
    pub fn start_log(&self) -> Result<()> {
        let folder =
            self.log.clone().or_else(|| self.kiosk.then(|| user_folder("XDG_STATE_HOME", ".local/state")).flatten());
        folder.map_or(Ok(()), |folder| log::start(&folder))
    }
}

/// A window for pictures of about this size.
#[cfg(feature = "window")]
fn window(width: u32, height: u32, fullscreen: bool, pointer: bool) -> whycam::Result<Box<dyn Screen>> {
    use whycam::screen::{Window, WindowStyle};
    Ok(Box::new(Window::open(width, height, WindowStyle { fullscreen, pointer })?))
}

#[cfg(not(feature = "window"))]
fn window(_: u32, _: u32, _: bool, _: bool) -> whycam::Result<Box<dyn Screen>> {
    Err(Error::NoDisplay("this build of whycam has no windows: feature `window`".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_short() {
        let read = |text: &str| address(text).map(|address| address.to_string());
        assert_eq!(read("0.0.0.0:80"), Ok("0.0.0.0:80".into()));
        assert_eq!(read("9000"), Ok("127.0.0.1:9000".into()));
        assert_eq!(read(":9000"), Ok("127.0.0.1:9000".into()));
        assert_eq!(read("localhost:9000"), Ok("127.0.0.1:9000".into()));
        assert_eq!(read("::1"), Ok("[::1]:8080".into()));
        assert!(read("example").is_err() && token("short").is_err() && token("long enough").is_err());
    }
}
