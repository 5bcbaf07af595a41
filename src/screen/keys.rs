//! Which key asks for what.

use std::sync::mpsc::{Receiver, Sender, channel};

use minifb::{InputCallback, Key};

use super::Command;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Ask(Command),
    Snapshot,
    Fluid,
    Bars,
    SideBySide,
    Pace,
    Help,
}

/// Every key: what the help calls it, what it does.
pub const KEYS: &[(&str, &str)] = &[
    ("Space", "pause"),
    ("S", "snapshot"),
    ("R", "record"),
    ("C", "next colours"),
    ("+ -", "opacity"),
    ("M", "next method"),
    ("L", "next layer"),
    ("1-9", "explain that class"),
    ("0", "the predicted one"),
    ("F", "fluid or aligned"),
    ("T", "likeliest classes"),
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
        Key::Escape | Key::Q => Action::Ask(Command::Quit),
        Key::Space => Action::Ask(Command::Pause),
        Key::S => Action::Snapshot,
        Key::R => Action::Ask(Command::Record),
        Key::C => Action::Ask(Command::NextColormap),
        Key::Equal | Key::NumPadPlus => Action::Ask(Command::Alpha(ALPHA_STEP)),
        Key::Minus | Key::NumPadMinus => Action::Ask(Command::Alpha(-ALPHA_STEP)),
        Key::M => Action::Ask(Command::NextMethod),
        Key::L => Action::Ask(Command::NextLayer),
        Key::F => Action::Fluid,
        Key::T => Action::Bars,
        Key::V => Action::SideBySide,
        Key::I => Action::Pace,
        Key::H | Key::F1 => Action::Help,
        _ => Action::Ask(Command::Explain(NUMBERS.iter().position(|keys| keys.contains(&key))?.checked_sub(1))),
    })
}

/// Takes every press as it happens, so that a key that is let go before the next picture is not lost.
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
        // A key that is held down repeats on some systems.
        if down
            && !before
            && let Some(action) = action(key)
        {
            let _ = self.sender.send(action);
        }
    }
}

/// Lets a window's keys come out of the receiver.
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
        assert_eq!(taken, [Action::Ask(Command::NextMethod), Action::Ask(Command::Explain(Some(2)))]);
        assert_eq!(action(Key::Key0), Some(Action::Ask(Command::Explain(None))));
    }
}
