//! Augmenting a vision transformer with a map of its attention.

use super::blocks::Blocks;
use super::head_copies::copy_heads;
use super::{grad_eclip, legrad};
use crate::error::{Error, Result};
use crate::grad::augment::CLASS_INDEX;
use crate::grad::graph_writer::GraphWriter;
use crate::grad::reverse::write_backward;
use crate::grad::rules::Rules;
use crate::grad::score::Score;
use crate::grad::target::Layers;
use crate::grad::task::Task;
use crate::grad::value::Value;
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, OnnxModel, Tensors};

/// A map that is made from attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionMap {
    LeGrad,
    GradEclip,
}

/// Which map of attention, of which score.
#[derive(Clone, Copy, Debug)]
pub struct AttentionRequest {
    pub map: AttentionMap,
    pub score: Score,
    /// Whether the picture comes in as `[N,h,w,C]`.
    pub channels_last: bool,
}

/// What the formulas of maps of attention are written with.
pub struct Scored<'g> {
    pub writer: &'g GraphWriter<'g>,
    pub model: &'g OnnxModel,
    pub rules: &'g Rules,
    pub task: &'g Task,
    pub blocks: &'g Blocks<'g>,
    /// The gradient of the score by the class scores.
    pub seed: Value<'g>,
    pub batch: usize,
}

impl<'g> Scored<'g> {
    /// The gradient of the score that is read from the class scores `scores`, by a tensor; `None` where there is none.
    pub fn gradient(&self, scores: &str, by: &str) -> Result<Option<Value<'g>>> {
        write_backward(self.writer, self.model, self.rules, scores, self.seed, by)
    }

    /// Rows of one picture's attention weights, in all heads, and the keys of each.
    pub fn rows_and_keys(&self, weights: &str) -> Result<[i64; 2]> {
        let shape = self.writer.shape(weights)?;
        let keys = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().product::<usize>() / keys.max(1) / self.batch;
        Ok([rows as i64, keys as i64])
    }

    /// Vectors of each token in all heads, `[N,h,n,d]` or `[N*h,n,d]`, as `[N,n,h*d]`.
    pub fn by_token(&self, vectors: Value<'g>, like: &str) -> Result<Value<'g>> {
        let shape = self.writer.shape(like)?;
        self.by_token_of(vectors, shape, false)
    }

    /// As [`Scored::by_token`], for vectors of this shape, or with the last two axes exchanged.
    pub fn by_token_of(&self, vectors: Value<'g>, shape: &[usize], exchanged: bool) -> Result<Value<'g>> {
        let [.., mut tokens, mut length] = *shape else {
            return Err(Error::Conflict("attention has too few axes for this method".into()));
        };
        if exchanged {
            (tokens, length) = (length, tokens);
        }
        let heads = shape.iter().product::<usize>() / (tokens * length).max(1) / self.batch;
        let [heads, tokens, length] = [heads, tokens, length].map(|length| length as i64);
        let split = vectors.reshape(&[-1, heads, tokens, length]).transpose(&[0, 2, 1, 3]);
        Ok(split.reshape(&[-1, tokens, heads * length]))
    }

    /// The tokens of the picture along the second axis.
    pub fn of_picture(&self, tokens: Value<'g>) -> Value<'g> {
        let layout = &self.blocks.layout;
        let first = layout.prefix.unwrap_or(0);
        tokens.slice(first as i64, (first + layout.height * layout.width) as i64, 1)
    }
}

/// Whether a model is a vision transformer whose class is read from its tokens, so that maps of attention can be made of all
/// its blocks.
pub fn has_attention(model: &OnnxModel, tensors: &Tensors, task: &Task, channels_last: bool) -> bool {
    task.as_row().is_some()
        && Layers::new(model, tensors, task.tensor(), channels_last)
            .is_some_and(|layers| Blocks::find(model, tensors, &layers).is_ok_and(|blocks| blocks.pooled.is_none()))
}

/// Adds the map as the output `name`, float32 `[N,h,w]`, and the outputs of the task.
///
/// # Errors
/// The model is no vision transformer, explains no row of scores, or an op in between has no gradient rule.
pub fn augment_with_attention(
    model: &mut OnnxModel,
    tensors: &Tensors,
    rules: &Rules,
    task: &Task,
    wanted: AttentionRequest,
    name: &str,
) -> Result<()> {
    let AttentionRequest { map, score, channels_last } = wanted;
    if task.as_row().is_none() {
        let problem =
            "maps of attention explain one class of the whole picture; choose another method, such as hires-cam";
        return Err(Error::Conflict(problem.into()));
    }
    let original = model.clone();
    let Some(layers) = Layers::new(&original, tensors, task.tensor(), channels_last) else {
        return Err(model.error("it has no input"));
    };
    let blocks = Blocks::find(&original, tensors, &layers)?;
    let ends: Vec<String> = blocks.ends.iter().map(|end| (*end).to_owned()).collect();
    let input = model.graph().true_inputs().next().map(ValueInfo::name);
    let batch = input.and_then(|input| tensors.get(input)?.shape.first().copied()).unwrap_or(1).max(1);
    let mut tensors = tensors.clone();
    if map == AttentionMap::LeGrad {
        copy_heads(model, &mut tensors, task, &ends);
    }
    let has_outputs = task.has_outputs(model, &tensors);
    let [height, width] = [blocks.layout.height, blocks.layout.width].map(|length| length as i64);
    let patch = {
        let base = model.clone();
        let writer = GraphWriter::new(&base, &tensors);
        if !has_outputs {
            task.write_outputs(&writer)?;
        }
        let seed = score.seed(&writer, task)?;
        {
            let scored = Scored { writer: &writer, model: &base, rules, task, blocks: &blocks, seed, batch };
            let tokens = match map {
                AttentionMap::LeGrad => legrad::write(&scored)?,
                AttentionMap::GradEclip => grad_eclip::write(&scored)?,
            };
            let picture = scored.of_picture(tokens).reshape(&[-1, height, width]);
            writer.emit_as(name, "Relu", &[picture], &[]);
        }
        writer.into_patch(&[&[name], task.outputs()].concat())
    };
    patch.apply(model);
    let graph = model.graph_mut();
    graph.input.push(ValueInfo::tensor(CLASS_INDEX, DataType::Int64, &[-1]));
    if let Some(dims) = task.output_dims().filter(|_| !has_outputs) {
        graph.output.extend(task.outputs().iter().map(|output| ValueInfo::tensor(output, DataType::Float, &dims)));
    }
    graph.output.push(ValueInfo::tensor(name, DataType::Float, &[-1, height, width]));
    Ok(())
}
