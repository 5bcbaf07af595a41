//! What was learned, as a table and as JSON.

use serde_json::{Value, json};
use whycam::teach::{BackgroundCheck, Collection, Lesson};

/// What was learned from a folder, and how it was checked.
pub struct Taught {
    pub collection: Collection,
    pub lesson: Lesson,
    pub checks: Vec<BackgroundCheck>,
}

/// Longer tables say little on a terminal.
const MOST_CLASSES: usize = 40;

impl Taught {
    pub fn as_table(&self) -> String {
        let Lesson { names, counts, validation, .. } = &self.lesson;
        let pictures: usize = counts.iter().sum();
        let mut lines = vec![match validation {
            Some(v) => {
                let (accuracy, folds) = (v.confusion.accuracy(), v.folds);
                format!(
                    "{} classes, {pictures} pictures: accuracy {accuracy:.3} by {folds}-fold cross-validation",
                    names.len()
                )
            }
            None => format!("{} classes, {pictures} pictures", names.len()),
        }];
        if names.len() <= MOST_CLASSES {
            let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
            lines.push(format!("\n{:<width$}  pictures  recall  background", "class"));
            for (class, name) in names.iter().enumerate() {
                let recall = validation.as_ref().and_then(|v| v.confusion.recall(class));
                let cell = |value: Option<f32>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
                lines.push(format!(
                    "{name:<width$}  {:>8}  {:>6}  {:>10}",
                    counts[class],
                    cell(recall),
                    cell(self.checks[class].share()),
                ));
            }
            lines.push(
                "\nbackground: how much of what tells a class from the others lies around the middle of its pictures"
                    .into(),
            );
        }
        lines.join("\n") + "\n"
    }

    /// What a user should do something about.
    pub fn warnings(&self) -> Vec<String> {
        let Lesson { names, validation, copies, contradiction, familiarity, .. } = &self.lesson;
        let mut lines = Vec::new();
        if let Some((first, second)) = contradiction {
            let [first, second] = [first, second].map(|row| self.collection.photos[*row].display());
            lines.push(format!("{first} and {second} are near copies, and of different classes"));
        }
        if *copies > 0 {
            lines.push(format!(
                "{copies} pictures are near copies of others; they are left out of cross-validation together"
            ));
        }
        if validation.is_none() {
            lines.push(
                "a class has only near copies of one picture, so that no accuracy can be measured; add others".into(),
            );
        }
        if familiarity.is_none() {
            lines.push("all pictures are near copies, so that nothing tells what is unfamiliar".into());
        }
        for (name, check) in names.iter().zip(&self.checks).filter(|(_, check)| check.is_by_background()) {
            lines.push(format!(
                "class {name} is recognised by its background: {:.0} % of what tells it from the other classes lies around the \
                 middle of its pictures; take pictures of it, and of the others, in other places",
                100.0 * check.share().unwrap_or_default().min(1.0),
            ));
        }
        lines
    }

    pub fn as_json(&self) -> Value {
        let Lesson { names, counts, validation, copies, familiarity, .. } = &self.lesson;
        let classes = names.iter().enumerate().map(|(class, name)| {
            json!({
                "label": name,
                "pictures": counts[class],
                "recall": validation.as_ref().and_then(|v| v.confusion.recall(class)),
                "background_share": self.checks[class].share(),
                "recognised_by_background": self.checks[class].is_by_background(),
            })
        });
        json!({
            "classes": classes.collect::<Vec<_>>(),
            "pictures": counts.iter().sum::<usize>(),
            "unread": self.collection.unread.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "near_copies": copies,
            "accuracy": validation.as_ref().map(|v| v.confusion.accuracy()),
            "folds": validation.as_ref().map(|v| v.folds),
            "penalty": validation.as_ref().map(|v| v.penalty),
            "temperature": validation.as_ref().map(|v| v.temperature),
            "known_least": familiarity.as_ref().map(|f| f.least),
        })
    }
}
