//! Built-in lists of labels.

/// The categories of COCO by their numbers, with those that were given up and 0 for the background
/// (<https://cocodataset.org>).
const COCO: &str = include_str!("../../models/labels/coco.txt");
/// The classes of ILSVRC 2012 in the order of torchvision (<https://image-net.org/challenges/LSVRC/2012>).
const IMAGENET: &str = include_str!("../../models/labels/imagenet.txt");

/// Names that `--labels` takes in place of a file.
pub const LABEL_SETS: &[&str] = &["coco", "imagenet"];

/// A built-in list by its name.
pub fn label_set(name: &str) -> Option<Vec<String>> {
    match name {
        "coco" => Some(coco(80)),
        "imagenet" => Some(IMAGENET.lines().map(str::to_owned).collect()),
        _ => None,
    }
}

/// The labels of COCO for so many classes: the 80 that are in use, or all by their numbers, from 0 or from 1.
fn coco(classes: usize) -> Vec<String> {
    let all = COCO.lines().map(str::to_owned);
    match classes {
        91 => all.collect(),
        90 => all.skip(1).collect(),
        _ => all.filter(|label| !matches!(label.as_str(), "__background__" | "N/A")).collect(),
    }
}

/// The list in the form that has so many classes, if `labels` is one of several forms.
pub fn fitted(labels: &[String], classes: usize) -> Option<Vec<String>> {
    (labels == coco(80)).then(|| coco(classes)).filter(|fitted| fitted.len() == classes)
}

/// The labels that detectors of so many classes usually have.
pub fn usual_labels(classes: usize) -> Option<Vec<String>> {
    matches!(classes, 80 | 90 | 91).then(|| coco(classes))
}
