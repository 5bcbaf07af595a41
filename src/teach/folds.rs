//! Parting examples into folds, with near copies in one fold.

use ndarray::{Array2, ArrayView2};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::examples::Examples;

/// From this cosine of their features on, two pictures are near copies: the same picture, or frames of one shot.
pub const NEAR_COPY: f32 = 0.97;
const MOST_FOLDS: usize = 5;

/// A group for each example: near copies, and copies of these, are in one. The number of groups may have gaps.
pub fn near_copies(directions: ArrayView2<f32>) -> Vec<usize> {
    let mut group: Vec<usize> = (0..directions.nrows()).collect();
    for (row, likeness) in likeness_rows(directions) {
        for other in (0..row).filter(|other| likeness[*other] >= NEAR_COPY) {
            let [a, b] = [root(&group, row), root(&group, other)];
            group[a.max(b)] = a.min(b);
        }
    }
    (0..group.len()).map(|row| root(&group, row)).collect()
}

fn root(group: &[usize], mut row: usize) -> usize {
    while group[row] != row {
        row = group[row];
    }
    row
}

/// The cosines of each row with all rows, block by block, so that memory stays small.
pub fn likeness_rows(directions: ArrayView2<f32>) -> impl Iterator<Item = (usize, Vec<f32>)> {
    const BLOCK: usize = 256;
    let starts = (0..directions.nrows()).step_by(BLOCK);
    starts.flat_map(move |start| {
        let end = (start + BLOCK).min(directions.nrows());
        let block: Array2<f32> = directions.slice(ndarray::s![start..end, ..]).dot(&directions.t());
        let rows: Vec<_> = block.outer_iter().map(|row| row.to_vec()).collect();
        rows.into_iter().enumerate().map(move |(at, row)| (start + at, row))
    })
}

/// The fold of each example: every class is in every fold, and a group is in one. `None` if a class has only one group.
pub fn folds(examples: &Examples, group: &[usize], seed: u64) -> Option<Vec<usize>> {
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); examples.names.len()];
    for (group, class) in group.iter().zip(&examples.class) {
        if !of_class[*class].contains(group) {
            of_class[*class].push(*group);
        }
    }
    let fewest = of_class.iter().map(Vec::len).min()?;
    if fewest < 2 {
        return None;
    }
    let count = fewest.min(MOST_FOLDS);
    let mut random = SmallRng::seed_from_u64(seed);
    // A group of several classes keeps the fold that it got first.
    let mut fold_of = vec![None; group.len()];
    for groups in &mut of_class {
        groups.shuffle(&mut random);
        let first = random.random_range(0..count);
        for (at, group) in groups.iter().enumerate() {
            fold_of[*group].get_or_insert((first + at) % count);
        }
    }
    let folds: Vec<usize> = group.iter().map(|group| fold_of[*group].unwrap_or(0)).collect();
    let trained = |fold: usize| {
        let kept = |class: usize| (0..folds.len()).any(|at| examples.class[at] == class && folds[at] != fold);
        (0..examples.names.len()).all(kept)
    };
    (0..count).all(trained).then_some(folds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Examples {
        let angle = |at: usize| if at < 4 { 0.001 * at as f32 } else { 0.4 * at as f32 };
        let features = Array2::from_shape_fn((12, 2), |(at, axis)| [angle(at).cos(), angle(at).sin()][axis]);
        let names = vec!["mug".into(), "key".into()];
        let crops = Array2::zeros((0, 2));
        Examples { names, features, class: (0..12).map(|at| usize::from(at >= 6)).collect(), crops }
    }

    #[test]
    fn near_copies_share_a_group_and_a_fold() {
        let examples = examples();
        let group = near_copies(examples.directions().view());
        assert!(group[..4].iter().all(|of| *of == 0), "{group:?}");
        assert!(group[4..].windows(2).all(|pair| pair[0] != pair[1]), "{group:?}");
        let folds = folds(&examples, &group, 1).unwrap();
        assert!(folds[..4].iter().all(|fold| *fold == folds[0]), "{folds:?}");
        for fold in 0..3 {
            let left: Vec<usize> = (0..12).filter(|at| folds[*at] != fold).map(|at| examples.class[at]).collect();
            assert!(left.contains(&0) && left.contains(&1));
        }
    }

    #[test]
    fn a_class_of_copies_of_one_picture_cannot_be_left_out() {
        let mut examples = examples();
        let row = examples.features.row(0).to_owned();
        (0..6).for_each(|at| examples.features.row_mut(at).assign(&row));
        assert_eq!(folds(&examples, &near_copies(examples.directions().view()), 1), None);
    }
}
