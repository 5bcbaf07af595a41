//! A net of one convolution, in many forms.
#![allow(dead_code)]

use std::fs;

use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};

use crate::support::{Folder, Random};

/// A net of one convolution on a picture of 16x16, five classes: image, seen, active, pooled, scores.
pub struct Net {
    pub kind: DataType,
    /// The shape of the input; -1 is free.
    pub dims: Vec<i64>,
    pub channels: i64,
    pub before: Vec<Node>,
    /// The nodes from `seen` to `active`, both `[N,8,h,w]`.
    pub activation: Vec<Node>,
    /// The nodes from `pooled` `[N,8,1,1]` on.
    pub head: Vec<Node>,
    pub outputs: Vec<&'static str>,
    /// Further constants.
    pub constants: Vec<Tensor>,
}

impl Net {
    pub fn new() -> Self {
        Self {
            kind: DataType::Float,
            dims: vec![1, 3, 16, 16],
            channels: 3,
            before: vec![],
            activation: vec![Node::new("Relu", "relu", &["seen"], &["active"])],
            head: vec![
                Node::new("Flatten", "flatten", &["pooled"], &["flat"]),
                Node::new("Gemm", "gemm", &["flat", "v"], &["scores"]),
                Node::new("Softmax", "softmax", &["scores"], &["probabilities"]),
            ],
            outputs: vec!["probabilities"],
            constants: vec![],
        }
    }

    pub fn graph(self) -> Graph {
        let seen = self.before.last().map_or("image", |node| node.output[0].as_str());
        let pads = Attribute::from_ints("pads", &[1, 1, 1, 1]);
        let mut node = self.before.clone();
        node.push(Node::new("Conv", "conv", &[seen, "w"], &["seen"]).with(pads));
        node.extend(self.activation);
        node.push(Node::new("GlobalAveragePool", "pool", &["active"], &["pooled"]));
        node.extend(self.head);
        let mut initializer = vec![
            weights("w", &[8, self.channels, 3, 3]),
            weights("v", &[8, 5]),
            Tensor::from_f32s("many", &[], &[400.0]),
            Tensor::from_i64s("axis", &[1], &[1]),
            Tensor::from_i64s("wide", &[4], &[-1, 5, 1, 1]),
        ];
        initializer.extend(self.constants);
        Graph {
            name: Some("net".into()),
            node,
            initializer,
            input: vec![ValueInfo::tensor("image", self.kind, &self.dims)],
            output: self.outputs.into_iter().map(ValueInfo::untyped).collect(),
            ..Graph::default()
        }
    }

    pub fn write(self, folder: &Folder, name: &str) -> String {
        write(self.graph(), folder, name)
    }
}

fn weights(name: &str, dims: &[i64]) -> Tensor {
    let count = dims.iter().product::<i64>() as usize;
    Tensor::from_f32s(name, dims, &Random(count as u64).many(count))
}

pub fn write(graph: Graph, folder: &Folder, name: &str) -> String {
    let path = folder.file(name);
    fs::write(&path, OnnxModel::from_graph("net", WORKING_OPSET, graph).to_bytes()).unwrap();
    path
}
