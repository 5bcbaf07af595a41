//! Features with their classes.

use ndarray::{Array1, Array2, Axis, concatenate};

use crate::error::{Error, Result};

/// Pictures of classes, as their features.
#[derive(Clone, Debug)]
pub struct Examples {
    /// The names of the classes.
    pub names: Vec<String>,
    /// Of each picture, `[N,C]`.
    pub features: Array2<f32>,
    /// The class of each picture.
    pub class: Vec<usize>,
    /// Of crops, the same number for each picture, in the order of the pictures: `[N·M,C]`.
    pub crops: Array2<f32>,
}

impl Examples {
    /// `views` holds the features of each picture, followed by those of its crops.
    ///
    /// # Errors
    /// The features do not have one length, or the pictures not one number of crops.
    pub fn new(names: Vec<String>, class: Vec<usize>, views: &[Vec<Array1<f32>>], length: usize) -> Result<Self> {
        let matrix = |rows: Vec<&Array1<f32>>| {
            let values = rows.iter().flat_map(|row| row.iter().copied()).collect();
            Array2::from_shape_vec((rows.len(), length), values).map_err(|e| Error::model("taught", e))
        };
        let features = matrix(views.iter().filter_map(|views| views.first()).collect())?;
        let crops = matrix(views.iter().flat_map(|views| views.iter().skip(1)).collect())?;
        if features.nrows() != class.len() || !class.is_empty() && !crops.nrows().is_multiple_of(class.len()) {
            return Err(Error::model("taught", "the pictures have different numbers of crops"));
        }
        Ok(Self { names, features, class, crops })
    }

    /// The number of pictures of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        self.class.iter().for_each(|class| counts[*class] += 1);
        counts
    }

    /// Some of the pictures, by their rows.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let each = self.crops_each();
        let of_crops: Vec<usize> = rows.iter().flat_map(|row| row * each..(row + 1) * each).collect();
        Self {
            names: self.names.clone(),
            features: self.features.select(Axis(0), rows),
            class: rows.iter().map(|row| self.class[*row]).collect(),
            crops: self.crops.select(Axis(0), &of_crops),
        }
    }

    /// Pictures and crops together, with the class of each row.
    pub fn with_crops(&self) -> (Array2<f32>, Vec<usize>) {
        let each = self.crops_each();
        let of_crops = self.class.iter().flat_map(|class| std::iter::repeat_n(*class, each));
        let all = concatenate(Axis(0), &[self.features.view(), self.crops.view()]);
        (all.unwrap_or_else(|_| self.features.clone()), self.class.iter().copied().chain(of_crops).collect())
    }

    fn crops_each(&self) -> usize {
        self.crops.nrows() / self.class.len().max(1)
    }

    /// The features of the pictures, each row of length 1. A row of zeros stays.
    pub fn directions(&self) -> Array2<f32> {
        let mut rows = self.features.clone();
        for mut row in rows.rows_mut() {
            let length = row.dot(&row).sqrt();
            if length > 0.0 {
                row /= length;
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_go_with_their_picture() {
        let views: Vec<Vec<Array1<f32>>> =
            (0..3).map(|at| (0..3).map(|view| ndarray::arr1(&[(10 * at + view) as f32])).collect()).collect();
        let examples = Examples::new(vec!["a".into(), "b".into()], vec![0, 1, 1], &views, 1).unwrap();
        let (features, class) = examples.select(&[2, 0]).with_crops();
        assert_eq!(features.iter().copied().collect::<Vec<_>>(), [20.0, 0.0, 21.0, 22.0, 1.0, 2.0]);
        assert_eq!((class, examples.counts()), (vec![1, 0, 1, 1, 0, 0], vec![1, 2]));
        assert!(Examples::new(vec!["a".into()], vec![0, 0], &[views[0].clone(), vec![]], 1).is_err());
    }
}
