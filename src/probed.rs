//! A model whose every tensor is known.

use crate::error::Result;
use crate::grad::{self, Tensors};
use crate::opening::{LAYER, Opened, image_input};
use crate::session;

/// A model with the shape and type of every tensor, whatever is then asked of it.
#[derive(Clone)]
pub struct Probed {
    pub opened: Opened,
    /// The name of the input that takes the picture.
    pub input: String,
    pub tensors: Tensors,
}

impl Probed {
    /// # Errors
    /// The runtime does not take the model, or its input has another shape than the manifest says.
    pub fn new(opened: Opened) -> Result<Self> {
        let Opened { mut model, manifest, guess } = opened;
        let info = image_input(&model)?;
        let input = info.name().to_owned();
        let mut shape = manifest.input.shape();
        let stated = info.dims().unwrap_or_default();
        let fits = stated.len() == shape.len()
            && stated[1..].iter().zip(&shape[1..]).all(|(a, b)| a.is_none_or(|a| a == *b as i64));
        if !fits && !stated.is_empty() {
            let stated = info.dims_text();
            return Err(model.error(format!("its input is [{stated}], but its manifest says {shape:?}")));
        }
        shape[0] = info.batch();
        let mut inputs = vec![(input.as_str(), shape.clone())];
        if model.metadata(LAYER).is_some() {
            inputs.push((grad::CLASS_INDEX, vec![shape[0]]));
        } else {
            grad::reserve_names(&mut model);
        }
        let tensors = session::probe(&mut model, &inputs)?;
        Ok(Self { opened: Opened { model, manifest, guess }, input, tensors })
    }

    /// The model that is kept in `place`, or else one that is opened, and kept there from now on.
    ///
    /// # Errors
    /// Those of opening, and of [`Probed::new`].
    pub fn kept(place: &mut Option<Self>, open: impl FnOnce() -> Result<Opened>) -> Result<&Self> {
        Ok(match place {
            Some(probed) => probed,
            None => place.insert(Self::new(open()?)?),
        })
    }
}
