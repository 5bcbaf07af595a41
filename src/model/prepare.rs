//! A model that explains itself in any runtime.

use super::augment::{AugmentedModel, augment};
use super::load::load;
use super::locate::locate;
use super::options::ModelOptions;
use super::request::Request;
use super::typed::type_tensors;
use crate::cam::{self, Inputs};
use crate::error::{Error, Result};
use crate::grad::{DetectorPart, LayerName};

/// A model that explains its predictions in any ONNX runtime; with `cam` it also gives the map.
///
/// # Errors
/// The model cannot be read or differentiated, or the layers are several.
pub fn prepared(options: &ModelOptions, request: &Request, cam: bool) -> Result<AugmentedModel> {
    let mut request = request.clone();
    let mut typed = type_tensors(load(options)?)?;
    let own = typed.loaded.with_own_method(&request)?.method.filter(|method| method.in_graph.is_none());
    if let Some(method) = own.filter(|method| !matches!(method.inputs, Inputs::Attention(_))) {
        let problem = format!("a graph has no map by {}, but by grad-cam, hires-cam and finer-cam", method.name);
        if cam && request.method.is_some() {
            return Err(Error::Conflict(problem));
        }
        if cam {
            typed.loaded.notices.push(format!("{problem}: the file's is by the usual method"));
        }
        typed.loaded.manifest.method = None;
    }
    let mut located = locate(typed.clone(), &request)?;
    // A prepared file gives activations and gradients, which maps of attention do without.
    if matches!(located.method.inputs, Inputs::Attention(_)) {
        request.method = Some(cam::find("grad-cam")?);
        located = locate(typed.clone(), &request)?;
    }
    if located.targets.len() > 1 {
        if !request.layers.is_empty() || located.task.as_detection().is_none() {
            return Err(Error::Conflict("an augmented model explains one layer; name one with --layer".into()));
        }
        // A file has one map, and the heads of a detector are several layers.
        request.layers = vec![LayerName::from(DetectorPart::BACKBONE)];
        located = locate(typed, &request)?;
    }
    let mut augmented = augment(located, false)?;
    if cam {
        augmented.append_cam()?;
    }
    Ok(augmented)
}
