//! The keys and their actions.

use std::sync::mpsc::{Receiver, Sender, channel};

use minifb::{InputCallback, Key};

use super::ViewerCommand;

/// The action of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Command(ViewerCommand),
    Snapshot,
    Fluid,
    Bars,
    SideBySide,
    Pace,
    Help,
}

/// Every key and its action, as the help shows them.
pub const KEYS: &[(&str, &str)] = &[
    ("Space", "pause"),
    ("S", "snapshot"),
    ("R", "record"),
    ("C", "next colours"),
    ("+ -", "opacity"),
    ("M", "next method"),
    ("L", "next layer"),
    ("1-9", "explain that class or object"),
    ("0", "explain the predicted class, all objects"),
    ("Tab", "explain the next object"),
    ("F", "fluid or aligned"),
    ("T", "most probable classes"),
    ("V", "side by side"),
    ("I", "age and rates"),
    ("H", "this help"),
    ("Q Esc", "quit"),
];

const ALPHA_STEP: f32 = 0.1;

fn action(key: Key) -> Option<Action> {
    const NUMBERS: [[Key; 2]; 10] = [
        [Key::Key0, Key::NumPad0],
        [Key::Key1, Key::NumPad1],
        [Key::Key2, Key::NumPad2],
        [Key::Key3, Key::NumPad3],
        [Key::Key4, Key::NumPad4],
        [Key::Key5, Key::NumPad5],
        [Key::Key6, Key::NumPad6],
        [Key::Key7, Key::NumPad7],
        [Key::Key8, Key::NumPad8],
        [Key::Key9, Key::NumPad9],
    ];
    Some(match key {
        Key::Escape | Key::Q => Action::Command(ViewerCommand::Quit),
        Key::Space => Action::Command(ViewerCommand::Pause),
        Key::S => Action::Snapshot,
        Key::R => Action::Command(ViewerCommand::Record),
        Key::C => Action::Command(ViewerCommand::NextColormap),
        Key::Equal | Key::NumPadPlus => Action::Command(ViewerCommand::Alpha(ALPHA_STEP)),
        Key::Minus | Key::NumPadMinus => Action::Command(ViewerCommand::Alpha(-ALPHA_STEP)),
        Key::M => Action::Command(ViewerCommand::NextMethod),
        Key::Tab => Action::Command(ViewerCommand::NextObject),
        Key::L => Action::Command(ViewerCommand::NextLayer),
        Key::F => Action::Fluid,
        Key::T => Action::Bars,
        Key::V => Action::SideBySide,
        Key::I => Action::Pace,
        Key::H | Key::F1 => Action::Help,
        _ => {
            Action::Command(ViewerCommand::Explain(NUMBERS.iter().position(|keys| keys.contains(&key))?.checked_sub(1)))
        }
    })
}

/// Receives key events as they happen, so that a short press between two pictures is not lost.
struct Presses {
    sender: Sender<Action>,
    down: Vec<Key>,
}

impl InputCallback for Presses {
    fn add_char(&mut self, _: u32) {}

    fn set_key_state(&mut self, key: Key, down: bool) {
        let before = self.down.contains(&key);
        self.down.retain(|other| *other != key);
        if down {
            self.down.push(key);
        }
        // Some systems repeat a key that is held down.
        if down
            && !before
            && let Some(action) = action(key)
        {
            let _ = self.sender.send(action);
        }
    }
}

/// Listens to a window's keys. The receiver gets their actions.
pub fn listen(window: &mut minifb::Window) -> Receiver<Action> {
    let (sender, receiver) = channel();
    window.set_input_callback(Box::new(Presses { sender, down: Vec::new() }));
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_tap_counts_once_and_a_held_key_does_not_repeat() {
        let (sender, receiver) = channel();
        let mut presses = Presses { sender, down: Vec::new() };
        for (key, down) in [(Key::M, true), (Key::M, false), (Key::Key3, true), (Key::Key3, true), (Key::A, true)] {
            presses.set_key_state(key, down);
        }
        let taken: Vec<Action> = receiver.try_iter().collect();
        assert_eq!(
            taken,
            [Action::Command(ViewerCommand::NextMethod), Action::Command(ViewerCommand::Explain(Some(2)))]
        );
        assert_eq!(action(Key::Key0), Some(Action::Command(ViewerCommand::Explain(None))));
    }
}
