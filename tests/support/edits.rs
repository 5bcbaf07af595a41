//! Damaged nets for the differentiator, and damaged metadata for their reader.
#![allow(dead_code)]

use std::path::Path;

use whycam::grad::{self, Additions, LayerName, Rules, Score, Task};
use whycam::model::Contract;
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor};
use whycam::onnx::{OnnxModel, Tensors, WORKING_OPSET};
use whycam::session;

/// Nets of the references that have many ops between them.
const NETS: [&str; 3] = ["mobilenet3.legacy.onnx", "deit.dynamo.onnx", "coatnet.dynamo.onnx"];

/// The undamaged nets, and what is known of their tensors.
pub fn nets() -> Vec<(OnnxModel, Tensors)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/reference/models", "../reference/models"].map(|path| folder.join(path));
    let folder = folders.iter().find(|folder| folder.is_dir()).expect("the reference nets");
    let read = |name: &&str| {
        let mut model = OnnxModel::read(&folder.join(name)).expect("a committed net");
        let tensors = known(&mut model).expect("the runtime takes it");
        (model, tensors)
    };
    NETS.iter().map(read).collect()
}

fn known(model: &mut OnnxModel) -> Option<Tensors> {
    let input = model.graph().true_inputs().next()?.name().to_owned();
    session::probe(model, &[(&input, vec![1, 3, 64, 64])]).ok()
}

/// Takes numbers out of a script; after its end all are 0.
struct Script<'s>(std::slice::Iter<'s, u8>);

impl Script<'_> {
    fn below(&mut self, end: usize) -> usize {
        let [high, low] = [0, 1].map(|_| self.0.next().copied().unwrap_or(0));
        usize::from(u16::from_be_bytes([high, low])) % end.max(1)
    }

    fn number(&mut self) -> i64 {
        [0, 1, -1, 2, 7, i64::MAX, i64::MIN, 1 << 20, -3][self.below(9)]
    }
}

/// Edits one of the nets and differentiates it. Neither may panic. The bytes of the script choose the edits.
pub fn differentiate_edited(nets: &[(OnnxModel, Tensors)], script: &[u8]) {
    let mut script = Script(script.iter());
    let (mut model, tensors) = nets[script.below(nets.len())].clone();
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    for _ in 0..=script.below(4) {
        edit(&mut model, &names, &mut script);
    }
    // As if read from a file, and only if the runtime accepts it.
    let Ok(mut model) = OnnxModel::from_bytes("edited", model.to_bytes()) else { return };
    grad::reserve_names(&mut model);
    let Some(tensors) = known(&mut model) else { return };
    let Ok((task, _)) = Task::find(&model, &tensors, grad::Search::default()) else { return };
    for candidate in grad::list_candidates(&model, &tensors, &task, false) {
        let name = LayerName::Named(candidate.tensor.clone());
        let Ok(target) = grad::find_target(&model, &tensors, &task, false, Some(&name)) else { continue };
        let mut augmented = model.clone();
        let additions = Additions { score: Some(Score::Class), batched_classes: script.below(2) == 1 };
        let targets = std::slice::from_ref(&target);
        if grad::augment(&mut augmented, &tensors, &Rules::default(), &task, targets, additions).is_ok() {
            let _ = grad::append_cam(
                &mut augmented,
                "cam",
                grad::CamWeights::Mean,
                false,
                [candidate.layout.height, candidate.layout.width],
            );
        }
        let _ = grad::cut_remainder(&model, &tensors, &task, &target);
    }
}

/// The metadata of an augmented model: each field of its contract with a value that can be read.
pub const CONTRACT: &[(&str, &str)] = &[
    ("layer", "active"),
    ("logits", "scores"),
    ("grid", "8x8"),
    ("place", r#"{"first":[0.5,0.5],"stride":[2.0,2.0]}"#),
    ("places", "[]"),
    ("probability", "softmax"),
    ("labels", r#"["a","b"]"#),
    ("preprocessing", r#"{"width":16,"height":16,"scale":1.0}"#),
    ("known", r#"{"output":"familiarity","least":0.5}"#),
];

/// Reads a contract whose field `damaged` holds `text`.
pub fn read_contract(damaged: &str, text: &str) -> whycam::Result<Option<Contract>> {
    let mut model = OnnxModel::from_graph("damaged", WORKING_OPSET, Graph::default());
    for (field, value) in CONTRACT {
        model.set_metadata(&format!("whycam.{field}"), if *field == damaged { text } else { *value });
    }
    Contract::read(&model)
}

/// Reads contracts of which each field in turn holds `text`. The reader may not panic.
pub fn read_damaged_contracts(text: &str) {
    for (field, _) in CONTRACT {
        let _ = read_contract(field, text);
    }
}

fn edit(model: &mut OnnxModel, names: &[&String], script: &mut Script) {
    let ops: Vec<&str> = grad::RULES.iter().map(|(op, _, _)| *op).collect();
    let some_name = names[script.below(names.len())].clone();
    let nodes = &mut model.graph_mut().node;
    if nodes.is_empty() {
        return;
    }
    let at = script.below(nodes.len());
    let node: &mut Node = &mut nodes[at];
    match script.below(8) {
        0 => node.op_type = Some(ops[script.below(ops.len())].to_owned()),
        1 => drop(nodes.remove(at)),
        2 if !node.input.is_empty() => {
            let input = script.below(node.input.len());
            node.input[input] = some_name;
        }
        3 => drop(node.input.pop()),
        4 => node.attribute.clear(),
        5 => {
            let name =
                ["axis", "perm", "pads", "strides", "kernel_shape", "group", "dilations", "axes"][script.below(8)];
            let values: Vec<i64> = (0..script.below(6)).map(|_| script.number()).collect();
            node.attribute.retain(|attribute| attribute.name() != name);
            let attribute = match values.as_slice() {
                [one] => Attribute::from_int(name, *one),
                several => Attribute::from_ints(name, several),
            };
            node.attribute.push(attribute);
        }
        _ => {
            let tensors = &mut model.graph_mut().initializer;
            let at = script.below(tensors.len());
            let Some(tensor) = tensors.get_mut(at) else { return };
            match tensor.to_i64s() {
                Some(values) if values.len() < 10 => {
                    let dims = tensor.dims.clone();
                    let values: Vec<i64> = values.iter().map(|_| script.number()).collect();
                    *tensor = Tensor::from_i64s(tensor.name(), &dims, &values);
                }
                _ => tensor.dims = (0..script.below(6)).map(|_| script.number()).collect(),
            }
        }
    }
}
