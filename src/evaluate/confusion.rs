//! The confusion matrix.

/// The number of photos by true and predicted class.
#[derive(Clone, Debug)]
pub struct Confusion {
    /// `counts[truth][predicted]`
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts pairs of true and predicted class, for a model of `classes` classes.
    pub fn new(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        pairs.for_each(|(truth, predicted)| counts[truth][predicted] += 1);
        Self { counts }
    }

    /// The share of photos that are classified rightly, 0..=1.
    pub fn accuracy(&self) -> f32 {
        let right: usize = (0..self.counts.len()).map(|class| self.counts[class][class]).sum();
        let all: usize = self.counts.iter().flatten().sum();
        right as f32 / all.max(1) as f32
    }

    /// The classes with photos.
    pub fn seen(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&class| self.recall(class).is_some()).collect()
    }

    /// The share of a class's photos that are predicted as it, 0..=1; `None` without such photos.
    pub fn recall(&self, class: usize) -> Option<f32> {
        let all: usize = self.counts[class].iter().sum();
        (all > 0).then(|| self.counts[class][class] as f32 / all as f32)
    }

    /// The share of photos predicted as a class that belong to it, 0..=1; `None` without such photos.
    pub fn precision(&self, class: usize) -> Option<f32> {
        let all: usize = self.counts.iter().map(|row| row[class]).sum();
        (all > 0).then(|| self.counts[class][class] as f32 / all as f32)
    }
}
