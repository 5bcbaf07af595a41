//! Texts as the numbers of tokens, by the crate `tokenizers`.

use std::path::Path;

use crate::error::{Error, Result};

/// A text as a model takes it.
pub struct Tokenized {
    pub ids: Vec<i64>,
    /// 1 for each token of the text, 0 for padding.
    pub mask: Vec<i64>,
}

/// A tokenizer.
#[cfg(feature = "words")]
pub struct Tokenizer(tokenizers::Tokenizer);

#[cfg(feature = "words")]
impl Tokenizer {
    /// Reads a `tokenizer.json`. Longer texts are cut to `longest` tokens.
    ///
    /// # Errors
    /// The file is absent or damaged.
    pub fn read(path: &Path, longest: Option<usize>) -> Result<Self> {
        let damaged = |e: tokenizers::Error| Error::input(path, format!("not a tokenizer: {e}"));
        let text = crate::files::limits::read_text(path).map_err(|e| Error::reading(path, &e))?;
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(text).map_err(damaged)?;
        if let Some(max_length) = longest.filter(|_| tokenizer.get_truncation().is_none()) {
            let truncation = tokenizers::TruncationParams { max_length, ..tokenizers::TruncationParams::default() };
            tokenizer.with_truncation(Some(truncation)).map_err(damaged)?;
        }
        Ok(Self(tokenizer))
    }

    /// The tokens of a text, padded or cut to `length`.
    ///
    /// # Errors
    /// The tokenizer cannot read the text.
    pub fn tokens(&self, text: &str, length: Option<usize>) -> Result<Tokenized> {
        let unreadable =
            |e: tokenizers::Error| Error::input("words", format!("'{text}' cannot be split into tokens: {e}"));
        let mut encoding = self.0.encode(text, true).map_err(unreadable)?;
        if let Some(length) = length {
            let (id, token) = self.padding(encoding.get_ids());
            encoding.truncate(length, 0, tokenizers::TruncationDirection::Right);
            encoding.pad(length, id, 0, &token, tokenizers::PaddingDirection::Right);
        }
        let numbers = |values: &[u32]| values.iter().map(|value| i64::from(*value)).collect();
        Ok(Tokenized { ids: numbers(encoding.get_ids()), mask: numbers(encoding.get_attention_mask()) })
    }

    /// The token that fills a text: the tokenizer's own, one of the usual names, or else the last of the text.
    fn padding(&self, ids: &[u32]) -> (u32, String) {
        if let Some(own) = self.0.get_padding() {
            return (own.pad_id, own.pad_token.clone());
        }
        let usual =
            ["<pad>", "[PAD]"].into_iter().find_map(|token| Some((self.0.token_to_id(token)?, token.to_owned())));
        usual.unwrap_or((ids.last().copied().unwrap_or(0), String::new()))
    }
}

/// A tokenizer, which this build lacks.
#[cfg(not(feature = "words"))]
pub struct Tokenizer;

#[cfg(not(feature = "words"))]
impl Tokenizer {
    /// # Errors
    /// Always.
    pub fn read(path: &Path, _: Option<usize>) -> Result<Self> {
        Err(Error::input(path, "this build of whycam reads no tokenizers (feature `words`)"))
    }

    /// # Errors
    /// Always.
    #[expect(clippy::unused_self, reason = "it has the signature that it has with the feature")]
    pub fn tokens(&self, _: &str, _: Option<usize>) -> Result<Tokenized> {
        Err(Error::input("words", "this build of whycam reads no tokenizers (feature `words`)"))
    }
}
