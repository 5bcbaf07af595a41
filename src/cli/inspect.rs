//! `whycam inspect`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use whycam::grad::{Candidate, list_candidates};
use whycam::manifest::{InputSpec, Layout};
use whycam::onnx::GraphIndex;
use whycam::{Analysis, ExplainerOptions, Guess, analyse};

use super::{Common, Status, print};

#[derive(Args)]
pub struct Inspect {
    /// A built-in model or an ONNX file
    #[arg(value_name = "MODEL")]
    name: Option<String>,
    /// As one JSON object on standard output
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn run(self, common: &Common) -> Result<Status> {
        common.tell_runtime()?;
        let model = self.name.or_else(|| common.model.clone());
        let analysis = analyse(&ExplainerOptions { model, ..common.explainer_options() })?;
        let report = Report::of(&analysis);
        print(&if self.json { format!("{}\n", report.as_json()) } else { report.as_table() })
    }
}

/// What is told of a model.
struct Report<'a> {
    analysis: &'a Analysis,
    candidates: Vec<Candidate>,
    /// Ops of the model that have a gradient rule, each once.
    known: Vec<&'a str>,
    unknown: Vec<UnknownOp<'a>>,
}

/// A node that no gradient can pass.
struct UnknownOp<'a> {
    op: &'a str,
    node: &'a str,
    /// Whether it lies between the logits and the default layer.
    in_the_way: bool,
}

impl<'a> Report<'a> {
    fn of(analysis: &'a Analysis) -> Self {
        let Analysis { model, manifest, head, target, tensors, rules, .. } = analysis;
        let channels_last = manifest.input.layout == Layout::ChannelsLast;
        let index = GraphIndex::new(model.graph());
        let ancestors = index.ancestors(&head.logits);
        let behind = index.dependents(&target.layer.tensor);
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (place, node) in model.graph().node.iter().enumerate() {
            if rules.know(node) {
                known.push(node.op());
                continue;
            }
            let follows = node.input.iter().any(|i| behind.contains(i.as_str()));
            unknown.push(UnknownOp {
                op: node.op(),
                node: node.label(),
                in_the_way: follows && ancestors.contains(&place),
            });
        }
        known.sort_unstable();
        known.dedup();
        Self { analysis, candidates: list_candidates(model, tensors, head, channels_last), known, unknown }
    }

    fn is_default(&self, candidate: &Candidate) -> bool {
        candidate.tensor == self.analysis.target.layer.tensor
    }

    fn as_json(&self) -> Value {
        let Analysis { manifest, guess, input, head, target, tensors, .. } = self.analysis;
        let candidate = |c: &Candidate| {
            json!({
                "tensor": c.tensor,
                "node": c.node,
                "op": c.op,
                "shape": c.shape,
                "channels": c.view.channels,
                "grid": [c.view.height, c.view.width],
                "prefix_tokens": c.view.prefix.unwrap_or(0),
                "depth": c.depth,
                "stride": c.view.place.stride,
                "first": c.view.place.first,
                "default": self.is_default(c),
            })
        };
        let mut without: Vec<&str> = self.unknown.iter().map(|u| u.op).collect();
        without.sort_unstable();
        without.dedup();
        json!({
            "model": manifest.name,
            "inputs": [{ "name": input, "shape": tensors[input].shape, "layout": manifest.input.layout }],
            "preprocessing": manifest.input,
            "preprocessing_guessed": guess.map(|g| json!({ "preset": g.preset, "reason": g.reason })),
            "logits": head.logits,
            "classes": head.classes,
            "probability": head.probability.name(),
            "labels": manifest.labels,
            "layer": target.layer.tensor,
            "reason": target.reason,
            "candidates": self.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "ops_with_rule": self.known,
            "ops_without_rule": without,
            "nodes_without_rule": self.unknown.iter()
                .map(|u| json!({ "op": u.op, "node": u.node, "in_the_way": u.in_the_way }))
                .collect::<Vec<_>>(),
        })
    }

    fn as_table(&self) -> String {
        let Analysis { manifest, guess, input, head, target, tensors, .. } = self.analysis;
        let mut lines = vec![
            format!("model    {}  {}", manifest.name, manifest.description).trim_end().to_owned(),
            format!("input    {input} {:?}", tensors[input].shape),
            format!("pixels   {}", pixels(&manifest.input, *guess)),
            format!("logits   {} ({} classes, {})", head.logits, head.classes, head.probability.name()),
        ];
        if !manifest.labels.is_empty() {
            lines.push(format!("labels   {}", manifest.labels.join(", ")));
        }
        lines.push(format!("layer    {}: {}", target.layer.tensor, target.reason));
        let width = |text: fn(&Candidate) -> usize| self.candidates.iter().map(text).max().unwrap_or(0).clamp(5, 60);
        let (op_width, tensor_width) = (width(|c| c.op.len()), width(|c| c.tensor.len()));
        lines.push("\nlayers that can be explained, first to last; * marks the one that is by default".into());
        lines.push(format!(
            "  {:<op_width$}  {:<tensor_width$}  {:>10}  {:>8}  {:>7}  {:>5}  shape",
            "op", "tensor", "map", "channels", "stride", "depth"
        ));
        for candidate in &self.candidates {
            let mark = if self.is_default(candidate) { '*' } else { ' ' };
            let Candidate { op, tensor, shape, view, depth, .. } = candidate;
            let map = format!("{}x{}", view.height, view.width);
            let stride = stride(view.place.stride);
            let channels = view.channels;
            lines.push(format!(
                "{mark} {op:<op_width$}  {tensor:<tensor_width$}  {map:>10}  {channels:>8}  {stride:>7}  {depth:>5}  {shape:?}"
            ));
        }
        if !self.unknown.is_empty() {
            lines
                .push("\nnodes without a gradient rule; ! marks those between the logits and the default layer".into());
        }
        for UnknownOp { op, node, in_the_way } in &self.unknown {
            lines.push(format!("{} {op}  {node}", if *in_the_way { '!' } else { ' ' }));
        }
        lines.join("\n") + "\n"
    }
}

/// Pixels of the input between neighbouring places of the map.
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
        Some(Guess { preset, reason }) => format!("{how}: guessed ({preset}: {reason}); --preset chooses"),
        None => how,
    }
}
