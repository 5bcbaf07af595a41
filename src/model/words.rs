//! Embedding words by the text tower of a model of pictures and words, or feeding them to a model that takes both.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayD};
use serde::Deserialize;

use super::feed::set_constant;
use super::load::LoadedModel;
use super::options::Comparison;
use super::pretrained::{beside, config};
use super::tokens::{Tokenized, Tokenizer};
use crate::error::{Error, Result};
use crate::files::limits;
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, OnnxModel};
use crate::session::{Input, TensorReader};

/// The kind of a model of pictures and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A softmax of the scaled cosines (Radford et al. 2021).
    Clip,
    /// A sigmoid of each (Zhai et al., *Sigmoid Loss for Language Image Pre-Training*, ICCV 2023).
    Siglip,
}

/// The input of text towers.
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
/// How many tokens `SigLIP`'s texts are padded to.
const SIGLIP_TOKENS: usize = 64;

/// Whether a model takes words next to a picture.
pub fn takes_words(model: &OnnxModel) -> bool {
    model.graph().true_inputs().any(|input| input.name() == IDS)
}

/// The embeddings of texts, and the kind of the model. `pictures` is the model of pictures.
///
/// # Errors
/// There is no text model or tokenizer, or one is damaged.
pub fn embed_words(texts: &[&str], pictures: &LoadedModel, comparison: &Comparison) -> Result<(Vec<Vec<f32>>, Kind)> {
    let absent = |place: &Path, what: &str, flag: &str| {
        Error::model(place.display(), format!("there is no {what} next to it, which --words needs; {flag} names it"))
    };
    let path = match (&comparison.text_model, &pictures.path) {
        (Some(named), _) => named.clone(),
        (None, Some(pictures)) => {
            beside(pictures, "text_model.onnx").ok_or_else(|| absent(pictures, "text_model.onnx", "--text-model"))?
        }
        (None, None) => {
            let problem = "it is no model of words; --model names one, such as CLIP's vision_model.onnx";
            return Err(pictures.model.error(problem));
        }
    };
    let tokenizer = tokenizer_of(&path, comparison).ok_or_else(|| absent(&path, "tokenizer.json", "--tokenizer"))?;
    let model = OnnxModel::read(&path)?;
    let inputs: Vec<(&str, bool)> =
        model.graph().true_inputs().map(|info| (info.name(), info.kind() == Some(DataType::Int64))).collect();
    if let Some((odd, _)) = inputs.iter().find(|(name, int64)| !(*int64 && matches!(*name, IDS | MASK))) {
        return Err(model.error(format!("its input {odd} is not {IDS} or {MASK} of int64, which models of words take")));
    }
    let kind = kind_of(&path)?;
    let masked = inputs.iter().any(|(name, _)| *name == MASK);
    let fixed = model.graph().true_inputs().find(|info| info.name() == IDS).and_then(length_of);
    let padding = fixed.or_else(|| (kind == Kind::Siglip && !masked).then_some(SIGLIP_TOKENS));
    let output = output_of(&model)?.to_owned();
    let mut reader = TensorReader::new(&model, &output, pictures.compute)?;
    let tokenizer = Tokenizer::read(&tokenizer, fixed.or_else(|| longest(&tokenizer)))?;
    let embed = |text: &&str| {
        let Tokenized { ids, mask } = tokenizer.tokens(text, padding)?;
        let row = |values: Vec<i64>| ArrayD::from_shape_vec(vec![1, values.len()], values).unwrap_or_default();
        let (ids, mask) = (row(ids), row(mask));
        let mut given = vec![(IDS, Input::Int64(ids.view()))];
        if masked {
            given.push((MASK, Input::Int64(mask.view())));
        }
        Ok(reader.read(given)?.iter().copied().collect())
    };
    Ok((texts.iter().map(embed).collect::<Result<_>>()?, kind))
}

/// Makes texts constants of a model that takes both picture and words.
///
/// # Errors
/// There is no tokenizer, or it is damaged.
pub fn feed_words(model: &mut OnnxModel, path: &Path, comparison: &Comparison, texts: &[&str]) -> Result<()> {
    let tokenizer = tokenizer_of(path, comparison).ok_or_else(|| {
        model.error("there is no tokenizer.json next to it, which --words needs; --tokenizer names it")
    })?;
    let info = |name: &str| model.graph().true_inputs().find(|info| info.name() == name).cloned();
    let (ids, mask) = (info(IDS), info(MASK));
    let fixed = ids.as_ref().and_then(length_of);
    let siglip = kind_of(path)? == Kind::Siglip && mask.is_none();
    let tokenizer = Tokenizer::read(&tokenizer, fixed.or_else(|| longest(&tokenizer)))?;
    let rows =
        |length: Option<usize>| texts.iter().map(|text| tokenizer.tokens(text, length)).collect::<Result<Vec<_>>>();
    let padding = fixed.or_else(|| siglip.then_some(SIGLIP_TOKENS));
    let longest = rows(padding)?.iter().map(|row| row.ids.len()).max().unwrap_or(1);
    let rows = rows(Some(padding.unwrap_or(longest)))?;
    let table = |of: &dyn Fn(&Tokenized) -> Vec<i64>| {
        let values: Vec<f64> = rows.iter().flat_map(of).map(|value| value as f64).collect();
        Array2::from_shape_vec((rows.len(), values.len() / rows.len().max(1)), values).unwrap_or_default().into_dyn()
    };
    for (info, values) in [(ids, table(&|row| row.ids.clone())), (mask, table(&|row| row.mask.clone()))] {
        if let Some(info) = info {
            set_constant(model, info.name(), info.kind().unwrap_or(DataType::Int64), &values);
        }
    }
    Ok(())
}

fn tokenizer_of(model: &Path, comparison: &Comparison) -> Option<PathBuf> {
    comparison.tokenizer.clone().or_else(|| beside(model, "tokenizer.json"))
}

fn kind_of(model: &Path) -> Result<Kind> {
    let named = config(model)?.and_then(|config| config.model_type);
    Ok(if named.is_some_and(|name| name.starts_with("siglip")) { Kind::Siglip } else { Kind::Clip })
}

/// The number of tokens of an input, where it is fixed.
fn length_of(info: &ValueInfo) -> Option<usize> {
    usize::try_from(info.dims()?.get(1).copied()??).ok()
}

/// The output of a text tower that holds the embedding.
fn output_of(model: &OnnxModel) -> Result<&str> {
    const NAMES: &[&str] = &["text_embeds", "pooler_output", "sentence_embedding", "embeddings"];
    let outputs = || model.graph().output.iter();
    let named = NAMES.iter().find_map(|name| outputs().find(|output| output.name() == *name));
    let found = named.or_else(|| outputs().find(|output| output.dims().is_some_and(|dims| dims.len() == 2)));
    found.map(ValueInfo::name).ok_or_else(|| {
        let given: Vec<&str> = outputs().map(ValueInfo::name).collect();
        model.error(format!("none of its outputs {} is an embedding [N,D]", given.join(", ")))
    })
}

/// The longest text that a model takes, in tokens, from `tokenizer_config.json` next to its tokenizer.
fn longest(tokenizer: &Path) -> Option<usize> {
    #[derive(Deserialize)]
    struct Config {
        model_max_length: Option<f64>,
    }
    let text = limits::read_text(&beside(tokenizer, "tokenizer_config.json")?).ok()?;
    let longest = serde_json::from_str::<Config>(&text).ok()?.model_max_length?;
    // Transformers writes 1e30 where there is no limit.
    (longest < 1e6).then_some(longest as usize)
}
