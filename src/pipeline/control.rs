//! Changing what is explained, and how, between frames.

use std::mem::discriminant;

use crate::cam::{self, METHODS};
use crate::error::Result;
use crate::explain::Explainer;
use crate::grad::LayerName;
use crate::media::Picture;

/// A change that the viewer requests.
#[derive(Debug)]
pub enum Change {
    NextMethod,
    /// The method of this name.
    Method(String),
    NextLayer,
    /// The layer of this name.
    Layer(String),
    /// Nothing; the layers that can be chosen are reported.
    ListLayers,
    /// Back to what was explained at the beginning.
    Reset,
    /// This class from now on, or the predicted class of each frame.
    Class(Option<usize>),
    /// This object of a detector from now on, or all objects.
    Object(Option<u64>),
    /// This picture as the reference of a number, counted from 1, that an embedding is compared with.
    Reference {
        number: usize,
        picture: Picture,
    },
    /// These words, separated by commas, as what an embedding is compared with.
    Words(String),
    /// Another explainer, of what was taught.
    Explainer(Box<Explainer>),
}

/// The changes that count: of several of a kind the last one, and of steps to the next method or layer the last few. Many
/// viewers may press at once, and each change takes a moment.
pub fn effective(changes: Vec<Change>) -> Vec<Change> {
    const STEPS: usize = 3;
    let kinds: Vec<_> = changes.iter().map(discriminant).collect();
    let later = |at: usize| kinds[at + 1..].iter().filter(|kind| **kind == kinds[at]).count();
    let most = |change: &Change| match change {
        Change::NextMethod | Change::NextLayer => STEPS,
        // Each number sets a different reference.
        Change::Reference { .. } => usize::MAX,
        _ => 1,
    };
    let counts: Vec<bool> = changes.iter().enumerate().map(|(at, change)| later(at) < most(change)).collect();
    changes.into_iter().zip(counts).filter_map(|(change, counts)| counts.then_some(change)).collect()
}

/// Carries out a change and returns a message for the viewer, empty if there is nothing to say.
///
/// # Errors
/// The model does not allow the change. The explainer stays as it was.
pub fn change(explainer: &mut Explainer, change: Change) -> Result<String> {
    match change {
        Change::NextMethod => next_method(explainer),
        Change::Method(name) => {
            explainer.set_method(cam::find(&name)?)?;
            Ok(name)
        }
        Change::NextLayer => next_layer(explainer),
        Change::Layer(name) => {
            explainer.set_layer(LayerName::from(name.as_str()))?;
            Ok(name)
        }
        Change::ListLayers => Ok(String::new()),
        Change::Reset => explainer.reset().map(|()| String::new()),
        Change::Class(class) => {
            explainer.set_class(class)?;
            Ok(class.map_or("the predicted class".into(), |class| explainer.context().label(class)))
        }
        Change::Reference { number, picture } => {
            let name = explainer.set_reference(number, &picture)?;
            Ok(format!("this picture is '{name}'"))
        }
        Change::Words(words) => {
            explainer.set_words(&words)?;
            Ok(format!("compared with {}", explainer.context().labels.join(", ")))
        }
        Change::Explainer(new) => {
            *explainer = *new;
            Ok(String::new())
        }
        Change::Object(object) => {
            explainer.choose_object(object);
            Ok(if object.is_some() { "this object".into() } else { "all objects".into() })
        }
    }
}

/// Sets the next method that the model supports. Returns its name.
fn next_method(explainer: &mut Explainer) -> Result<String> {
    let current = METHODS.iter().position(|method| method.name == explainer.context().method).unwrap_or(0);
    let mut first_error = None;
    for method in METHODS.iter().cycle().skip(current + 1).take(METHODS.len() - 1) {
        match explainer.set_method(method) {
            Ok(()) => return Ok(method.name.into()),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or_else(|| Ok(explainer.context().method.clone()), Err)
}

/// Sets the next of the explainer's layers. Returns its name.
fn next_layer(explainer: &mut Explainer) -> Result<String> {
    let layers = explainer.layers()?;
    let current = layers.iter().position(|layer| *layer == explainer.context().layer);
    let next = current.map_or(0, |current| (current + 1) % layers.len());
    let Some(layer) = layers.get(next) else { return Ok(explainer.context().layer.clone()) };
    explainer.set_layer(LayerName::from(layer.as_str()))?;
    Ok(layer.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{self, ModelOptions, Request};

    /// The bytes of the model that `whycam prepare` writes for `model`.
    fn augmented(model: &str) -> Vec<u8> {
        let options = ModelOptions { model: model.into(), ..ModelOptions::default() };
        let augmented = model::augmented(&options, &Request::default(), false, &mut None);
        augmented.unwrap_or_else(|e| panic!("{e}")).model.to_bytes()
    }

    #[test]
    fn of_a_flood_of_changes_the_last_ones_count() {
        let layers = (0..800).map(|number| Change::Layer(number.to_string()));
        let steps = (0..10).map(|_| Change::NextMethod);
        let counted = effective(layers.chain(steps).chain([Change::Class(Some(1)), Change::Class(None)]).collect());
        let said: Vec<String> = counted.iter().map(|change| format!("{change:?}")).collect();
        assert_eq!(said, ["Layer(\"799\")", "NextMethod", "NextMethod", "NextMethod", "Class(None)"]);
    }

    #[test]
    fn methods_that_the_model_does_not_support_are_skipped() {
        let path = std::env::temp_dir().join(format!("whycam-control-{}.onnx", std::process::id()));
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/models/resnet.legacy.onnx");
        assert!(std::fs::write(&path, augmented(model)).is_ok());
        let explainer = Explainer::builder().model(path.display().to_string().as_str()).build();
        let mut explainer = explainer.unwrap_or_else(|e| panic!("{e}"));
        let mut set = Vec::new();
        while set.last().is_none_or(|last| last != "grad-cam") {
            assert!(set.len() < METHODS.len(), "{set:?}");
            set.push(change(&mut explainer, Change::NextMethod).unwrap_or_else(|e| panic!("{e}")));
        }
        assert!(set.contains(&"layer-cam".to_owned()) && set.len() < METHODS.len() - 1, "{set:?}");
        let _ = std::fs::remove_file(path);
    }
}
