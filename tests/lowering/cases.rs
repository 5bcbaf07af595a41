//! Graphs of one op each that is rewritten.

use ndarray::{ArrayD, IxDyn};
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};

use crate::support::Random;
use crate::support::gradient::{int, ints};

pub const MICROSOFT: &str = "com.microsoft";

pub fn float(name: &str, value: f32) -> Attribute {
    Attribute::from_float(name, value)
}

pub fn text(name: &str, value: &str) -> Attribute {
    Attribute::from_string(name, value)
}

/// A graph from `x` to `y`.
pub struct Lowered {
    pub name: &'static str,
    pub x: Vec<i64>,
    pub nodes: Vec<Node>,
    pub constants: Vec<Tensor>,
}

pub fn lowered(name: &'static str, x: &[i64], nodes: Vec<Node>) -> Lowered {
    Lowered { name, x: x.to_vec(), nodes, constants: Vec::new() }
}

/// A node of ONNX Runtime's own operator set.
pub fn own(op: &str, inputs: &[&str], output: &str) -> Node {
    Node { domain: Some(MICROSOFT.into()), ..Node::new(op, output, inputs, &[output]) }
}

pub fn bytes(name: &str, kind: DataType, dims: &[i64], values: Vec<u8>) -> Tensor {
    let (name, raw) = (Some(name.to_owned()), Some(values.into()));
    Tensor { name, dims: dims.to_vec(), data_type: Some(kind as i32), raw_data: raw, ..Tensor::default() }
}

impl Lowered {
    pub fn with(mut self, tensor: Tensor) -> Self {
        self.constants.push(tensor);
        self
    }

    pub fn weights(self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        let values = Random(count as u64 + 5).many(count);
        self.with(Tensor::from_f32s(name, dims, &values))
    }

    pub fn scale(self, name: &str, value: f32) -> Self {
        self.with(Tensor::from_f32s(name, &[], &[value]))
    }

    /// Signed quantised weights.
    pub fn signed(self, name: &str, dims: &[i64]) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        // Up to 63, so that no processor's multiplication of bytes saturates.
        let values = Random(count as u64 + 9).many(count).iter().map(|v| (v * 63.0) as i8 as u8).collect();
        self.with(bytes(name, DataType::Int8, dims, values))
    }

    pub fn zero_points(self) -> Self {
        self.with(bytes("u", DataType::Uint8, &[], vec![128])).with(bytes("s", DataType::Int8, &[], vec![0]))
    }

    pub fn model(&self) -> OnnxModel {
        let graph = Graph {
            name: Some(self.name.into()),
            node: self.nodes.clone(),
            initializer: self.constants.clone(),
            input: vec![ValueInfo::tensor("x", DataType::Float, &self.x)],
            output: vec![ValueInfo::untyped("y")],
            ..Graph::default()
        };
        let mut model = OnnxModel::from_graph(self.name, WORKING_OPSET, graph);
        model.import(MICROSOFT, 1);
        model
    }

    pub fn input(&self) -> ArrayD<f32> {
        let shape: Vec<usize> = self.x.iter().map(|&d| d as usize).collect();
        let count = shape.iter().product();
        ArrayD::from_shape_vec(IxDyn(&shape), Random(3).many(count)).unwrap()
    }
}

/// `x` as quantised numbers `q`, and `r` as float numbers `y`.
fn between(middle: Node) -> Vec<Node> {
    vec![
        Node::new("QuantizeLinear", "q", &["x", "xs", "u"], &["q"]),
        middle,
        Node::new("DequantizeLinear", "y", &["r", "rs", "u"], &["y"]),
    ]
}

pub fn quantised(name: &'static str, x: &[i64], middle: Node) -> Lowered {
    lowered(name, x, between(middle)).zero_points().scale("xs", 0.01).scale("ws", 0.008).scale("rs", 0.03)
}

pub fn fused() -> Vec<Lowered> {
    let conv = |name, attributes: &[Attribute], inputs: &[&str]| {
        let mut node = own("FusedConv", inputs, "y");
        node.attribute = [&[ints("pads", &[1, 1, 1, 1])], attributes].concat();
        lowered(name, &[1, 3, 5, 6], vec![node])
            .weights("w", &[4, 3, 3, 3])
            .weights("b", &[4])
            .weights("z", &[1, 4, 5, 6])
    };
    let params = |values: &[f32]| Attribute::from_floats("activation_params", values);
    let norm = |op, inputs: &[&str]| {
        let node = own(op, inputs, "y").with(float("epsilon", 1e-5));
        lowered(op, &[1, 3, 8], vec![node]).weights("k", &[1, 3, 8]).weights("g", &[8]).weights("b", &[8])
    };
    let attention = own("Attention", &["x", "w", "b"], "y").with(int("num_heads", 2));
    let heads = own("MultiHeadAttention", &["x", "k", "v", "b"], "y").with(int("num_heads", 2));
    vec![
        conv("FusedConv", &[text("activation", "Relu")], &["x", "w", "b"]),
        conv("FusedConv with a sum", &[text("activation", "Relu")], &["x", "w", "b", "z"]),
        conv("FusedConv, leaky", &[text("activation", "LeakyRelu"), params(&[0.2])], &["x", "w"]),
        conv("FusedConv, clipped", &[text("activation", "Clip"), params(&[-0.2, 0.5])], &["x", "w"]),
        conv("FusedConv, hard sigmoid", &[text("activation", "HardSigmoid"), params(&[0.3, 0.4])], &["x", "w"]),
        lowered("FusedGemm", &[2, 4], {
            let node = own("FusedGemm", &["x", "w", "b"], "y").with(int("transB", 1));
            vec![node.with(text("activation", "LeakyRelu")).with(float("activation_alpha", 0.3))]
        })
        .weights("w", &[3, 4])
        .weights("b", &[3]),
        lowered("FusedMatMul", &[2, 3, 4], {
            vec![own("FusedMatMul", &["x", "w"], "y").with(int("transB", 1)).with(float("alpha", 0.5))]
        })
        .weights("w", &[2, 5, 4]),
        lowered("FusedMatMul, transposed", &[2, 4, 3], {
            vec![own("FusedMatMul", &["x", "w"], "y").with(int("transA", 1))]
        })
        .weights("w", &[2, 4, 5]),
        lowered("Gelu", &[2, 3], vec![own("Gelu", &["x"], "y")]),
        lowered("BiasGelu", &[2, 3], vec![own("BiasGelu", &["x", "b"], "y")]).weights("b", &[3]),
        lowered("FastGelu", &[2, 3], vec![own("FastGelu", &["x", "b"], "y")]).weights("b", &[3]),
        lowered("QuickGelu", &[2, 3], vec![own("QuickGelu", &["x"], "y").with(float("alpha", 1.5))]),
        norm("SkipLayerNormalization", &["x", "k", "g", "b", "b"]),
        norm("SkipSimplifiedLayerNormalization", &["x", "k", "g", "b"]),
        lowered("SimplifiedLayerNormalization", &[1, 3, 8], {
            vec![Node::new("SimplifiedLayerNormalization", "n", &["x", "g"], &["y"])]
        })
        .weights("g", &[8]),
        lowered("Attention", &[1, 5, 8], vec![attention]).weights("w", &[8, 24]).weights("b", &[24]),
        lowered("MultiHeadAttention", &[1, 5, 8], vec![heads])
            .weights("k", &[1, 5, 8])
            .weights("v", &[1, 5, 8])
            .weights("b", &[24]),
        lowered("ConcatFromSequence", &[2, 3], {
            let sequence = Node::new("SequenceConstruct", "s", &["x", "k"], &["sequence"]);
            vec![sequence, Node::new("ConcatFromSequence", "c", &["sequence"], &["y"]).with(int("axis", 1))]
        })
        .weights("k", &[2, 2]),
    ]
}

pub fn integer() -> Vec<Lowered> {
    let standard = |op: &str, inputs: &[&str]| Node::new(op, "r", inputs, &["r"]);
    let ours = |op: &str, inputs: &[&str]| own(op, inputs, "r");
    let binary = ["q", "xs", "u", "k", "ws", "u", "rs", "u"];
    let unary = ["q", "xs", "u", "rs", "u"];
    let byte = |name: &str, dims: &[i64]| {
        let count = dims.iter().product::<i64>() as usize;
        bytes(name, DataType::Uint8, dims, Random(17).many(count).iter().map(|v| (128.0 + v * 90.0) as u8).collect())
    };
    vec![
        quantised("QLinearConv", &[1, 3, 5, 6], {
            let node = standard("QLinearConv", &["q", "xs", "u", "w", "ws", "s", "rs", "u", "b"]);
            node.with(ints("pads", &[1, 1, 1, 1])).with(ints("strides", &[2, 1]))
        })
        .signed("w", &[4, 3, 3, 3])
        .with(Tensor {
            name: Some("b".into()),
            dims: vec![4],
            data_type: Some(DataType::Int32 as i32),
            int32_data: vec![900, -300, 0, 2000],
            ..Tensor::default()
        }),
        quantised("QLinearMatMul", &[3, 4], standard("QLinearMatMul", &["q", "xs", "u", "w", "ws", "s", "rs", "u"]))
            .signed("w", &[4, 5]),
        quantised("QGemm", &[3, 4], {
            ours("QGemm", &["q", "xs", "u", "w", "ws", "s", "", "rs", "u"]).with(int("transB", 1))
        })
        .signed("w", &[5, 4]),
        scales_of_a_node(),
        quantised("QGemm, with alpha and C", &[3, 4], {
            let node = ours("QGemm", &["q", "xs", "u", "w", "ws", "s", "c", "rs", "u"]);
            node.with(int("transB", 1)).with(float("alpha", 2.0))
        })
        .signed("w", &[5, 4])
        .with(Tensor {
            name: Some("c".into()),
            dims: vec![5],
            data_type: Some(DataType::Int32 as i32),
            int32_data: vec![4000, -4000, 0, 2000, -2000],
            ..Tensor::default()
        }),
        quantised("QLinearAdd", &[2, 3], ours("QLinearAdd", &binary)).with(byte("k", &[2, 3])),
        quantised("QLinearMul", &[2, 3], ours("QLinearMul", &binary)).with(byte("k", &[2, 3])),
        quantised("QLinearSigmoid", &[2, 3], ours("QLinearSigmoid", &unary)),
        quantised("QLinearLeakyRelu", &[2, 3], ours("QLinearLeakyRelu", &unary).with(float("alpha", 0.1))),
        quantised("QLinearGlobalAveragePool", &[1, 2, 4, 4], ours("QLinearGlobalAveragePool", &unary)),
        quantised("QLinearAveragePool", &[1, 2, 4, 4], {
            ours("QLinearAveragePool", &unary).with(ints("kernel_shape", &[2, 2])).with(ints("strides", &[2, 2]))
        }),
        quantised(
            "QLinearSoftmax",
            &[2, 5],
            ours("QLinearSoftmax", &unary).with(int("axis", -1)).with(int("opset", 13)),
        ),
        quantised("QLinearConcat", &[2, 3], {
            ours("QLinearConcat", &["rs", "u", "q", "xs", "u", "k", "ws", "u"]).with(int("axis", 1))
        })
        .with(byte("k", &[2, 2])),
        lowered("DynamicQuantizeMatMul", &[3, 4], {
            vec![own("DynamicQuantizeMatMul", &["x", "w", "ws", "s", "b"], "y")]
        })
        .zero_points()
        .scale("ws", 0.01)
        .signed("w", &[4, 5])
        .weights("b", &[5]),
    ]
}

/// `QLinearConv` with a scale for each channel, which a node makes.
fn scales_of_a_node() -> Lowered {
    let conv = Node::new("QLinearConv", "r", &["q", "xs", "u", "w", "cs", "s", "rs", "u"], &["r"]);
    let mut constant = Node::new("Constant", "cs", &[], &["cs"]);
    let scales = Tensor::from_f32s("value", &[3], &[0.002, 0.008, 0.02]);
    constant.attribute.push(Attribute::from_tensor("value", scales));
    let mut case = quantised("QLinearConv, scales of a node", &[1, 3, 5, 6], conv).signed("w", &[3, 3, 1, 1]);
    case.nodes.insert(0, constant);
    case
}
