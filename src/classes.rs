//! Which classes are explained.

use crate::error::{Error, Result};
use crate::grad::MOST_RANKS;

/// The classes that are asked for, as the model's input `class_index` has them: -1 is the likeliest, -2 the
/// second.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes(pub Vec<i64>);

impl Classes {
    /// Whether a text asks for more than one class.
    pub fn are_several(text: &str) -> bool {
        text.contains(',') || text.strip_prefix("top").is_some_and(|count| !matches!(count, "" | "1"))
    }

    /// Reads `NAME`, `INDEX`, `top`, `top3`, or several of these with commas between them.
    ///
    /// # Errors
    /// A class does not exist.
    pub fn parse(text: &str, labels: &[String], classes: usize) -> Result<Self> {
        let mut found = Vec::new();
        for name in text.split(',').map(str::trim) {
            let ranks =
                name.strip_prefix("top").and_then(|count| if count.is_empty() { Some(1) } else { count.parse().ok() });
            match ranks {
                Some(ranks) if (1..=classes.min(MOST_RANKS)).contains(&ranks) => {
                    found.extend((1..=ranks as i64).map(|rank| -rank));
                }
                Some(_) => {
                    let known = format!("top1 to top{} can be asked for", classes.min(MOST_RANKS));
                    return Err(Error::Unknown { what: "class", name: name.to_owned(), known });
                }
                None => found.push(find_class(name, labels, Some(classes))? as i64),
            }
        }
        Ok(Self(found))
    }
}

/// The classes of `A,B`.
///
/// # Errors
/// There are not two, or a class does not exist.
pub fn parse_contrast(pair: &str, labels: &[String]) -> Result<(usize, usize)> {
    let unknown = || Error::Unknown {
        what: "contrast",
        name: pair.to_owned(),
        known: "give two different classes as A,B".into(),
    };
    let (first, second) = pair.split_once(',').ok_or_else(unknown)?;
    let (first, second) = (find_class(first, labels, None)?, find_class(second, labels, None)?);
    if first == second { Err(unknown()) } else { Ok((first, second)) }
}

/// A class by its label or its index, which must lie below `classes` where that is known.
///
/// # Errors
/// There is none of that name.
pub fn find_class(name: &str, labels: &[String], classes: Option<usize>) -> Result<usize> {
    let name = name.trim();
    if let Some(at) = labels.iter().position(|label| label.eq_ignore_ascii_case(name)) {
        return Ok(at);
    }
    let count = classes.unwrap_or(if labels.is_empty() { usize::MAX } else { labels.len() });
    if let Some(index) = name.parse::<usize>().ok().filter(|index| *index < count) {
        return Ok(index);
    }
    let known = match classes {
        _ if (1..=20).contains(&labels.len()) => format!("there are {}", labels.join(", ")),
        Some(classes) => format!("give a number from 0 to {}", classes - 1),
        None => "give a label or a number".into(),
    };
    Err(Error::Unknown { what: "class", name: name.to_owned(), known })
}
