//! The table of rewritten ops.

use std::collections::HashSet;

use super::lowering::Lowering;
use super::{attention, fused, integer, removed};
use crate::onnx::DataType;
use crate::onnx::proto::{Graph, Node};

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
    (MICROSOFT, "NhwcMaxPool", fused::nhwc_max_pool),
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
    let mixed = graph.initializer.iter().any(|t| {
        let kind = DataType::from_number(t.data_type());
        kind.is_some_and(|kind| kind.is_float() && kind != DataType::Float)
    });
    let mut taken: HashSet<String> = graph.node.iter().flat_map(|n| n.output.iter().cloned()).collect();
    taken.extend(graph.initializer.iter().map(|tensor| tensor.name().to_owned()));
    taken.extend(graph.input.iter().map(|input| input.name().to_owned()));
    let mut nodes = Vec::with_capacity(graph.node.len());
    let mut constants = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let Some(rewrite) = rewriting(&node) else {
            nodes.push(node);
            continue;
        };
        let weights = &graph.initializer;
        let (earlier, taken) = (nodes.as_slice(), &mut taken);
        let mut lowering = Lowering::new(&node, earlier, weights, mixed, taken);
        let rewritten = rewrite(&mut lowering).is_some();
        let (written, made) = lowering.written();
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
