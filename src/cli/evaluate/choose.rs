//! Writing the best method into a model's manifest.

use std::path::Path;

use anyhow::{Context, Result, bail};
use whycam::evaluate::{Measured, choose};
use whycam::model::Manifest;
use whycam::plumbing::write_whole;

use crate::cli::output::{UsageError, say};

/// Refuses a model that has no manifest to write into.
pub fn check(model: Option<&str>) -> Result<()> {
    let manifest = model.map(|model| Path::new(model).with_extension("toml"));
    if manifest.is_some_and(|manifest| manifest.exists()) {
        return Ok(());
    }
    let problem =
        "--choose writes into the manifest next to a model's file, and there is none; docs/models.md shows one";
    Err(UsageError(problem.into()).into())
}

/// Chooses among measured methods, and writes the best one with its layer into the manifest next to the model.
///
/// # Errors
/// No method passes the sanity check, or the manifest cannot be written.
pub fn write(model: &str, measured: &[Measured]) -> Result<()> {
    let Some(best) = choose(measured) else { bail!("no method passes the sanity check: the manifest is as it was") };
    let path = Path::new(model).with_extension("toml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    // RefineCAM finds its own layers.
    let layer = (best.method != "refine-cam").then_some(best.layer.as_str());
    let changed = with_keys(&text, &[("method", Some(best.method)), ("layer", layer)]);
    let read: Manifest = toml::from_str(&changed).with_context(|| path.display().to_string())?;
    if read.method.as_deref() != Some(best.method) {
        bail!("{}: its form does not let whycam write into it; add method = \"{}\"", path.display(), best.method);
    }
    write_whole(&path, changed.into_bytes(), true)?;
    say(format_args!("{}: {} at {} has the best value, {:.3}", path.display(), best.method, best.layer, best.value()));
    Ok(())
}

/// A TOML file with top-level keys set, or removed where there is no value. All else stays as it is.
fn with_keys(text: &str, keys: &[(&str, Option<&str>)]) -> String {
    let is_key = |line: &str, key: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    let is_table = |line: &&str| line.starts_with('[') && line.trim_end().ends_with(']');
    let tables = text.lines().position(|line| is_table(&line)).unwrap_or(usize::MAX);
    let (top, rest): (Vec<_>, Vec<_>) = text.lines().enumerate().partition(|(index, _)| *index < tables);
    let top = top.into_iter().map(|(_, line)| line);
    let mut lines: Vec<String> =
        top.filter(|line| !keys.iter().any(|(key, _)| is_key(line, key))).map(str::to_owned).collect();
    let blank = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let set = keys.iter().filter_map(|(key, value)| Some(format!("{key} = {}", toml::Value::from((*value)?))));
    lines.splice(blank..blank, set);
    lines.extend(rest.into_iter().map(|(_, line)| line.to_owned()));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_before_the_first_table_and_the_rest_stays() {
        let text = "# A net.\nname = \"a\"\nlayer = \"old\"\n\n[input]\nwidth = 8\nmethod = \"mine\"\n";
        let changed = with_keys(text, &[("method", Some("layer-cam")), ("layer", None)]);
        let expected = "# A net.\nname = \"a\"\nmethod = \"layer-cam\"\n\n[input]\nwidth = 8\nmethod = \"mine\"\n";
        assert_eq!(changed, expected);
        assert_eq!(with_keys(&changed, &[("method", Some("layer-cam")), ("layer", None)]), changed);
    }
}
