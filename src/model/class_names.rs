//! Labels in the graph itself, as exporters of scikit-learn and Custom Vision write them.

use crate::onnx::proto::{Node, Tensor, TypeValue, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// Takes the labels out of a graph, and the outputs that are no tensors of numbers: the label itself, and the list of
/// dictionaries that `ZipMap` makes. What `ZipMap` reads becomes an output in its place. Empty without any labels.
pub fn take_class_names(model: &mut OnnxModel) -> Vec<String> {
    let index = GraphIndex::new(model.graph());
    let outputs: Vec<String> = model.graph().output.iter().map(|output| output.name().to_owned()).collect();
    let mut labels = Vec::new();
    let mut replaced: Vec<(String, Option<String>)> = Vec::new();
    for (info, name) in model.graph().output.iter().zip(&outputs) {
        let node = index.producer_node(name);
        if let Some(node) = node.filter(|node| node.op() == "ZipMap") {
            labels = labels_of_map(node);
            replaced.push((name.clone(), node.input.first().cloned()));
        } else if !is_numeric(info) {
            if labels.is_empty() {
                labels = node.map(|node| labels_of_choice(&index, node)).unwrap_or_default();
            }
            let numbers = node.and_then(|node| node.input.get(1)).cloned();
            replaced.push((name.clone(), numbers.filter(|_| node.is_some_and(|n| n.op() == "ArrayFeatureExtractor"))));
        }
    }
    // Without another output, the model keeps what it has.
    if replaced.iter().all(|(_, numbers)| numbers.is_none()) && replaced.len() == outputs.len() {
        return labels;
    }
    let graph = model.graph_mut();
    for (name, numbers) in replaced {
        let Some(at) = graph.output.iter().position(|output| output.name() == name) else { continue };
        match numbers.filter(|numbers| !graph.output.iter().any(|output| output.name() == numbers)) {
            Some(numbers) => graph.output[at] = ValueInfo::untyped(&numbers),
            None => drop(graph.output.remove(at)),
        }
    }
    labels
}

/// Whether an output is a tensor of numbers, or states no type.
fn is_numeric(info: &ValueInfo) -> bool {
    match info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(TypeValue::Tensor(tensor)) => {
            tensor.elem_type() == 0 || DataType::from_number(tensor.elem_type()).is_some()
        }
        Some(_) => false,
        None => true,
    }
}

/// The keys of a `ZipMap` (<https://onnx.ai/onnx/operators/onnx_aionnxml_ZipMap.html>).
fn labels_of_map(node: &Node) -> Vec<String> {
    let strings = node.attribute("classlabels_strings").map(|a| a.strings.as_slice()).unwrap_or_default();
    if !strings.is_empty() {
        return strings.iter().map(|label| String::from_utf8_lossy(label).into_owned()).collect();
    }
    let numbers = node.ints("classlabels_int64s").unwrap_or_default();
    let counted = numbers.iter().zip(0..).all(|(label, number)| *label == number);
    // Numbers from 0 on say no more than the index.
    if counted { Vec::new() } else { numbers.iter().map(ToString::to_string).collect() }
}

/// The list that an `ArrayFeatureExtractor` chooses a label from, or the names of a `LabelEncoder`.
fn labels_of_choice(index: &GraphIndex, node: &Node) -> Vec<String> {
    let text = |label: &prost::bytes::Bytes| String::from_utf8_lossy(label).into_owned();
    match node.op() {
        "ArrayFeatureExtractor" => {
            let list: Option<&Tensor> = node.input.first().and_then(|list| index.constant(list));
            list.map(|list| list.string_data.iter().map(text).collect()).unwrap_or_default()
        }
        "LabelEncoder" => {
            let names = ["values_strings", "classes_strings"].into_iter().find_map(|name| node.attribute(name));
            names.map(|names| names.strings.iter().map(text).collect()).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
