//! Several screens that show the same.

use super::{Screen, ScreenFrame, ViewerCommand};
use crate::error::Result;

/// Several screens that show the same, each with its own viewers.
pub struct Screens(pub Vec<Box<dyn Screen>>);

impl Screen for Screens {
    fn size(&self) -> Option<(u32, u32)> {
        let sizes = self.0.iter().filter_map(|screen| screen.size());
        sizes.reduce(|(width, height), (w, h)| (width.max(w), height.max(h)))
    }

    fn show(&mut self, view: &ScreenFrame) -> Result<()> {
        self.0.iter_mut().try_for_each(|screen| screen.show(view))
    }

    fn tell(&mut self, message: &str) {
        self.0.iter_mut().for_each(|screen| screen.tell(message));
    }

    fn wait(&mut self, why: &str) {
        self.0.iter_mut().for_each(|screen| screen.wait(why));
    }

    fn offer_layers(&mut self, layers: &[String]) {
        self.0.iter_mut().for_each(|screen| screen.offer_layers(layers));
    }

    fn reset(&mut self) {
        self.0.iter_mut().for_each(|screen| screen.reset());
    }

    fn poll(&mut self) -> Result<Vec<ViewerCommand>> {
        let mut commands = Vec::new();
        for screen in &mut self.0 {
            commands.append(&mut screen.poll()?);
        }
        Ok(commands)
    }
}
