//! Making a window fill the screen, which minifb cannot do.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Makes a window fill the screen.
///
/// # Errors
/// The display is not X11.
#[cfg(target_os = "linux")]
pub fn fill_screen(window: &minifb::Window) -> Result<()> {
    if std::env::var_os("WAYLAND_DISPLAY").is_some() {
        let problem = "--fullscreen needs X11: unset WAYLAND_DISPLAY to use XWayland, or start whycam in a compositor for one \
                       window, such as cage";
        return Err(Error::Window(problem.into()));
    }
    let id = window.get_window_handle() as usize as u32;
    fill(id).map_err(|e| Error::Window(format!("it cannot fill the screen: {e}")))
}

/// How long a window manager may take. A screen that is shared with a panel may never be filled.
#[cfg(target_os = "linux")]
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(target_os = "linux")]
fn fill(window: u32) -> Result<(), Box<dyn std::error::Error>> {
    use x11rb::connection::Connection;
    use x11rb::protocol::xproto::{AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt, EventMask};

    let (connection, number) = x11rb::connect(None)?;
    let screen = &connection.setup().roots[number];
    let atom = |name: &[u8]| -> Result<u32, Box<dyn std::error::Error>> {
        Ok(connection.intern_atom(false, name)?.reply()?.atom)
    };
    let (state, fullscreen) = (atom(b"_NET_WM_STATE")?, atom(b"_NET_WM_STATE_FULLSCREEN")?);
    let manager = atom(b"_NET_SUPPORTING_WM_CHECK")?;
    let managed = connection.get_property(false, screen.root, manager, AtomEnum::WINDOW, 0, 1)?.reply()?.value_len > 0;
    let (width, height) = (screen.width_in_pixels, screen.height_in_pixels);
    let since = Instant::now();
    // A window manager that is about to show the window may miss the request, so it is made again.
    while since.elapsed() < PATIENCE {
        if managed {
            // As the specification EWMH says: 1 adds the state, and the last 1 is for an application.
            let event = ClientMessageEvent::new(32, window, state, [1, fullscreen, 0, 1, 0]);
            let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
            connection.send_event(false, screen.root, mask, event)?;
        } else {
            let place = ConfigureWindowAux::new().x(0).y(0).width(u32::from(width)).height(u32::from(height));
            connection.configure_window(window, &place)?;
        }
        connection.flush()?;
        thread::sleep(Duration::from_millis(100));
        let size = connection.get_geometry(window)?.reply()?;
        if (size.width, size.height) == (width, height) {
            break;
        }
    }
    Ok(())
}

/// Fails: only X11 is supported.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn fill_screen(_: &minifb::Window) -> Result<()> {
    Err(Error::Window("--fullscreen is for X11".into()))
}
