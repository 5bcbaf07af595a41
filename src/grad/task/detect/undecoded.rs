//! The maps of a detector's heads, whose boxes are not decoded.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::layout::Output;
use super::moves::Moves;
use crate::onnx::OnnxModel;

/// The numbers of a cell, and the rows and columns of a map.
type Form = [usize; 3];

/// Whether all outputs are maps straight from layers: of as many levels for each number of channels, at strides that double;
/// or the maps of `CenterNet` or of `YOLOv2`.
pub fn are_undecoded<'m>(model: &'m OnnxModel, moves: &Moves<'m>, outputs: &[Output<'m>]) -> bool {
    let picture = model.graph().true_inputs().next().map_or(&[][..], |input| moves.shape(input.name()));
    let side = picture.iter().copied().max().unwrap_or_default();
    let of_layers =
        || outputs.iter().all(|o| moves.is_of_layer(moves.logit_origin(o.name, &vec![0; o.shape.len()]).tensor));
    let formed = |form: fn(&[usize]) -> Option<Form>| {
        let forms: Option<Vec<Form>> = outputs.iter().map(|output| form(output.shape)).collect();
        forms.is_some_and(|forms| are_levels(&forms, side) || are_of_centres(&forms) || are_of_yolo(&forms, side))
    };
    outputs.len() == model.graph().output.len() && (formed(channels_first) || formed(channels_last)) && of_layers()
}

fn channels_first(shape: &[usize]) -> Option<Form> {
    match *shape {
        [_, channels, height, width] => Some([channels, height, width]),
        [_, anchors, height, width, channels] => Some([anchors * channels, height, width]),
        _ => None,
    }
}

fn channels_last(shape: &[usize]) -> Option<Form> {
    match *shape {
        [_, height, width, channels] => Some([channels, height, width]),
        _ => None,
    }
}

/// Classes, sizes and offsets of middles (Zhou et al., *Objects as Points*, 2019).
fn are_of_centres(forms: &[Form]) -> bool {
    let [first, ..] = forms else { return false };
    let of_pairs = forms.iter().filter(|[channels, ..]| *channels == 2).count();
    forms.len() == 3 && of_pairs >= 2 && forms.iter().all(|form| form[1..] == first[1..])
}

/// Five anchors in each cell, with the classes of Pascal VOC or COCO (Redmon and Farhadi, *YOLO9000*, 2017).
fn are_of_yolo(forms: &[Form], side: usize) -> bool {
    const COARSEST_STRIDE: usize = 16;
    matches!(forms, [[125 | 425, height, width]] if height.max(width) * COARSEST_STRIDE <= side)
}

fn are_levels(forms: &[Form], side: usize) -> bool {
    /// Four sides, a score and a class.
    const FEWEST: usize = 6;
    const FINEST_STRIDE: usize = 4;
    let mut groups: BTreeMap<usize, Vec<[usize; 2]>> = BTreeMap::new();
    for [channels, height, width] in forms {
        groups.entry(*channels).or_default().push([*height, *width]);
    }
    let numbers: usize = groups.keys().sum();
    let mut levels = groups.into_values().map(|mut maps| {
        maps.sort_unstable_by_key(|[height, _]| Reverse(*height));
        maps
    });
    let Some(first) = levels.next() else { return false };
    let halved = |pair: &[[usize; 2]]| pair[0].map(|length| length.div_ceil(2)) == pair[1];
    let [finest, _, ..] = first.as_slice() else { return false };
    let fine = finest.iter().all(|length| length * FINEST_STRIDE <= side);
    numbers >= FEWEST && fine && first.windows(2).all(halved) && levels.all(|maps| maps == first)
}
