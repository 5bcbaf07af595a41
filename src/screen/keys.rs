//! The keys and their actions.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use minifb::{InputCallback, Key};

use super::ViewerCommand;

/// The action of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Command(ViewerCommand),
    /// A number key, 1 to 9, is pressed or let go.
    Number {
        number: usize,
        down: bool,
    },
    /// Words are being typed, or no longer.
    Typing(Option<String>),
    Bars,
    Pace,
    Help,
}

/// Every key and its action, as the help shows them.
pub const KEYS: &[(&str, &str)] = &[
    ("Space", "pause"),
    ("S", "snapshot"),
    ("R", "record"),
    ("C B", "next colours, next blend"),
    ("+ -", "opacity"),
    ("M", "next method"),
    ("L", "next layer"),
    ("1-9", "explain that class or object"),
    ("0", "explain the predicted class, all objects"),
    ("Tab", "explain the next object"),
    ("1-9 held", "take the picture as that reference or class"),
    ("W", "type words to compare with, or names"),
    ("N", "teach new classes"),
    ("U", "take back what was taught last"),
    ("X 1-9", "forget that class"),
    ("E", "where the evidence of taught classes is"),
    ("F", "fluid or aligned"),
    ("T", "most probable classes"),
    ("V", "side by side"),
    ("I", "age and rates"),
    ("H", "this help"),
    ("Q Esc", "quit"),
];

const ALPHA_STEP: f32 = 0.1;

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

/// The number of a number key.
fn number_of(key: Key) -> Option<usize> {
    NUMBERS.iter().position(|keys| keys.contains(&key))
}

fn action(key: Key) -> Option<Action> {
    Some(match key {
        Key::Escape | Key::Q => Action::Command(ViewerCommand::Quit),
        Key::Space => Action::Command(ViewerCommand::Pause),
        Key::S => Action::Command(ViewerCommand::Snapshot),
        Key::R => Action::Command(ViewerCommand::Record),
        Key::C => Action::Command(ViewerCommand::NextColormap),
        Key::B => Action::Command(ViewerCommand::NextBlend),
        Key::Equal | Key::NumPadPlus => Action::Command(ViewerCommand::AlphaStep(ALPHA_STEP)),
        Key::Minus | Key::NumPadMinus => Action::Command(ViewerCommand::AlphaStep(-ALPHA_STEP)),
        Key::M => Action::Command(ViewerCommand::NextMethod),
        Key::Tab => Action::Command(ViewerCommand::NextObject),
        Key::L => Action::Command(ViewerCommand::NextLayer),
        Key::N => Action::Command(ViewerCommand::Teach),
        Key::U => Action::Command(ViewerCommand::UndoTaught),
        Key::X => Action::Command(ViewerCommand::ForgetTaught),
        Key::E => Action::Command(ViewerCommand::ToggleEvidence),
        Key::F => Action::Command(ViewerCommand::Fluid(None)),
        Key::T => Action::Bars,
        Key::V => Action::Command(ViewerCommand::SideBySide(None)),
        Key::I => Action::Pace,
        Key::H | Key::F1 => Action::Help,
        _ => Action::Command(ViewerCommand::Explain(number_of(key)?.checked_sub(1))),
    })
}

/// Receives key events as they happen, so that a short press between two pictures is not lost.
struct Presses {
    sender: Sender<Action>,
    down: Vec<Key>,
    /// The words that are typed, and since when.
    typing: Option<(String, Instant)>,
}

impl Presses {
    /// The letter of the key that begins typing arrives within this time.
    const FIRST_LETTER: Duration = Duration::from_millis(60);

    fn new(sender: Sender<Action>) -> Self {
        Self { sender, down: Vec::new(), typing: None }
    }

    /// Handles a key while words are typed.
    fn edit(&mut self, key: Key) {
        let Some((mut words, since)) = self.typing.take() else { return };
        match key {
            Key::Enter | Key::NumPadEnter => {
                let _ = self.sender.send(Action::Command(ViewerCommand::Words(words)));
            }
            Key::Escape => {}
            _ => {
                if key == Key::Backspace {
                    words.pop();
                }
                self.typing = Some((words, since));
            }
        }
        self.tell();
    }

    fn tell(&self) {
        let _ = self.sender.send(Action::Typing(self.typing.as_ref().map(|(words, _)| words.clone())));
    }
}

impl InputCallback for Presses {
    fn add_char(&mut self, letter: u32) {
        let letter = char::from_u32(letter).filter(|letter| !letter.is_control());
        if let (Some((words, since)), Some(letter)) = (&mut self.typing, letter)
            && !(words.is_empty() && letter.eq_ignore_ascii_case(&'w') && since.elapsed() < Self::FIRST_LETTER)
        {
            words.push(letter);
            self.tell();
        }
    }

    fn set_key_state(&mut self, key: Key, down: bool) {
        let before = self.down.contains(&key);
        self.down.retain(|other| *other != key);
        if down {
            self.down.push(key);
        }
        if self.typing.is_some() {
            // A key that is held down repeats, as in every field of text.
            if down {
                self.edit(key);
            }
            return;
        }
        if down && !before && key == Key::W {
            self.typing = Some((String::new(), Instant::now()));
            return self.tell();
        }
        if down != before
            && let Some(number) = number_of(key).filter(|number| *number > 0)
        {
            let _ = self.sender.send(Action::Number { number, down });
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
    window.set_input_callback(Box::new(Presses::new(sender)));
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_tap_counts_once_and_a_held_key_does_not_repeat() {
        let (sender, receiver) = channel();
        let mut presses = Presses::new(sender);
        for (key, down) in [(Key::M, true), (Key::M, false), (Key::Key3, true), (Key::Key3, true), (Key::A, true)] {
            presses.set_key_state(key, down);
        }
        let taken: Vec<Action> = receiver.try_iter().collect();
        let pressed = Action::Number { number: 3, down: true };
        let explain = Action::Command(ViewerCommand::Explain(Some(2)));
        assert_eq!(taken, [Action::Command(ViewerCommand::NextMethod), pressed, explain]);
        assert_eq!(action(Key::Key0), Some(Action::Command(ViewerCommand::Explain(None))));
    }

    #[test]
    fn words_are_typed_without_the_letter_that_begins_them() {
        let (sender, receiver) = channel();
        let mut presses = Presses::new(sender);
        presses.set_key_state(Key::W, true);
        for letter in "wa hat".chars() {
            presses.add_char(letter.into());
        }
        for key in [Key::Backspace, Key::Q, Key::Enter] {
            presses.set_key_state(key, true);
            presses.set_key_state(key, false);
        }
        let taken: Vec<Action> = receiver.try_iter().collect();
        assert_eq!(taken.first(), Some(&Action::Typing(Some(String::new()))));
        assert!(taken.contains(&Action::Command(ViewerCommand::Words("a ha".into()))), "{taken:?}");
        assert_eq!(taken.last(), Some(&Action::Typing(None)));
        presses.set_key_state(Key::Q, true);
        assert_eq!(receiver.try_iter().last(), Some(Action::Command(ViewerCommand::Quit)));
    }
}
