//! The options of an interrupted run, so that `--resume` continues only the same work.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use whycam::grad::{Background, BoxOrder, OutputReading, Probability};
use whycam::model::{Manifest, graph_file};
use whycam::{DetectionOptions, Direction, Fusion, ModelOptions, ModelSource, Request, ScoreQuery};

/// A JSON object of the options that change results. An option with its default value is left out, so that a run can be
/// resumed after an update that adds options.
pub struct ResumeKey(Map<String, Value>);

impl ResumeKey {
    pub fn new(options: &ModelOptions, request: &Request) -> Self {
        let mut key = Self(Map::new());
        key.note("model", Some(options.model.to_string()), Some(ModelOptions::default().model.to_string()));
        key.note("labels", options.labels.as_ref().map(|path| path.display().to_string()), None);
        key.note("preset", options.preset.map(|preset| preset.name().to_owned()), None);
        key.note("input_size", options.input_size.map(|(width, height)| vec![width, height]), None);
        key.note("task", options.task, None);
        let OutputReading { scores: class_scores, background, box_order, .. } = options.reading;
        key.note("class_scores", class_scores.map(Probability::name), None);
        key.note("background", background.map(Background::name), None);
        key.note("box_order", box_order.map(BoxOrder::name), None);
        let (asked, usual) = (request.detections, DetectionOptions::default());
        key.note("threshold", asked.threshold, usual.threshold);
        key.note("overlap", asked.overlap, usual.overlap);
        key.note("detections", asked.most, usual.most);
        key.note("output", options.output.clone(), None);
        key.note("feed", texts(&options.feed), Vec::new());
        key.note("references", texts(&options.comparison.references), Vec::new());
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        key.note("text_model", path(&options.comparison.text_model), None);
        key.note("tokenizer", path(&options.comparison.tokenizer), None);
        key.note("logit_scale", options.comparison.scale, None);
        key.note("logit_bias", options.comparison.bias, None);
        key.note("region", request.area.map(|area| vec![area.x, area.y, area.width, area.height]), None);
        key.note("direction", (request.direction == Direction::Down).then_some("down"), None);
        key.note_model(&options.model, request.method.map(|method| method.name));
        key.note("scores", scores(&request.scores), scores(&Request::default().scores));
        key.note("layers", request.layers.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::new());
        key.note("signed", request.signed, false);
        let fusion = |fusion: Fusion| format!("{fusion:?}").to_lowercase();
        key.note("fusion", fusion(request.fusion), fusion(Fusion::default()));
        key
    }

    /// Notes the method that is asked for, and of a file what tells it from another model, or from another manifest.
    fn note_model(&mut self, model: &ModelSource, method: Option<&str>) {
        // Without a method, it is that of the manifest, or of the task: for the built-in classifiers Grad-CAM.
        let mut usual = Some("grad-cam".to_owned());
        if let ModelSource::File(path) = model {
            let path = graph_file(path).unwrap_or_else(|_| path.clone());
            let manifest = path.with_extension("toml");
            self.note("manifest", fs::read_to_string(&manifest).unwrap_or_default(), String::new());
            self.note("written", written(&path), String::new());
            usual = Manifest::read(&manifest).ok().and_then(|own| own.method);
        }
        self.note("method", method.map(str::to_owned).filter(|method| usual.as_ref() != Some(method)), None);
    }

    /// Notes an option, unless it has its default value.
    pub fn note<T: PartialEq + Into<Value>>(&mut self, name: &str, value: T, default: T) {
        if value != default {
            self.0.insert(name.to_owned(), value.into());
        }
    }

    pub fn text(&self) -> String {
        json!(self.0).to_string()
    }
}

/// The size of a file and when it was written; empty where that is not known.
pub fn written(path: &Path) -> String {
    let written = fs::metadata(path).and_then(|metadata| Ok((metadata.len(), metadata.modified()?)));
    written.map_or(String::new(), |written| format!("{written:?}"))
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn scores(queries: &[ScoreQuery]) -> Vec<Value> {
    let form = |query: &ScoreQuery| match query {
        ScoreQuery::Rank(rank) => json!(rank),
        ScoreQuery::Contrast { class, against } => json!([class.as_str(), against.as_str()]),
        class => json!(class.to_string()),
    };
    queries.iter().map(form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_leave_no_trace_and_other_values_do() {
        let key = ResumeKey::new(&ModelOptions::default(), &Request::default());
        assert_eq!(key.text(), "{}");
        let mut request = Request::default();
        request.scores = vec![ScoreQuery::Class("roses".into()), ScoreQuery::Rank(0)];
        request.fusion = Fusion::Mean;
        let mut key = ResumeKey::new(&ModelOptions::default(), &request);
        key.note("boxes", Some(0.5), None);
        assert_eq!(key.text(), r#"{"boxes":0.5,"fusion":"mean","scores":["roses",0]}"#);
    }
}
