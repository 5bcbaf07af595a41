//! Finding the output of a segmenter.

use super::segmentation::Segmentation;
use crate::error::Result;
use crate::grad::rules::OpKind;
use crate::grad::task::evidence::{Ending, has_word, is_named_for_classes};
use crate::grad::task::outputs::{Outputs, Source};
use crate::grad::task::score_row::Probability;
use crate::grad::task::task_kind::Search;

/// Words in the names of outputs that hold the classes of pixels.
const SEGMENTS: &[&str] = &["mask", "masks", "out", "parsing", "pred", "seg", "segment", "segmentation", "semantic"];
/// Words in the names of outputs that hold another picture.
const PICTURES: &[&str] = &[
    "depth",
    "disparity",
    "feature",
    "features",
    "flow",
    "heatmap",
    "heatmaps",
    "hm",
    "image",
    "keypoint",
    "keypoints",
    "normal",
    "normals",
    "paf",
    "sr",
];
/// Pictures have this many channels.
const COLOURS: usize = 3;
/// Feature maps have more channels than segmenters have classes, and coarser cells than this, in pixels.
const MOST_CLASSES: usize = 256;
const COARSEST: f64 = 16.0;

/// A segmenter that was found, and how sure that is.
struct Head<'m> {
    output: &'m str,
    segmentation: Segmentation,
    /// Whether a softmax, the choice of the largest, or a name says that it holds classes.
    certain: bool,
}

/// Whether the name of an output speaks of the classes of pixels.
pub fn is_named_for_segments(output: &str) -> bool {
    is_named_for_classes(output) || has_word(output, SEGMENTS)
}

/// Finds the logits of a segmenter. `None` for a model that is none.
///
/// # Errors
/// No output is called `search.output`.
pub fn find_segments(outputs: &Outputs, search: Search) -> Result<Option<(Segmentation, Vec<String>)>> {
    let asked = search.task == Some("segment");
    let considered = search.considered(outputs.model)?;
    let heads = considered.into_iter().filter_map(|output| head_of(outputs, output, asked, search.labels));
    let heads: Vec<Head> = heads.collect();
    let Some(best) = heads.iter().find(|head| head.certain).or(heads.first()) else { return Ok(None) };
    let mut notices = Vec::new();
    let others = heads.iter().filter(|head| head.segmentation.logits != best.segmentation.logits);
    let others: Vec<String> = others.map(|head| format!("'{}'", head.output)).collect();
    if search.output.is_none() && !others.is_empty() {
        let others = others.join(", ");
        notices.push(format!("output '{}' is explained; the model also gives {others}; --output chooses", best.output));
    }
    if !(best.certain || asked) {
        notices.push(format!(
            "output '{}' is taken for the scores of {} classes at each of its cells, though nothing in the file says so; \
             --labels names them, and --task segment confirms it",
            best.output, best.segmentation.classes
        ));
    }
    Ok(Some((best.segmentation.clone(), notices)))
}

/// Whether an activation ends a tensor, up to changes of shape and size. Logits have none.
fn is_activated(outputs: &Outputs, tensor: &str) -> bool {
    let mut node = outputs.index.producer_node(tensor);
    while let Some(moved) = node.filter(|node| {
        matches!(
            node.op(),
            "Cast" | "DepthToSpace" | "Identity" | "Reshape" | "Resize" | "Slice" | "Transpose" | "Upsample"
        )
    }) {
        node = moved.input.first().and_then(|before| outputs.index.producer_node(before));
    }
    node.is_some_and(|node| OpKind::of(node) == OpKind::Activation)
}

fn head_of<'m>(outputs: &Outputs<'m>, output: &'m str, asked: bool, labels: usize) -> Option<Head<'m>> {
    let Source { tensor, ending, of_largest, probability } = outputs.source_of(output).ok()?;
    let shape = outputs.shape(tensor);
    let (channels_last, geometry) = match outputs.layout(tensor) {
        Some(layout) if layout.prefix.is_none() => {
            (layout.order == [0, 2, 3, 1] || layout.order[1] == 3, Some(layout.geometry))
        }
        // Rows and columns that cannot be followed, as those of tokens that were folded.
        _ => (false, None),
    };
    let [batch, classes, height, width] = match *shape {
        [n, h, w, k] if channels_last => [n, k, h, w],
        [n, k, h, w] => [n, k, h, w],
        _ => return None,
    };
    if batch != outputs.batch || height < 2 || width < 2 || probability == Probability::Given {
        return None;
    }
    let named = is_named_for_segments(output) || classes == labels;
    let certain = ending == Ending::Choice && classes > 1 || of_largest || named;
    let sigmoid = ending == Ending::Sigmoid;
    let [rows, _] = outputs.picture()?;
    let cell = geometry.map_or(rows as f64 / height as f64, |geometry| geometry.stride[0]);
    let plausible = match classes {
        _ if height > rows || has_word(output, PICTURES) => false,
        1 => sigmoid || named,
        COLOURS => named || ending == Ending::Choice,
        _ => {
            named || certain || sigmoid || classes <= MOST_CLASSES && cell < COARSEST && !is_activated(outputs, tensor)
        }
    };
    if !(plausible || asked) {
        return None;
    }
    let probability = if classes == 1 || sigmoid { Probability::Sigmoid } else { Probability::Softmax };
    let logits = tensor.to_owned();
    let segmentation = Segmentation { logits, classes, height, width, channels_last, probability };
    Some(Head { output, segmentation, certain })
}
