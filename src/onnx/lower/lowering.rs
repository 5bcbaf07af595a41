//! The table of rewritten ops, and what a rewriting is written with.

use std::collections::HashSet;

use super::{attention, fused, integer, removed};
use crate::onnx::DataType;
use crate::onnx::proto::{Attribute, Graph, Node, Tensor};

/// Writes the nodes that compute what a node computes. `None` leaves the node as it is.
type Rewriting = fn(&mut Lowering) -> Option<()>;

/// ONNX Runtime's own operator set
/// (<https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>).
const MICROSOFT: &str = "com.microsoft";
/// Its ops on maps in the blocked layout of one processor, which mix channels and positions.
pub const MICROSOFT_NCHWC: &str = "com.microsoft.nchwc";
const STANDARD: &str = "";

/// Domain, op, rewriting.
const REWRITINGS: &[(&str, &str, Rewriting)] = &[
    (STANDARD, "Affine", removed::affine),
    (STANDARD, "ConcatFromSequence", removed::concat_from_sequence),
    (STANDARD, "Crop", removed::crop),
    (STANDARD, "ImageScaler", removed::image_scaler),
    (STANDARD, "MeanVarianceNormalization", removed::mean_variance_normalization),
    (STANDARD, "ParametricSoftplus", removed::parametric_softplus),
    (STANDARD, "QLinearConv", integer::conv),
    (STANDARD, "QLinearMatMul", integer::matmul),
    (STANDARD, "ScaledTanh", removed::scaled_tanh),
    (STANDARD, "SimplifiedLayerNormalization", fused::simplified_layer_normalization),
    (MICROSOFT, "Attention", attention::attention),
    (MICROSOFT, "BiasGelu", fused::bias_gelu),
    (MICROSOFT, "BiasSoftmax", fused::bias_softmax),
    (MICROSOFT, "DynamicQuantizeMatMul", integer::dynamic_quantize_matmul),
    (MICROSOFT, "FastGelu", fused::fast_gelu),
    (MICROSOFT, "FusedConv", fused::conv),
    (MICROSOFT, "FusedGemm", fused::gemm),
    (MICROSOFT, "FusedMatMul", fused::matmul),
    (MICROSOFT, "Gelu", fused::gelu),
    (MICROSOFT, "LayerNormalization", fused::layer_normalization),
    (MICROSOFT, "MatMulIntegerToFloat", integer::matmul_to_float),
    (MICROSOFT, "MultiHeadAttention", attention::multi_head_attention),
    (MICROSOFT, "NhwcConv", fused::nhwc_conv),
    (MICROSOFT, "NhwcFusedConv", fused::nhwc_conv),
    (MICROSOFT, "QGemm", integer::gemm),
    (MICROSOFT, "QLinearAdd", integer::binary),
    (MICROSOFT, "QLinearAveragePool", integer::pool),
    (MICROSOFT, "QLinearConcat", integer::concat),
    (MICROSOFT, "QLinearConv", integer::conv),
    (MICROSOFT, "QLinearGlobalAveragePool", integer::pool),
    (MICROSOFT, "QLinearLeakyRelu", integer::unary),
    (MICROSOFT, "QLinearMul", integer::binary),
    (MICROSOFT, "QLinearReduceMean", integer::reduce_mean),
    (MICROSOFT, "QLinearSigmoid", integer::unary),
    (MICROSOFT, "QLinearSoftmax", integer::softmax),
    (MICROSOFT, "QuickGelu", fused::quick_gelu),
    (MICROSOFT, "SkipLayerNormalization", fused::skip_layer_normalization),
    (MICROSOFT, "SkipSimplifiedLayerNormalization", fused::skip_layer_normalization),
    (MICROSOFT, "TransposeMatMul", fused::matmul),
];

/// Rewrites every node that [`REWRITINGS`] knows. The graph is in the working operator set, and sorted.
pub fn to_standard_ops(graph: &mut Graph) {
    let rewriting = |node: &Node| {
        let domain = if node.is_standard() { STANDARD } else { node.domain() };
        REWRITINGS.iter().find(|(of, op, _)| *of == domain && *op == node.op()).map(|(_, _, rewriting)| *rewriting)
    };
    if !graph.node.iter().any(|node| rewriting(node).is_some()) {
        return;
    }
    let half = graph.initializer.iter().any(|t| DataType::from_number(t.data_type()) == Some(DataType::Float16));
    let mut taken: HashSet<String> = graph.node.iter().flat_map(|n| n.output.iter().cloned()).collect();
    let mut nodes = Vec::with_capacity(graph.node.len());
    let mut constants = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let Some(rewrite) = rewriting(&node) else {
            nodes.push(node);
            continue;
        };
        let weights = &graph.initializer;
        let (earlier, taken) = (nodes.as_slice(), &mut taken);
        let mut lowering = Lowering { node: &node, earlier, weights, half, taken, nodes: vec![], constants: vec![] };
        let rewritten = rewrite(&mut lowering).is_some();
        let Lowering { nodes: written, constants: made, .. } = lowering;
        if rewritten {
            nodes.extend(written);
            constants.extend(made);
        } else {
            nodes.push(node);
        }
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
}

/// The rewriting of one node.
pub struct Lowering<'n> {
    pub node: &'n Node,
    /// The nodes before it.
    earlier: &'n [Node],
    weights: &'n [Tensor],
    /// Whether the model computes in float16.
    half: bool,
    taken: &'n mut HashSet<String>,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl<'n> Lowering<'n> {
    /// An input of the node; `None` where it is left out.
    pub fn input(&self, number: usize) -> Option<&'n str> {
        self.node.input.get(number).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The node before it that makes a tensor.
    pub fn producer(&self, tensor: &str) -> Option<&'n Node> {
        self.earlier.iter().find(|node| node.output.iter().any(|output| output == tensor))
    }

    /// The shape of an input that is an initializer.
    pub fn weight_shape(&self, number: usize) -> Option<&'n [i64]> {
        let name = self.input(number)?;
        self.weights.iter().find(|t| t.name() == name).map(|t| t.dims.as_slice())
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.node.float(name).unwrap_or(default)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.node.int(name).unwrap_or(default)
    }

    /// Those of the node's attributes that have these names.
    pub fn attributes(&self, names: &[&str]) -> Vec<Attribute> {
        self.node.attribute.iter().filter(|a| names.contains(&a.name())).cloned().collect()
    }

    /// Writes a node, and returns its output. `""` is an input that is left out.
    pub fn write(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        let output = self.fresh_name(op);
        self.write_as(&output, op, inputs, attributes);
        output
    }

    /// Writes a node whose output is the first of the rewritten node.
    #[expect(clippy::unnecessary_wraps, reason = "it ends a rewriting, which may fail before")]
    pub fn finish(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute]) -> Option<()> {
        self.write_output(0, op, inputs, attributes);
        Some(())
    }

    /// Writes a node whose output is one of the rewritten node's, if that has it.
    pub fn write_output(&mut self, number: usize, op: &str, inputs: &[&str], attributes: &[Attribute]) {
        let node = self.node;
        if let Some(output) = node.output.get(number).filter(|output| !output.is_empty()) {
            self.write_as(output, op, inputs, attributes);
        }
    }

    /// Quantises `x` by its own range. Returns the numbers, their scale and their zero point.
    pub fn write_dynamic_quantizer(&mut self, x: &str) -> [String; 3] {
        let outputs = ["quantized", "scale", "zero_point"].map(|what| self.fresh_name(what));
        let names = outputs.each_ref().map(String::as_str);
        self.nodes.push(Node::new("DynamicQuantizeLinear", names[0], &[x], &names));
        outputs
    }

    fn write_as(&mut self, output: &str, op: &str, inputs: &[&str], attributes: &[Attribute]) {
        let given = inputs.iter().rposition(|input| !input.is_empty()).map_or(0, |last| last + 1);
        let mut node = Node::new(op, format!("{output}.{op}"), &inputs[..given], &[output]);
        node.attribute = attributes.to_vec();
        self.nodes.push(node);
    }

    /// A float constant in the type that the model computes in.
    pub fn number(&mut self, value: f32) -> String {
        let name = self.fresh_name("constant");
        let mut tensor = Tensor::from_f32s(&name, &[], &[value]);
        if self.half {
            tensor.data_type = Some(DataType::Float16 as i32);
            tensor.set_f32s(&[value]);
        }
        self.constants.push(tensor);
        name
    }

    /// A constant float32 tensor.
    pub fn floats(&mut self, dims: &[i64], values: &[f32]) -> String {
        let name = self.fresh_name("constant");
        self.constants.push(Tensor::from_f32s(&name, dims, values));
        name
    }

    /// A constant int64 vector.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let name = self.fresh_name("constant");
        self.constants.push(Tensor::from_i64s(&name, &[values.len() as i64], values));
        name
    }

    fn fresh_name(&mut self, what: &str) -> String {
        let base = self.node.output.iter().find(|output| !output.is_empty()).map_or("", String::as_str);
        let name = |number: usize| match number {
            1 => format!("{base}/{what}"),
            number => format!("{base}/{what}.{number}"),
        };
        let mut number = 1;
        while self.taken.contains(&name(number)) {
            number += 1;
        }
        let free = name(number);
        self.taken.insert(free.clone());
        free
    }
}
