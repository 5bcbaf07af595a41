//! Telling pictures that are like none of the taught ones.

use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::index;

use super::folds::likeness_rows;

/// The familiarity of a picture: the cosine between its features and those of the n-th nearest of the pictures in the bank
/// (Sun et al., *Out-of-Distribution Detection with Deep Nearest Neighbors*, ICML 2022).
#[derive(Clone, Debug)]
pub struct Familiarity {
    /// `[M,C]`, each row of length 1.
    pub bank: Array2<f32>,
    /// Which neighbour counts, from 1 for the nearest.
    pub neighbour: usize,
    /// What is less familiar than this shows none of the classes.
    pub least: f32,
}

/// The most pictures in a bank.
const BANK: usize = 500;
const NEIGHBOUR: usize = 5;
/// The share of taught pictures that count as unfamiliar to the others.
const REFUSED: f32 = 0.05;

impl Familiarity {
    /// The familiarity of pictures that are like these. `group` tells near copies: each picture is compared with those of other
    /// groups alone. `None` where there are no others.
    pub fn of(directions: ArrayView2<f32>, group: &[usize], seed: u64) -> Option<Self> {
        let count = directions.nrows();
        let chosen = index::sample(&mut SmallRng::seed_from_u64(seed), count, count.min(BANK)).into_vec();
        let mut groups: Vec<usize> = chosen.iter().map(|row| group[*row]).collect();
        groups.sort_unstable();
        groups.dedup();
        let neighbour = NEIGHBOUR.min(groups.len().saturating_sub(1) / 2).max(1);
        let mut found: Vec<f32> = likeness_rows(directions)
            .filter_map(|(row, likeness)| {
                let others = chosen.iter().filter(|other| group[**other] != group[row]);
                let mut others: Vec<f32> = others.map(|other| likeness[*other]).collect();
                others.sort_by(|a, b| b.total_cmp(a));
                others.get(neighbour - 1).copied()
            })
            .collect();
        found.sort_by(f32::total_cmp);
        let least = *found.get((found.len() as f32 * REFUSED) as usize)?;
        Some(Self { bank: directions.select(Axis(0), &chosen), neighbour, least })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_keeps_most_pictures_and_refuses_others() {
        // Directions along one quarter of a circle; a picture opposite is far from all.
        let angle = |at: usize| at as f32 / 100.0;
        let directions = Array2::from_shape_fn((100, 2), |(at, axis)| [angle(at).cos(), angle(at).sin()][axis]);
        let group: Vec<usize> = (0..100).collect();
        let found = Familiarity::of(directions.view(), &group, 1).unwrap();
        let known = |angle: f32| {
            let mut likeness: Vec<f32> = found.bank.dot(&ndarray::arr1(&[angle.cos(), angle.sin()])).to_vec();
            likeness.sort_by(|a, b| b.total_cmp(a));
            likeness[found.neighbour - 1] >= found.least
        };
        assert_eq!(found.neighbour, NEIGHBOUR);
        assert!(known(0.5) && !known(1.5) && !known(-0.5));
    }

    #[test]
    fn copies_of_one_picture_have_no_others() {
        let directions = Array2::from_shape_fn((5, 2), |(_, axis)| [1.0, 0.0][axis]);
        assert!(Familiarity::of(directions.view(), &[0; 5], 1).is_none());
    }
}
