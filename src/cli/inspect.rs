//! `whycam inspect`

use anyhow::Result;
use clap::Args;
use serde_json::json;
use whycam::grad::{is_known, list_candidates};
use whycam::{Analysis, ExplainerOptions, analyse};

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
        print(&if self.json { as_json(&analysis) } else { as_table(&analysis) })
    }
}

/// The model's ops, each once, with whether it has a rule.
fn ops(analysis: &Analysis) -> Vec<(String, bool)> {
    let mut ops: Vec<String> = analysis.model.graph().node.iter().map(|n| n.op().to_owned()).collect();
    ops.sort();
    ops.dedup();
    ops.into_iter().map(|op| (op.clone(), is_known(&op))).collect()
}

fn as_json(analysis: &Analysis) -> String {
    let candidates = list_candidates(&analysis.model, &analysis.shapes, &analysis.head);
    let candidates: Vec<_> = candidates
        .iter()
        .map(|c| {
            let default = c.tensor == analysis.target.layer.tensor;
            json!({ "tensor": c.tensor, "node": c.node, "op": c.op, "shape": c.shape, "default": default })
        })
        .collect();
    let (with, without): (Vec<_>, Vec<_>) = ops(analysis).into_iter().partition(|(_, rule)| *rule);
    let names = |ops: Vec<(String, bool)>| ops.into_iter().map(|(op, _)| op).collect::<Vec<_>>();
    let object = json!({
        "model": analysis.manifest.name,
        "inputs": [{ "name": analysis.input, "shape": analysis.shapes[&analysis.input] }],
        "logits": analysis.head.logits,
        "classes": analysis.head.classes,
        "labels": analysis.manifest.labels,
        "layer": analysis.target.layer.tensor,
        "reason": analysis.target.reason,
        "candidates": candidates,
        "ops_with_rule": names(with),
        "ops_without_rule": names(without),
    });
    format!("{object}\n")
}

fn as_table(analysis: &Analysis) -> String {
    let Analysis { manifest, head, target, shapes, input, .. } = analysis;
    let mut lines = vec![
        format!("model    {}  {}", manifest.name, manifest.description),
        format!("input    {input} {:?}", shapes[input]),
        format!("logits   {} ({} classes)", head.logits, head.classes),
    ];
    if !manifest.labels.is_empty() {
        lines.push(format!("labels   {}", manifest.labels.join(", ")));
    }
    lines.push(format!("\nlayers that can be explained, first to last; * is the default: {}", target.reason));
    for candidate in list_candidates(&analysis.model, shapes, head) {
        let mark = if candidate.tensor == target.layer.tensor { '*' } else { ' ' };
        lines.push(format!("{mark} {:<20} {:<40} {:?}", candidate.op, candidate.tensor, &candidate.shape[1..]));
    }
    let without: Vec<String> = ops(analysis).into_iter().filter(|(_, rule)| !rule).map(|(op, _)| op).collect();
    if !without.is_empty() {
        lines.push(format!("\nops without a gradient rule: {}", without.join(", ")));
    }
    lines.join("\n") + "\n"
}
