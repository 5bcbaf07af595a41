//! A screen that runs unattended: nobody can stop it, and it forgets what the last visitor did.

use std::time::{Duration, Instant};

use super::{Screen, ScreenFrame, ViewerCommand};
use crate::error::Result;

/// A screen whose viewers can neither stop the program nor write files. After a while without a command it goes back to how
/// it began.
pub struct Kiosk {
    screen: Box<dyn Screen>,
    after: Duration,
    /// When the last command came, if any since the last reset.
    touched: Option<Instant>,
}

impl Kiosk {
    /// It goes back to how it began when nobody has done anything for the time `after`.
    pub fn new(screen: Box<dyn Screen>, after: Duration) -> Self {
        Self { screen, after, touched: None }
    }
}

/// Whether a command stops the program or writes files.
fn is_refused(command: &ViewerCommand) -> bool {
    matches!(command, ViewerCommand::Quit | ViewerCommand::Record | ViewerCommand::Snapshot | ViewerCommand::Teach)
}

impl Screen for Kiosk {
    fn size(&self) -> Option<(u32, u32)> {
        self.screen.size()
    }

    fn show(&mut self, view: &ScreenFrame) -> Result<()> {
        self.screen.show(view)
    }

    fn tell(&mut self, message: &str) {
        self.screen.tell(message);
    }

    fn wait(&mut self, why: &str) {
        self.screen.wait(why);
    }

    fn offer_layers(&mut self, layers: &[String]) {
        self.screen.offer_layers(layers);
    }

    fn reset(&mut self) {
        self.screen.reset();
    }

    fn poll(&mut self) -> Result<Vec<ViewerCommand>> {
        let mut commands = self.screen.poll()?;
        commands.retain(|command| !is_refused(command));
        let of_viewer =
            |command: &ViewerCommand| !matches!(command, ViewerCommand::ListLayers | ViewerCommand::Watched);
        if commands.iter().any(of_viewer) {
            self.touched = Some(Instant::now());
        }
        if self.touched.take_if(|since| since.elapsed() >= self.after).is_some() {
            commands.push(ViewerCommand::Reset);
        }
        Ok(commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns these commands at once, and none later.
    struct Pressed(Vec<ViewerCommand>);

    impl Screen for Pressed {
        fn size(&self) -> Option<(u32, u32)> {
            None
        }

        fn show(&mut self, _: &ScreenFrame) -> Result<()> {
            Ok(())
        }

        fn tell(&mut self, _: &str) {}

        fn wait(&mut self, _: &str) {}

        fn poll(&mut self) -> Result<Vec<ViewerCommand>> {
            Ok(std::mem::take(&mut self.0))
        }
    }

    fn polled(kiosk: &mut Kiosk) -> Vec<ViewerCommand> {
        kiosk.poll().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn keys_that_stop_or_save_are_ignored_and_the_rest_is_undone_once_after_a_while() {
        let keys = [ViewerCommand::Quit, ViewerCommand::NextMethod, ViewerCommand::Record, ViewerCommand::Watched];
        let mut kiosk = Kiosk::new(Box::new(Pressed(keys.to_vec())), Duration::from_millis(400));
        assert_eq!(polled(&mut kiosk), [ViewerCommand::NextMethod, ViewerCommand::Watched]);
        assert_eq!(polled(&mut kiosk), []);
        std::thread::sleep(Duration::from_millis(450));
        assert_eq!(polled(&mut kiosk), [ViewerCommand::Reset]);
        std::thread::sleep(Duration::from_millis(450));
        assert_eq!(polled(&mut kiosk), []);
    }
}
