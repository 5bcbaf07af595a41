//! Sums of the measures over the photos.

use super::adcc::Adcc;
use super::arcc::arcc;
use super::average_drop::Change;
use super::insertion_deletion::{Curves, area_under};
use super::report::Faithfulness;
use super::road::Road;

/// Sums over the photos.
pub struct Totals {
    sums: Faithfulness,
    curves: Curves,
    adcc: Adcc,
    /// How far each map lies beside what it shows.
    pub displaced: Vec<[f32; 2]>,
}

impl Totals {
    /// Zeros, for curves of `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self {
            sums: Faithfulness::default(),
            curves: Curves { insertion: vec![0.0; steps + 1], deletion: vec![0.0; steps + 1] },
            adcc: Adcc { coherency: 0.0, complexity: 0.0, drop: 0.0 },
            displaced: Vec::new(),
        }
    }

    /// Adds the measures of one photo.
    pub fn add(&mut self, curves: &Curves, change: Change, adcc: Adcc, road: Road) {
        let sums = [(&mut self.curves.insertion, &curves.insertion), (&mut self.curves.deletion, &curves.deletion)];
        for (sum, curve) in sums {
            sum.iter_mut().zip(curve).for_each(|(sum, v)| *sum += v);
        }
        self.sums.increase += f32::from(change.increased);
        self.sums.road += road.combined();
        self.sums.arcc += arcc(adcc, road);
        self.adcc.coherency += adcc.coherency;
        self.adcc.complexity += adcc.complexity;
        self.adcc.drop += adcc.drop;
    }

    pub fn add_stability(&mut self, stability: f32) {
        self.sums.stability += stability;
    }

    /// The means over `count` photos.
    pub fn means(self, count: usize) -> (Faithfulness, Curves) {
        let count = count.max(1) as f32;
        let mean = |curve: Vec<f32>| curve.into_iter().map(|sum| sum / count).collect::<Vec<_>>();
        let curves = Curves { insertion: mean(self.curves.insertion), deletion: mean(self.curves.deletion) };
        let Adcc { coherency, complexity, drop } = self.adcc;
        let adcc = Adcc { coherency: coherency / count, complexity: complexity / count, drop: drop / count };
        let faithfulness = Faithfulness {
            insertion: area_under(&curves.insertion),
            deletion: area_under(&curves.deletion),
            average_drop: adcc.drop,
            increase: self.sums.increase / count,
            // The paper defines ADCC on the means.
            adcc: adcc.value(),
            road: self.sums.road / count,
            arcc: self.sums.arcc / count,
            stability: self.sums.stability / count,
            grid_pointing: None,
        };
        (faithfulness, curves)
    }
}
