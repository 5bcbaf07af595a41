//! The layers from the input of a detector's head to its scores, on a part of the map: a box is made from a few cells, so
//! its gradient reaches no further.

use std::collections::HashSet;

use super::rules::OpKind;
use crate::onnx::proto::{Graph, Node, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel};

/// The layers between two maps of one grid.
pub struct Branch {
    /// From the layer, `[N,C,h,w]` of any size, to the score map.
    pub model: OnnxModel,
    /// How many cells of the layer, in each direction, the scores of a cell depend on.
    pub reach: usize,
    /// Whether numbers are rounded to a scale of the whole map, which a part of it does not have.
    pub scaled_by_map: bool,
}

/// Cuts the layers from `layer`, of `channels` channels, to the score map `map`, if each keeps the grid and a cell of its
/// output depends on a window of its input alone.
pub fn cut_branch(model: &OnnxModel, layer: &str, map: &str, channels: usize) -> Option<Branch> {
    let graph = model.graph();
    let index = GraphIndex::new(graph);
    let picture = graph.true_inputs().next()?.name();
    let (later, before, of_picture) = (index.dependents(layer), index.ancestors(map), index.dependents(picture));
    let between = |at: usize, node: &Node| {
        let reads = node.input.iter().any(|input| later.contains(input.as_str()));
        before.contains(&at) && reads && !node.output.iter().any(|output| output == layer)
    };
    let nodes: Vec<&Node> =
        graph.node.iter().enumerate().filter(|(at, node)| between(*at, node)).map(|(_, n)| n).collect();
    let mut constants: HashSet<usize> = HashSet::new();
    let mut reaches: std::collections::HashMap<&str, usize> = [(layer, 0)].into();
    for node in &nodes {
        let mut reach = 0;
        for input in node.input.iter().map(String::as_str).filter(|input| !input.is_empty()) {
            match reaches.get(input) {
                Some(known) => reach = reach.max(*known),
                // What else depends on the picture lies beside the layer.
                None if of_picture.contains(input) => return None,
                None => constants.extend(index.ancestors(input)),
            }
        }
        let reach = reach + reach_of(&index, node)?;
        reaches.extend(node.output.iter().map(|output| (output.as_str(), reach)));
    }
    let reach = *reaches.get(map)?;
    let constants = graph.node.iter().enumerate().filter(|(at, _)| constants.contains(at)).map(|(_, node)| node);
    let node: Vec<Node> = constants.chain(nodes).cloned().collect();
    let read: HashSet<&str> = node.iter().flat_map(|node| node.input.iter().map(String::as_str)).collect();
    let initializer = graph.initializer.iter().filter(|weights| read.contains(weights.name())).cloned().collect();
    let input = ValueInfo::tensor(layer, DataType::Float, &[-1, channels as i64, -2, -3]);
    let output = vec![ValueInfo::untyped(map)];
    let graph =
        Graph { name: Some("branch".into()), node, initializer, input: vec![input], output, ..Graph::default() };
    let scaled_by_map = graph.node.iter().any(|node| node.op() == "DynamicQuantizeLinear");
    Some(Branch { model: model.with_graph(graph), reach, scaled_by_map })
}

/// The cells that a node reaches in each direction; `None` for one that reaches further than a window, or changes the grid.
fn reach_of(index: &GraphIndex, node: &Node) -> Option<usize> {
    let ints = |name: &str| node.ints(name).unwrap_or_default();
    match node.op() {
        "Conv" | "ConvInteger" => {
            let [_, _, height, width] = *weights_dims(index, node.input.get(1)?)? else { return None };
            let dilation = *ints("dilations").first().unwrap_or(&1);
            let reach = |kernel: i64| (kernel - 1) / 2 * dilation;
            let [down, across] = [reach(height), reach(width)];
            let pads = ints("pads");
            let same = pads == [down, across, down, across] || (pads.is_empty() && down == 0 && across == 0);
            let kept = same && height % 2 == 1 && width % 2 == 1 && ints("strides").iter().all(|stride| *stride == 1);
            kept.then(|| usize::try_from(down.max(across)).ok()).flatten()
        }
        "BatchNormalization" => Some(0),
        "Concat" => (node.int("axis") == Some(1)).then_some(0),
        // A factor for each cell would not fit a part of the map.
        "Add" | "Div" | "Mul" | "Sub" => {
            let flat = |input: &String| {
                index.constant(input).is_none_or(|constant| constant.dims.iter().rev().take(2).all(|side| *side == 1))
            };
            node.input.iter().all(flat).then_some(0)
        }
        _ => matches!(OpKind::of(node), OpKind::Activation | OpKind::Quantising | OpKind::Transparent).then_some(0),
    }
}

/// The shape of weights, which may be rounded.
fn weights_dims<'m>(index: &GraphIndex<'m>, weights: &str) -> Option<&'m [i64]> {
    let rounded = || index.producer_node(weights).filter(|node| OpKind::of(node) == OpKind::Quantising);
    let constant = index.constant(weights).or_else(|| index.constant(rounded()?.input.first()?))?;
    Some(&constant.dims)
}
