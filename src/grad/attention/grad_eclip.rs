//! Grad-ECLIP. Zhao et al., *Gradient-based Visual Explanation for Transformer-based CLIP*, ICML 2024,
//! <https://proceedings.mlr.press/v235/zhao24p.html>, equations 8 to 10.

use super::augment::Scored;
use super::blocks::Attention;
use crate::error::{Error, Result};
use crate::grad::value::Value;
use crate::onnx::proto::Attribute;

/// `Σ_c (∂s/∂o)_c λ_j v_{j,c}` for each key `j`: `[N,m]`, of the last attention. `o` is its output at the class token (or at
/// the learnt query), all heads side by side, `v` the values, and `λ` the cosine of its query and the keys, stretched to
/// 0..1 over the tokens of the picture.
pub fn write<'g>(scored: &Scored<'g>) -> Result<Value<'g>> {
    let blocks = scored.blocks;
    let Some(Attention { output, values, queries, keys, .. }) = blocks.pooled.as_ref().or(blocks.attention.last())
    else {
        return Err(Error::Conflict("the model has no attention".into()));
    };
    let has_class_token = blocks.layout.prefix.is_some_and(|prefix| prefix > 0);
    if blocks.pooled.is_none() && !has_class_token {
        let problem = "the model has no class token, which grad-eclip needs; choose another method, such as legrad";
        return Err(Error::Conflict(problem.into()));
    }
    let writer = scored.writer;
    let gradient = scored.gradient(scored.task.tensor(), output)?;
    let gradient = gradient.ok_or_else(|| Error::Conflict("the class does not depend on the last attention".into()))?;
    // The class token is the first.
    let by_output = scored.by_token(gradient, output)?.slice(0, 1, 1);
    let query = scored.by_token(writer.tensor(*queries), queries)?.slice(0, 1, 1);
    let transposed = writer.tensor(*keys);
    let rank = writer.shape(keys)?.len();
    let keys = scored.by_token_of(transposed.swap_last_axes(rank), writer.shape(keys)?, true)?;
    let values = scored.by_token(writer.tensor(*values), values)?;
    let length = |vectors: Value<'g>| (vectors * vectors).sum_over(&[2]).sqrt() + f32::MIN_POSITIVE;
    let cosine = (query * keys).sum_over(&[2]) / (length(query) * length(keys));
    let picture = scored.of_picture(cosine);
    let extreme = |op: &str| picture.apply(op, &[writer.int64s(&[1])], &[Attribute::from_int("keepdims", 1)]);
    let (least, most) = (extreme("ReduceMin"), extreme("ReduceMax"));
    let stretched = (cosine - least) / (most - least + f32::MIN_POSITIVE);
    Ok((by_output * values * stretched).sum_away(&[2]))
}
