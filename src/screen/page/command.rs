//! What the buttons of the page send.

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::overlay::Blend;
use crate::screen::ViewerCommand;

/// What a button sends, as JSON such as `{"do":"opacity","value":0.5}`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum PageCommand {
    Pause,
    Record,
    Snapshot,
    Colormap { name: String },
    Blend { name: String },
    Opacity { value: f32 },
    Method { name: String },
    Layer { name: String },
    Class { index: Option<usize> },
    Rank { rank: Option<usize> },
    NextObject,
    Reference { number: usize },
    Words { text: String },
    Fluid { on: bool },
    SideBySide { on: bool },
    Teach,
    Number { number: usize, down: bool },
    Undo,
    Forget,
    Evidence,
}

/// The number keys.
const NUMBERS: std::ops::RangeInclusive<usize> = 1..=9;
/// No list is longer.
const MOST_RANK: usize = 10_000;

fn number_error(number: usize) -> Error {
    Error::Unknown { what: "number", name: number.to_string(), known: "there are 1 to 9".into() }
}

impl PageCommand {
    /// # Errors
    /// It names something that does not exist.
    pub fn into_command(self) -> Result<ViewerCommand> {
        Ok(match self {
            Self::Pause => ViewerCommand::Pause,
            Self::Record => ViewerCommand::Record,
            Self::Snapshot => ViewerCommand::Snapshot,
            Self::Colormap { name } => ViewerCommand::Colormap(name),
            Self::Blend { name } => ViewerCommand::Blend(Blend::named(&name)?),
            Self::Opacity { value } => ViewerCommand::Alpha(value),
            Self::Method { name } => ViewerCommand::Method(name),
            Self::Layer { name } => ViewerCommand::Layer(name),
            Self::Class { index } => ViewerCommand::Class(index),
            Self::Rank { rank } if rank.is_none_or(|rank| rank < MOST_RANK) => ViewerCommand::Explain(rank),
            Self::Rank { rank } => return Err(number_error(rank.unwrap_or(0))),
            Self::NextObject => ViewerCommand::NextObject,
            Self::Reference { number } | Self::Number { number, .. } if !NUMBERS.contains(&number) => {
                return Err(number_error(number));
            }
            Self::Reference { number } => ViewerCommand::TakeReference(number),
            Self::Words { text } => ViewerCommand::Words(text),
            Self::Fluid { on } => ViewerCommand::Fluid(Some(on)),
            Self::SideBySide { on } => ViewerCommand::SideBySide(Some(on)),
            Self::Teach => ViewerCommand::Teach,
            Self::Number { number, down } => ViewerCommand::Number { number, down },
            Self::Undo => ViewerCommand::UndoTaught,
            Self::Forget => ViewerCommand::ForgetTaught,
            Self::Evidence => ViewerCommand::ToggleEvidence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_buttons_is_read() {
        let read = |json: &str| serde_json::from_str::<PageCommand>(json).ok()?.into_command().ok();
        assert_eq!(read(r#"{"do":"pause"}"#), Some(ViewerCommand::Pause));
        assert_eq!(read(r#"{"do":"class","index":null}"#), Some(ViewerCommand::Class(None)));
        assert_eq!(read(r#"{"do":"side-by-side","on":true}"#), Some(ViewerCommand::SideBySide(Some(true))));
        let number = ViewerCommand::Number { number: 2, down: true };
        assert_eq!(read(r#"{"do":"number","number":2,"down":true}"#), Some(number));
        assert_eq!(read(r#"{"do":"blend","name":"sideways"}"#), None);
        assert_eq!(read(r#"{"do":"quit"}"#), None);
        assert_eq!(read(r#"{"do":"number","number":10,"down":true}"#), None);
        assert_eq!(read(r#"{"do":"rank","rank":18446744073709551615}"#), None);
    }
}
