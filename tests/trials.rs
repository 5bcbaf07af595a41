//! Trials: small inputs of every kind that failed once, as users meet them. `make trials` prints them as a table.
#![allow(clippy::print_stdout)]

mod cases;
mod media;
mod models;
mod quantised;

/// One input, the right answer, and the program's.
#[derive(Clone)]
pub struct Trial {
    pub case: &'static str,
    pub right: &'static str,
    pub got: String,
}

impl Trial {
    fn is_right(&self) -> bool {
        self.got == self.right
    }
}

/// Prints the table, and fails if a row is wrong.
fn report(title: &str, trials: &[Trial]) {
    const WIDEST: usize = 64;
    let cut = |text: &str| match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    let width =
        |of: &dyn Fn(&Trial) -> &str| trials.iter().map(|trial| cut(of(trial)).chars().count()).max().unwrap_or(0);
    let (case_width, right_width) = (width(&|trial| trial.case), width(&|trial| trial.right));
    println!("\n  {title:<case_width$}  {:<right_width$}  got", "right");
    for trial in trials {
        let mark = if trial.is_right() { ' ' } else { '!' };
        println!("{mark} {:<case_width$}  {:<right_width$}  {}", trial.case, cut(trial.right), cut(&trial.got));
    }
    let wrong: Vec<&Trial> = trials.iter().filter(|trial| !trial.is_right()).collect();
    println!("{} of {} right", trials.len() - wrong.len(), trials.len());
    let wrong: Vec<String> =
        wrong.iter().map(|t| format!("{}\n  right: {}\n  got:   {}", t.case, t.right, t.got)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn films_and_pictures() {
    report("films and pictures", &media::trials());
}

#[test]
fn model_files() {
    report("model files", &models::trials());
}
