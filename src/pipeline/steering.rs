//! Changing what is explained, and how, while frames go on.

use crate::cam::METHODS;
use crate::error::Result;
use crate::explainer::Explainer;

/// What the inference thread is asked to change.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Method,
    Layer,
    /// This class from now on, or the predicted one.
    Class(Option<usize>),
}

/// Carries a change out, and says what it came to. The next method is one that the model can be explained by.
///
/// # Errors
/// The model has no such explanation; the explainer is as before.
pub fn change(explainer: &mut Explainer, change: Change) -> Result<String> {
    match change {
        Change::Class(class) => {
            explainer.set_class(class)?;
            Ok(class.map_or("the predicted class".into(), |class| explainer.facts().label(class)))
        }
        Change::Method => {
            let at = METHODS.iter().position(|method| method.name == explainer.facts().method).unwrap_or(0);
            let mut refused = None;
            for method in METHODS.iter().cycle().skip(at + 1).take(METHODS.len() - 1) {
                match explainer.set_method(method.name) {
                    Ok(()) => return Ok(method.name.into()),
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
            refused.map_or_else(|| Ok(explainer.facts().method.clone()), Err)
        }
        Change::Layer => {
            let layers = explainer.layers()?;
            let at = layers.iter().position(|layer| *layer == explainer.facts().layer);
            let layer = layers[at.map_or(0, |at| (at + 1) % layers.len())].clone();
            explainer.set_layer(&layer)?;
            Ok(layer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;
    use crate::options::ExplainerOptions;

    #[test]
    fn methods_that_a_model_refuses_are_passed_over() {
        let path = std::env::temp_dir().join(format!("whycam-steering-{}.onnx", std::process::id()));
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/models/resnet.legacy.onnx");
        let bare = ExplainerOptions { model: Some(model.to_owned()), ..ExplainerOptions::default() };
        let prepared = analyse(&bare).and_then(crate::Analysis::prepare).unwrap_or_else(|e| panic!("{e}"));
        assert!(std::fs::write(&path, prepared.model.to_bytes()).is_ok());
        let options = ExplainerOptions { model: Some(path.display().to_string()), ..ExplainerOptions::default() };
        let mut explainer = Explainer::new(&options).unwrap_or_else(|e| panic!("{e}"));
        let mut taken = Vec::new();
        while taken.last().is_none_or(|last| last != "grad-cam") {
            assert!(taken.len() < METHODS.len(), "{taken:?}");
            taken.push(change(&mut explainer, Change::Method).unwrap_or_else(|e| panic!("{e}")));
        }
        assert!(taken.contains(&"layer-cam".to_owned()) && taken.len() < METHODS.len() - 1, "{taken:?}");
        let _ = std::fs::remove_file(path);
    }
}
