//! Changing what is explained, and how, while frames go on.

use crate::analysis::analyse;
use crate::cam::METHODS;
use crate::error::Result;
use crate::explainer::Explainer;
use crate::grad::list_candidates;
use crate::manifest::Layout;
use crate::options::ExplainerOptions;

/// What the inference thread is asked to change.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Method,
    Layer,
    /// This class from now on, or the predicted one.
    Class(Option<usize>),
}

/// Carries a change out, and says what it came to. The explainer is replaced only where the new one can be made.
///
/// # Errors
/// The model has no such explanation; the explainer is as before.
pub fn change(explainer: &mut Explainer, change: Change) -> Result<String> {
    let options = explainer.options();
    match change {
        Change::Class(class) => {
            explainer.set_class(class)?;
            Ok(class.map_or("the predicted class".into(), |class| explainer.facts().label(class)))
        }
        Change::Method => {
            let at = METHODS.iter().position(|method| method.name == explainer.facts().method).unwrap_or(0);
            let name = METHODS[(at + 1) % METHODS.len()].name;
            *explainer = Explainer::new(&ExplainerOptions { method: Some(name.into()), ..options.clone() })?;
            Ok(name.into())
        }
        Change::Layer => {
            let layers = layers(options)?;
            let at = layers.iter().position(|layer| *layer == explainer.facts().layer);
            let layer = layers[at.map_or(0, |at| (at + 1) % layers.len())].clone();
            *explainer = Explainer::new(&ExplainerOptions { layer: Some(layer.clone()), ..options.clone() })?;
            Ok(layer)
        }
    }
}

/// The default layer, and for each finer grid the last layer that has it.
fn layers(options: &ExplainerOptions) -> Result<Vec<String>> {
    let analysis = analyse(&ExplainerOptions { layer: None, ..options.clone() })?;
    let channels_last = analysis.manifest.input.layout == Layout::ChannelsLast;
    let candidates = list_candidates(&analysis.model, &analysis.tensors, &analysis.head, channels_last);
    let view = &analysis.target.layer.view;
    let mut grids = vec![(view.height, view.width)];
    let mut layers = vec![analysis.target.layer.tensor];
    for candidate in candidates.into_iter().rev() {
        let grid = (candidate.view.height, candidate.view.width);
        if candidate.op != "Pad" && !grids.contains(&grid) {
            grids.push(grid);
            layers.push(candidate.tensor);
        }
    }
    Ok(layers)
}
