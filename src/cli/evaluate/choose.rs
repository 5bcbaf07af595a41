//! Writing the best method into a model's manifest.

use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::Value;
use whycam::cam::{self, Layers, METHODS, Method};
use whycam::evaluate::{Displacement, Measured, choose, may_be_default};
use whycam::model::Manifest;
use whycam::plumbing::write_whole;

use crate::cli::args::ModelArgs;
use crate::cli::output::{UsageError, say};

/// Refuses a model that has no manifest to write into, or one that is not used.
pub fn check(model: &ModelArgs, methods: &[&Method], sample: usize) -> Result<()> {
    if sample == 0 {
        return Err(UsageError("--choose compares what is measured on photos, and --sample 0 takes none".into()).into());
    }
    if !methods.is_empty() && !methods.iter().any(|method| may_be_default(method)) {
        let problem =
            "--choose takes a method of one run at a layer that explains the class's own score, and none is named";
        return Err(UsageError(problem.into()).into());
    }
    let settings = &model.settings;
    if settings.preset.is_some() || settings.task.is_some() || settings.output.is_some() {
        let problem = "--choose measures what the manifest says; leave out --preset, --task and --output";
        return Err(UsageError(problem.into()).into());
    }
    let file = model.model.as_deref().map(Path::new).filter(|model| model.is_file());
    let manifest = file.map(|model| model.with_extension("toml")).filter(|manifest| manifest.exists());
    let Some(manifest) = manifest else {
        let problem = "--choose writes into the manifest next to a model's file, and there is none";
        return Err(UsageError(format!("{problem}; docs/models.md shows one")).into());
    };
    changed(&manifest, METHODS[0].name, &[]).map(|_| ())
}

/// Chooses among measured methods, and writes the best one with its layer into the manifest next to the model.
///
/// # Errors
/// No method passes the sanity check, or the manifest cannot be written.
pub fn write(model: &str, layers_named: bool, measured: &[Measured]) -> Result<()> {
    let Some(best) = choose(measured) else {
        bail!("no method that may be a default passes the sanity check: the manifest is as it was")
    };
    let path = Path::new(model).with_extension("toml");
    let shift = if best.takes_shift() { shift(best) } else { None };
    let place = [("layer", Some(Value::from(best.layer.as_str()))), ("shift", shift.map(Value::from))];
    // RefineCAM finds its own layers, starting from the manifest's and where its shift says.
    let finds = cam::find(best.method)?.layers == Layers::EachGrid && !layers_named;
    let text = changed(&path, best.method, if finds { &[] } else { &place })?;
    write_whole(&path, text.into_bytes(), true)?;
    say(format_args!("{}: {} at {} has the best value, {:.3}", path.display(), best.method, best.layer, best.value()));
    Ok(())
}

/// A manifest with another method, and with other keys set or removed.
fn changed(path: &Path, method: &str, others: &[(&str, Option<Value>)]) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let changed = with_keys(&text, &[&[("method", Some(method.into()))], others].concat());
    let read: Manifest = toml::from_str(&changed).with_context(|| path.display().to_string())?;
    if read.method.as_deref() != Some(method) {
        bail!("{}: its form does not let whycam write into it; add method = \"{method}\"", path.display());
    }
    Ok(changed)
}

/// The shift `[x, y]` that puts the maps where they belong, in whole tenths of a pixel.
fn shift(measured: &Measured) -> Option<Vec<f64>> {
    let more = measured.displacement.as_ref().and_then(Displacement::certain).unwrap_or_default();
    let before = measured.shift.unwrap_or_default();
    let tenths = [0, 1].map(|axis| (f64::from(before[axis] + more[axis]) * 10.0).round() as i64);
    tenths.iter().any(|tenth| *tenth != 0).then(|| tenths.map(|tenths| tenths as f64 / 10.0).to_vec())
}

/// A TOML file with top-level keys set, or removed where there is no value. All else stays as it is.
fn with_keys(text: &str, keys: &[(&str, Option<Value>)]) -> String {
    let is_key = |line: &str, key: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    let is_table = |line: &str| {
        let bare = line.split('#').next().unwrap_or_default().trim_end();
        bare.starts_with('[') && bare.ends_with(']')
    };
    let tables = text.lines().position(is_table).unwrap_or(usize::MAX);
    let top = text.lines().take(tables).filter(|line| !keys.iter().any(|(key, _)| is_key(line, key)));
    let mut lines: Vec<String> = top.map(str::to_owned).collect();
    let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let set = keys.iter().filter_map(|(key, value)| Some(format!("{key} = {}", value.as_ref()?)));
    lines.splice(end..end, set);
    lines.extend(text.lines().skip(tables).map(str::to_owned));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_before_the_first_table_and_the_rest_stays() {
        let rest = "\n[input]    # pixels\nwidth = 8\nmethod = \"mine\"\n";
        let text = format!("# A net.\nname = \"a\"\nlayer = \"old\"\n{rest}");
        let keys = [("method", Some("layer-cam".into())), ("layer", None), ("shift", Some(vec![1.5, -2.0].into()))];
        let changed = with_keys(&text, &keys);
        assert_eq!(changed, format!("# A net.\nname = \"a\"\nmethod = \"layer-cam\"\nshift = [1.5, -2.0]\n{rest}"));
        assert_eq!(with_keys(&changed, &keys), changed);
    }
}
