//! `LeGrad`. Bousselham et al., *`LeGrad`: An Explainability Method for Vision Transformers via Feature Formation
//! Sensitivity*, 2024, <https://arxiv.org/abs/2404.03214>, equations 6 to 10.

use super::augment::Scored;
use super::blocks::Attention;
use super::head_copies::copied;
use crate::error::Result;
use crate::grad::value::Value;

/// `Σ_l mean_{h,i} ReLU(∂s_l/∂A_l)_{h,i,j} / L`, for each key `j`: `[N,m]`. `s_l` is the score of the class read from the
/// tokens after block `l`, and `A_l` the attention of that block, or of the learnt query that gathers these tokens.
pub fn write<'g>(scored: &Scored<'g>) -> Result<Value<'g>> {
    let count = scored.blocks.ends.len();
    let mut parts = Vec::with_capacity(count);
    for (block, own) in scored.blocks.attention.iter().enumerate() {
        let scores = |tensor: &str| if block + 1 == count { tensor.to_owned() } else { copied(tensor, block) };
        let weights = match &scored.blocks.pooled {
            Some(Attention { weights, .. }) => scores(weights),
            None => own.weights.to_owned(),
        };
        // Tokens of an earlier block that the class token does not attend to have no gradient.
        if let Some(gradient) = scored.gradient(&scores(scored.task.tensor()), &weights)? {
            let positive = gradient.max(0.0);
            let [rows, keys] = scored.rows_and_keys(&weights)?;
            parts.push(positive.reshape(&[-1, rows, keys]).apply(
                "ReduceMean",
                &[scored.writer.int64s(&[1])],
                &[crate::onnx::proto::Attribute::from_int("keepdims", 0)],
            ));
        }
    }
    Ok(scored.writer.sum(&parts) / count as f32)
}
