//! Quantised models.

use whycam::onnx::DataType;
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor};

use super::Trial;
use super::models::{Files, bare, look_at, node, scalar, trial};
use crate::support::tiny_net::Net;

fn byte(name: &str, value: u8) -> Tensor {
    bytes(name, DataType::Uint8, &[], vec![value])
}

fn bytes(name: &str, kind: DataType, dims: &[i64], values: Vec<u8>) -> Tensor {
    let (name, raw) = (Some(name.to_owned()), Some(values.into()));
    Tensor { name, dims: dims.to_vec(), data_type: Some(kind as i32), raw_data: raw, ..Tensor::default() }
}

/// A tensor `x` quantised and back, as `x_back`, at a scale.
fn there_and_back(x: &str, scale: &str, zero: &str) -> Vec<Node> {
    let [quantised, back] = ["q", "back"].map(|end| format!("{x}_{end}"));
    vec![
        node("QuantizeLinear", &[x, scale, zero], &quantised),
        node("DequantizeLinear", &[&quantised, scale, zero], &back),
    ]
}

impl Files {
    pub fn quantised(&self) -> Vec<Trial> {
        let zero = || byte("zero", 128);
        let mut after_softmax = Net::new();
        after_softmax.head.extend(there_and_back("probabilities", "fine", "least"));
        after_softmax.outputs = vec!["probabilities_back"];
        after_softmax.constants = vec![scalar("fine", 1.0 / 255.0), byte("least", 0)];

        let mut saturated = bare();
        saturated.head.extend(there_and_back("scores", "fine", "zero"));
        saturated.outputs = vec!["scores_back"];
        saturated.constants = vec![scalar("fine", 1e-6), zero()];
        let saturated = self.write(saturated.graph(), |_| ());
        let plain = self.explain(&saturated, &["--class", "1"])["map"]["max"].clone();
        let right = self.explain(&self.write(bare().graph(), |_| ()), &["--class", "1"])["map"]["max"].clone();

        let mut pooled = Net::new();
        pooled.activation = vec![node("LeakyRelu", &["seen"], "leaky")];
        pooled.activation.extend(there_and_back("leaky", "coarse", "zero"));
        let window = [Attribute::from_ints("kernel_shape", &[2, 2]), Attribute::from_ints("strides", &[2, 2])];
        pooled.activation.push(Node { attribute: window.to_vec(), ..node("MaxPool", &["leaky_back"], "small") });
        pooled.activation.extend(there_and_back("small", "coarse", "zero"));
        pooled.activation.push(node("Identity", &["small_back"], "active"));
        pooled.constants = vec![scalar("coarse", 0.05), zero()];
        vec![
            trial("dynamic quantisation", "sum: 4 by softmax, layer active", look_at(&self.dynamic())),
            trial("integer operators", "logits_q/MatMul: 4 by softmax, layer back", look_at(&self.operators())),
            trial("quantised after the softmax", "scores: 5 by softmax, layer active", self.look(after_softmax)),
            trial("saturated scores", "the map without", {
                if plain == right { "the map without".into() } else { format!("{plain} instead of {right}") }
            }),
            trial("quantised around pooling", "scores: 5 by softmax, layer leaky", self.look(pooled)),
        ]
    }

    /// `DynamicQuantizeLinear`, `ConvInteger`, `MatMulInteger`.
    fn dynamic(&self) -> String {
        let scaled = |x: &str, product: Node, y: &str| {
            let [q, s, z, f, m] = ["q", "s", "z", "f", "m"].map(|end| format!("{x}_{end}"));
            let made = product.output[0].clone();
            let to_float = Attribute::from_int("to", DataType::Float as i64);
            vec![
                Node::new("DynamicQuantizeLinear", q.as_str(), &[x], &[&q, &s, &z]),
                product,
                node("Cast", &[&made], &f).with(to_float),
                node("Mul", &[&s, "ws"], &m),
                node("Mul", &[&f, &m], y),
            ]
        };
        let conv =
            node("ConvInteger", &["image_q", "wq", "image_z"], "conv").with(Attribute::from_ints("pads", &[1; 4]));
        let product = node("MatMulInteger", &["flat_q", "vq", "flat_z"], "product");
        let mut net = Net::new();
        net.before = scaled("image", conv, "moved");
        net.before.push(node("Relu", &["moved"], "active"));
        net.before.push(node("GlobalAveragePool", &["active"], "pooled"));
        net.before.push(node("Flatten", &["pooled"], "flat"));
        net.before.extend(scaled("flat", product, "sum"));
        let nodes = [net.before, vec![node("Softmax", &["sum"], "probabilities")]].concat();
        let levels = |count: usize| (0..count).map(|at| (at * 37 % 120) as u8).collect::<Vec<_>>();
        let constants = vec![
            scalar("ws", 0.01),
            bytes("wq", DataType::Int8, &[8, 3, 3, 3], levels(216)),
            bytes("vq", DataType::Int8, &[8, 4], levels(32)),
        ];
        self.write(Graph { node: nodes, initializer: constants, ..Net::new().graph() }, |_| ())
    }

    /// `QLinearConv` and `QLinearMatMul`.
    fn operators(&self) -> String {
        let nodes = vec![
            node("QuantizeLinear", &["image", "s", "zero"], "image_q"),
            node("QLinearConv", &["image_q", "s", "zero", "wq", "s", "none", "s", "zero"], "conv_q"),
            node("DequantizeLinear", &["conv_q", "s", "zero"], "back"),
            node("GlobalAveragePool", &["back"], "pooled"),
            node("Flatten", &["pooled"], "flat"),
            node("QuantizeLinear", &["flat", "s", "zero"], "flat_q"),
            node("QLinearMatMul", &["flat_q", "s", "zero", "vq", "s", "none", "s", "zero"], "logits_q"),
            node("DequantizeLinear", &["logits_q", "s", "zero"], "scores"),
            node("Softmax", &["scores"], "probabilities"),
        ];
        let levels = |count: usize| (0..count).map(|at| (at * 37 % 120) as u8).collect::<Vec<_>>();
        let constants = vec![
            scalar("s", 0.02),
            byte("zero", 128),
            bytes("none", DataType::Int8, &[], vec![0]),
            bytes("wq", DataType::Int8, &[8, 3, 3, 3], levels(216)),
            bytes("vq", DataType::Int8, &[8, 4], levels(32)),
        ];
        self.write(Graph { node: nodes, initializer: constants, ..Net::new().graph() }, |_| ())
    }
}
