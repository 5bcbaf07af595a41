//! Which classes are taken for which.

/// Photos by their true class and the predicted one.
#[derive(Clone, Debug)]
pub struct Confusion {
    /// `counts[truth][predicted]`
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    pub fn new(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        pairs.for_each(|(truth, predicted)| counts[truth][predicted] += 1);
        Self { counts }
    }

    /// The share of photos that got their true class, 0..=1.
    pub fn accuracy(&self) -> f32 {
        let right: usize = (0..self.counts.len()).map(|class| self.counts[class][class]).sum();
        let all: usize = self.counts.iter().flatten().sum();
        right as f32 / all.max(1) as f32
    }

    /// The classes that there are photos of.
    pub fn seen(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&class| self.recall(class).is_some()).collect()
    }

    /// Of a class's photos, the share that got it; `None` where there are none.
    pub fn recall(&self, class: usize) -> Option<f32> {
        let all: usize = self.counts[class].iter().sum();
        (all > 0).then(|| self.counts[class][class] as f32 / all as f32)
    }

    /// Of the photos that got a class, the share that are of it; `None` where there are none.
    pub fn precision(&self, class: usize) -> Option<f32> {
        let all: usize = self.counts.iter().map(|row| row[class]).sum();
        (all > 0).then(|| self.counts[class][class] as f32 / all as f32)
    }
}
