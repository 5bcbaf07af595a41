//! `whycam inspect`

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use whycam::grad::Candidate;
use whycam::model::{Guess, InputSpec, Layout, LoadedModel, Located, TypedModel, load, locate, type_tensors};
use whycam::onnx::GraphIndex;
use whycam::{ModelOptions, Request};

use super::args::{GlobalArgs, LayerArgs, MethodArgs, ModelArgs};
use super::output::{ExitStatus, print};

#[derive(Args)]
pub struct Inspect {
    /// A built-in model or an ONNX file
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    name: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    layers: LayerArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn run(self, global: &GlobalArgs) -> Result<ExitStatus> {
        global.tell_runtime()?;
        let mut request = self.method.request();
        self.layers.apply(&mut request);
        let model = self.name.as_deref().or(self.model.model.as_deref());
        let loaded = load(&self.model.settings.options(model))?;
        let located = locate(type_tensors(loaded)?, &request)?;
        let report = Report::of(&located)?;
        print(&if self.json { format!("{}\n", report.as_json()) } else { report.as_table() })
    }
}

/// What `inspect --json` prints of a model in a file.
///
/// # Errors
/// The model cannot be read.
pub fn about(file: &Path) -> Result<Value> {
    let mut options = ModelOptions::default();
    options.model = file.to_string_lossy().as_ref().into();
    let located = locate(type_tensors(load(&options)?)?, &Request::default())?;
    Ok(Report::of(&located)?.as_json())
}

/// What `inspect` prints of a model.
struct Report<'a> {
    located: &'a Located,
    /// The tensors of the target layers.
    layers: Vec<&'a str>,
    /// Why the first of them is one.
    reason: String,
    candidates: Vec<Candidate>,
    /// Ops of the model that have a gradient rule, each once.
    known: Vec<&'a str>,
    unknown: Vec<UnknownOp<'a>>,
}

/// A node whose op has no gradient rule.
struct UnknownOp<'a> {
    op: &'a str,
    node: &'a str,
    /// Whether it lies between the logits and the default layer.
    in_the_way: bool,
}

impl<'a> Report<'a> {
    fn of(located: &'a Located) -> Result<Self> {
        let model = &located.typed.loaded.model;
        let [first, ..] = located.targets.as_slice() else { return Err(model.error("it has no target layer").into()) };
        let layers: Vec<&str> = located.targets.iter().map(|target| target.layer.tensor.as_str()).collect();
        let index = GraphIndex::new(model.graph());
        let ancestors = index.ancestors(located.task.tensor());
        let after: HashSet<&str> = layers.iter().flat_map(|layer| index.dependents(layer)).collect();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (at, node) in model.graph().node.iter().enumerate() {
            if located.rules.know(node) {
                known.push(node.op());
                continue;
            }
            let follows = node.input.iter().any(|i| after.contains(i.as_str()));
            let in_the_way = follows && ancestors.contains(&at);
            unknown.push(UnknownOp { op: node.op(), node: node.label(), in_the_way });
        }
        known.sort_unstable();
        known.dedup();
        let reason = first.reason.to_string();
        Ok(Self { located, layers, reason, candidates: located.candidates(), known, unknown })
    }

    fn is_default(&self, candidate: &Candidate) -> bool {
        self.layers.contains(&candidate.tensor.as_str())
    }

    fn kinds_of_op(&self) -> usize {
        self.known.iter().copied().chain(self.unknown.iter().map(|unknown| unknown.op)).collect::<HashSet<_>>().len()
    }

    fn as_json(&self) -> Value {
        let LoadedModel { manifest, guess, .. } = &self.located.typed.loaded;
        let Located { typed: TypedModel { input, tensors, .. }, task, .. } = self.located;
        let shape = &tensors[input].shape;
        let candidate = |c: &Candidate| {
            json!({
                "tensor": c.tensor,
                "node": c.node,
                "op": c.op,
                "shape": c.shape,
                "channels": c.layout.channels,
                "grid": [c.layout.height, c.layout.width],
                "prefix_tokens": c.layout.prefix.unwrap_or(0),
                "depth": c.depth,
                "stride": c.layout.geometry.stride,
                "first": c.layout.geometry.first,
                "default": self.is_default(c),
            })
        };
        let mut without: Vec<&str> = self.unknown.iter().map(|u| u.op).collect();
        without.sort_unstable();
        without.dedup();
        let mut report = json!({
            "model": manifest.name,
            "task": task.name(),
            "inputs": [{ "name": input, "shape": shape, "layout": manifest.input.layout }],
            "preprocessing": manifest.input,
            "preprocessing_guessed": guess.map(|g| json!({ "preset": g.preset.name(), "reason": g.reason })),
            "labels": manifest.labels,
            "notices": self.located.notices,
            "layer": self.layers.join(","),
            "reason": self.reason,
            "candidates": self.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "ops_with_rule": self.known,
            "ops_without_rule": without,
            "nodes_without_rule": self.unknown.iter()
                .map(|u| json!({ "op": u.op, "node": u.node, "in_the_way": u.in_the_way }))
                .collect::<Vec<_>>(),
        });
        if let (Value::Object(report), Ok(Value::Object(task))) = (&mut report, serde_json::to_value(task)) {
            report.extend(task);
        }
        report
    }

    fn as_table(&self) -> String {
        let LoadedModel { manifest, guess, .. } = &self.located.typed.loaded;
        let Located { typed: TypedModel { input, tensors, .. }, task, .. } = self.located;
        let shape = &tensors[input].shape;
        let mut lines = vec![
            format!("model    {}  {}", manifest.name, manifest.description).trim_end().to_owned(),
            format!("input    {input} {shape:?}"),
            format!("pixels   {}", pixels(&manifest.input, *guess)),
            format!("task     {}", task.name()),
            format!("{:<8} {task}", task.tensor_kind()),
        ];
        if !manifest.labels.is_empty() {
            lines.push(format!("labels   {}", manifest.labels.join(", ")));
        }
        lines.extend(self.located.notices.iter().map(|notice| format!("note     {notice}")));
        lines.push(format!("layer    {}: {}", self.layers.join(","), self.reason));
        lines.push(format!("rules    {} of {} kinds of op have a gradient rule", self.known.len(), self.kinds_of_op()));
        lines.push("\nlayers that can be explained, first to last; * marks the default layer".into());
        lines.extend(self.candidate_rows());
        if !self.unknown.is_empty() {
            let title = "\nnodes without a gradient rule; ! marks those between the logits and the default layer";
            lines.push(title.into());
        }
        for UnknownOp { op, node, in_the_way } in &self.unknown {
            lines.push(format!("{} {op}  {node}", if *in_the_way { '!' } else { ' ' }));
        }
        lines.join("\n") + "\n"
    }

    fn candidate_rows(&self) -> Vec<String> {
        let width = |text: fn(&Candidate) -> usize| self.candidates.iter().map(text).max().unwrap_or(0).clamp(5, 60);
        let (op_width, tensor_width) = (width(|c| c.op.len()), width(|c| c.tensor.len()));
        let mut rows = vec![format!(
            "  {:<op_width$}  {:<tensor_width$}  {:>10}  {:>8}  {:>7}  {:>5}  shape",
            "op", "tensor", "map", "channels", "stride", "depth"
        )];
        for candidate in &self.candidates {
            let mark = if self.is_default(candidate) { '*' } else { ' ' };
            let Candidate { op, tensor, shape, layout, depth, .. } = candidate;
            let map = format!("{}x{}", layout.height, layout.width);
            let stride = stride(layout.geometry.stride);
            let channels = layout.channels;
            rows.push(format!(
                "{mark} {op:<op_width$}  {tensor:<tensor_width$}  {map:>10}  {channels:>8}  {stride:>7}  {depth:>5}  \
                 {shape:?}"
            ));
        }
        rows
    }
}

/// Pixels of the input between neighbouring cells of the map.
fn stride([y, x]: [f64; 2]) -> String {
    let number = |v: f64| format!("{v:.2}").trim_end_matches('0').trim_end_matches('.').to_owned();
    if (y - x).abs() < 1e-9 { number(y) } else { format!("{}x{}", number(y), number(x)) }
}

fn pixels(spec: &InputSpec, guess: Option<Guess>) -> String {
    let InputSpec { scale, mean, std, fit, crop, .. } = spec;
    let layout = if spec.layout == Layout::ChannelsLast { "channels last" } else { "channels first" };
    let colour = if spec.channels == 1 { "grey".into() } else { format!("{:?}", spec.colour).to_uppercase() };
    let fit = format!("{fit:?}").to_lowercase();
    let numbers = |values: &[f32; 3]| values.map(|v| format!("{v}")).join(" ");
    let how = format!("{colour}, {layout}, {fit} {crop}, (pixel * {scale} - [{}]) / [{}]", numbers(mean), numbers(std));
    match guess {
        Some(Guess { preset, reason, .. }) => format!("{how}: guessed ({preset}: {reason}); --preset chooses"),
        None => how,
    }
}
