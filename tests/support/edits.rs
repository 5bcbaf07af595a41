//! Nets with a few things wrong in them, for the differentiator: each byte of a script is an edit.

use std::path::Path;

use whycam::grad::{self, Ask, Rules, Score, Tensors};
use whycam::onnx::OnnxModel;
use whycam::onnx::proto::{Attribute, Node, Tensor};
use whycam::session;

/// Nets of the references that have many ops between them.
const NETS: [&str; 3] = ["mobilenet3.legacy.onnx", "deit.dynamo.onnx", "coatnet.dynamo.onnx"];

/// The nets as they are, and what is known of their tensors.
pub fn nets() -> Vec<(OnnxModel, Tensors)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["tests/reference/models", "../reference/models"].map(|place| folder.join(place));
    let place = places.iter().find(|place| place.is_dir()).expect("the reference nets");
    let read = |name: &&str| {
        let mut model = OnnxModel::read(&place.join(name)).expect("a committed net");
        let tensors = known(&mut model).expect("the runtime takes it");
        (model, tensors)
    };
    NETS.iter().map(read).collect()
}

fn known(model: &mut OnnxModel) -> Option<Tensors> {
    let input = model.graph().true_inputs().next()?.name().to_owned();
    session::probe(model, &[(&input, vec![1, 3, 64, 64])]).ok()
}

/// Takes numbers out of a script; behind its end all are 0.
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

/// Edits one of the nets, differentiates it, and asks nothing but that neither breaks off.
pub fn differentiate_edited(nets: &[(OnnxModel, Tensors)], script: &[u8]) {
    let mut script = Script(script.iter());
    let (mut model, tensors) = nets[script.below(nets.len())].clone();
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    for _ in 0..=script.below(4) {
        edit(&mut model, &names, &mut script);
    }
    // As a file would bring it, and as the runtime takes it.
    let Ok(mut model) = OnnxModel::from_bytes("edited", model.to_bytes()) else { return };
    grad::reserve_names(&mut model);
    let Some(tensors) = known(&mut model) else { return };
    let Ok(head) = grad::find_head(&model, &tensors, None) else { return };
    for candidate in grad::list_candidates(&model, &tensors, &head, false) {
        let Ok(target) = grad::find_target(&model, &tensors, &head, false, Some(&candidate.tensor)) else { continue };
        let mut explained = model.clone();
        let ask = Ask { score: Some(Score::Class), several: script.below(2) == 1 };
        if grad::explain(&mut explained, &tensors, &Rules::default(), &head, &target, &[], ask).is_ok() {
            let _ = grad::append_cam(&mut explained, "cam", [candidate.view.height, candidate.view.width]);
        }
        let _ = grad::cut_tail(&model, &tensors, &head, &target);
    }
}

fn edit(model: &mut OnnxModel, names: &[&String], script: &mut Script) {
    let ops: Vec<&str> = grad::RULES.iter().map(|(op, _)| *op).collect();
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
            let place = script.below(node.input.len());
            node.input[place] = some_name;
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
