//! Random weights in place of trained ones.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Normal};

use super::proto::Tensor;
use super::{DataType, OnnxModel};

impl OnnxModel {
    /// Replaces the values of weight tensors (float32 or float16, two axes or more) by samples of a normal distribution
    /// with the tensor's mean and standard deviation. `share`, 0..=1, is the fraction of weight tensors, counted from
    /// the end of the graph.
    pub fn randomise(&mut self, share: f32, seed: u64) {
        let mut random = SmallRng::seed_from_u64(seed);
        let graph = self.graph_mut();
        let mut weights = Vec::new();
        for input in graph.node.iter().rev().flat_map(|node| &node.input) {
            let found = graph.initializer.iter().position(|tensor| tensor.name() == input && is_weight(tensor));
            weights.extend(found.filter(|index| !weights.contains(index)));
        }
        let chosen = (weights.len() as f32 * share).round() as usize;
        for index in weights.into_iter().take(chosen) {
            let tensor = &mut graph.initializer[index];
            let values = tensor.to_f32s().unwrap_or_default();
            let count = values.len().max(1) as f32;
            let mean = values.iter().sum::<f32>() / count;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count;
            let Ok(normal) = Normal::new(mean, variance.sqrt()) else { continue };
            let drawn: Vec<f32> = values.iter().map(|_| normal.sample(&mut random)).collect();
            tensor.set_f32s(&drawn);
        }
    }
}

fn is_weight(tensor: &Tensor) -> bool {
    tensor.dims.len() >= 2
        && matches!(DataType::from_number(tensor.data_type()), Some(DataType::Float | DataType::Float16))
}
