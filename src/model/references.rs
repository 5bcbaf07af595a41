//! Comparing an embedding with pictures, vectors and words.

use ndarray::{Array1, Array2};

use super::load::LoadedModel;
use super::manifest::Layout;
use super::options::{Comparison, Reference};
use super::typed::TypedModel;
use super::vector_reader::VectorReader;
use super::words::{Kind, embed_words};
use crate::error::{Error, Result};
use crate::grad::{self, LIKENESS, Probability, References, ScoreRow, Task};
use crate::media::Report;
use crate::onnx::{GraphIndex, OnnxModel};
use crate::session;
use crate::source::{self, Input as File};

/// What CLIP's cosines are multiplied by after training, which its towers do not hold (Radford et al., *Learning
/// Transferable Visual Models From Natural Language Supervision*, 2021, section 2.5).
const CLIP_SCALE: f32 = 100.0;
/// Scale and bias of `SigLIP`'s base model (google/siglip-base-patch16-224), which its towers do not hold.
const SIGLIP: (f32, f32) = (117.33, -12.93);

/// A vector divided by its length; `None` for one without a direction.
fn normalised(vector: Array1<f32>) -> Option<Array1<f32>> {
    let length = vector.dot(&vector).sqrt();
    (length.is_finite() && length > 0.0).then(|| vector / length)
}

/// Compares an embedding with its references: the task becomes their likeness. Without references it stays a vector.
/// Returns also what a user should know.
///
/// # Errors
/// A reference cannot be read or embedded.
pub fn compare(typed: &mut TypedModel, row: ScoreRow) -> Result<(Task, Vec<String>)> {
    let row = vector_of_tokens(typed, row)?;
    let LoadedModel { comparison, manifest, .. } = &typed.loaded;
    if comparison.references.is_empty() {
        return Ok((Task::Embed(row), Vec::new()));
    }
    let (names, mut notices) = (comparison.names(), Vec::new());
    let (vectors, kind) = embed(typed, &row, comparison)?;
    if vectors.iter().any(|vector| vector.len() != row.classes) {
        let problem = format!("its vectors have {} numbers, but those of a reference have another length", row.classes);
        return Err(typed.loaded.model.error(format!("{problem}; take both from one model")));
    }
    let mut sums = Array2::<f32>::zeros((names.len(), row.classes));
    for (reference, vector) in comparison.references.iter().zip(&vectors) {
        let at = names.iter().position(|name| name == reference.name()).unwrap_or(0);
        sums.row_mut(at).scaled_add(1.0, vector);
    }
    for (name, mut sum) in names.iter().zip(sums.rows_mut()) {
        let Some(mean) = normalised(sum.to_owned()) else {
            return Err(typed.loaded.model.error(format!("the references of '{name}' cancel each other out")));
        };
        sum.assign(&mean);
    }
    let (scale, bias, usual) = match kind {
        None => (1.0, 0.0, Probability::Cosine),
        Some(Kind::Clip) => (CLIP_SCALE, 0.0, Probability::Softmax),
        Some(Kind::Siglip) => (SIGLIP.0, SIGLIP.1, Probability::Sigmoid),
    };
    if kind.is_some() && (comparison.scale.is_none() || bias != 0.0 && comparison.bias.is_none()) {
        let (scale, bias) = (comparison.scale.unwrap_or(scale), comparison.bias.unwrap_or(bias));
        let shifted = if bias == 0.0 { String::new() } else { format!(", plus {bias}") };
        notices.push(format!(
            "a logit is {scale} times the cosine{shifted}, guessed since the models do not hold it; --logit-scale and \
             --logit-bias choose"
        ));
    }
    let probability = manifest.scores.unwrap_or(usual);
    let (scale, bias) = (comparison.scale.unwrap_or(scale), comparison.bias.unwrap_or(bias));
    let classes = names.len();
    let references = References { vectors: sums, scale, bias };
    let TypedModel { loaded: LoadedModel { model, manifest, .. }, input, tensors } = typed;
    grad::append_likeness(model, tensors, &row.logits, &references)?;
    let shape = tensors[input.as_str()].shape.clone();
    *tensors = session::probe(model, &[(input.as_str(), shape)])?;
    manifest.labels = names;
    Ok((Task::Embed(ScoreRow { logits: LIKENESS.to_owned(), classes, probability }), notices))
}

/// Where an output holds tokens `[N,T,D]`, the vector that stands for all of them.
fn vector_of_tokens(typed: &mut TypedModel, row: ScoreRow) -> Result<ScoreRow> {
    let TypedModel { loaded: LoadedModel { model, manifest, .. }, tensors, .. } = typed;
    if tensors.get(&row.logits).is_none_or(|info| info.shape.len() != 3 || info.shape[1] == 1) {
        return Ok(row);
    }
    let channels_last = manifest.input.layout == Layout::ChannelsLast;
    let has_class_token = grad::has_class_token(model, tensors, &row.logits, channels_last);
    grad::append_token_vector(model, tensors, &row.logits, has_class_token)?;
    Ok(ScoreRow { logits: grad::TOKEN_VECTOR.to_owned(), ..row })
}

/// The embedding of each reference, and the kind of model where words are among them.
fn embed(typed: &TypedModel, row: &ScoreRow, comparison: &Comparison) -> Result<(Vec<Array1<f32>>, Option<Kind>)> {
    let of_words = comparison.references.iter().filter_map(|reference| match reference {
        Reference::Words(words) => Some(words.as_str()),
        Reference::Picture { .. } | Reference::Vector { .. } => None,
    });
    let words: Vec<&str> = of_words.collect();
    let (mut embedded, kind) = match words.as_slice() {
        [] => (Vec::new().into_iter(), None),
        words => {
            let (vectors, kind) = embed_words(words, &typed.loaded, comparison)?;
            (vectors.into_iter(), Some(kind))
        }
    };
    let mut reader: Option<VectorReader> = None;
    let without_direction = || typed.loaded.model.error("an embedding is zero or not finite");
    let vectors = comparison.references.iter().map(|reference| match reference {
        Reference::Vector { values, .. } => normalised(Array1::from_vec(values.clone())).ok_or_else(without_direction),
        Reference::Words(words) => {
            let vector = embedded.next().map(Array1::from_vec).and_then(normalised);
            vector.ok_or_else(|| typed.loaded.model.error(format!("the words '{words}' have no embedding")))
        }
        Reference::Picture { path, .. } => {
            let reader = match &mut reader {
                Some(reader) => reader,
                empty => empty.insert(VectorReader::new(typed, &row.logits, typed.loaded.compute)?),
            };
            let frame = source::open(&File::file(path), 0, &Report::silent())?.next_frame()?;
            let frame = frame.ok_or_else(|| Error::input(path, "it holds no picture"))?;
            let vector = match &frame.tensor {
                Some(tensor) => reader.of_tensor(tensor.view()),
                None => reader.of_picture(&frame.picture),
            };
            normalised(vector?).ok_or_else(without_direction)
        }
    });
    Ok((vectors.collect::<Result<_>>()?, kind))
}

/// The likeness of a model that takes picture and words, and multiplies and compares them itself.
///
/// # Errors
/// The options ask for something that such a model does itself.
pub fn own_likeness(
    model: &OnnxModel,
    row: ScoreRow,
    comparison: &Comparison,
    scores: Option<Probability>,
) -> Result<Task> {
    let pictures = comparison.references.iter().any(|reference| !matches!(reference, Reference::Words(_)));
    if pictures || comparison.scale.is_some() || comparison.bias.is_some() {
        let problem = "it takes pictures and words at once, and compares them itself: --like, --logit-scale and \
                       --logit-bias go with a model of pictures alone";
        return Err(model.error(problem));
    }
    let words = comparison.names().len();
    if row.classes != words {
        return Err(model.error(format!("it gives {} scores for {words} texts", row.classes)));
    }
    let index = GraphIndex::new(model.graph());
    let mut tensor = row.logits.as_str();
    while let Some(node) =
        index.producer_node(tensor).filter(|node| matches!(node.op(), "Transpose" | "Identity" | "Cast"))
    {
        let Some(before) = node.input.first() else { break };
        tensor = before;
    }
    // SigLIP adds a bias to its scaled cosines, and CLIP does not.
    let biased = index.producer_node(tensor).is_some_and(|node| node.op() == "Add");
    let usual = if biased { Probability::Sigmoid } else { Probability::Softmax };
    Ok(Task::Embed(ScoreRow { probability: scores.unwrap_or(usual), ..row }))
}
