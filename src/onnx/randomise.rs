//! Random weights in place of trained ones.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, Normal};

use super::proto::Tensor;
use super::{DataType, OnnxModel};

impl OnnxModel {
    /// Replaces the values of weight tensors (two axes or more): floats by samples of a normal distribution with the tensor's
    /// mean and standard deviation, and those of 8 bits by the same ones in a random order. `share`, 0..=1, is the fraction of weight tensors, counted from
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
            shuffle_bytes(tensor, &mut random);
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

/// Puts the values of an int8 or uint8 tensor in another order.
fn shuffle_bytes(tensor: &mut Tensor, random: &mut SmallRng) {
    if !matches!(DataType::from_number(tensor.data_type()), Some(DataType::Int8 | DataType::Uint8)) {
        return;
    }
    if let Some(raw) = &mut tensor.raw_data {
        let mut values = raw.to_vec();
        values.shuffle(random);
        *raw = values.into();
    }
    tensor.int32_data.shuffle(random);
}

fn is_weight(tensor: &Tensor) -> bool {
    use DataType::{Float, Float16, Int8, Uint8};
    tensor.dims.len() >= 2 && matches!(DataType::from_number(tensor.data_type()), Some(Float | Float16 | Int8 | Uint8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_8_bits_are_other_ones_too() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/flowers-int8.onnx");
        let model = OnnxModel::read(path.as_ref()).unwrap_or_else(|e| panic!("{e}"));
        let mut other = model.clone();
        other.randomise(1.0, 1);
        let bytes = |model: &OnnxModel| {
            let weights = model.graph().initializer.iter().filter(|tensor| is_weight(tensor));
            weights.filter_map(|tensor| tensor.raw_data.clone()).map(|raw| raw.to_vec()).collect::<Vec<_>>()
        };
        let (before, after) = (bytes(&model), bytes(&other));
        let same = before.iter().zip(&after).filter(|(before, after)| before == after).count();
        assert!(before.len() > 20 && same == 0, "{same} of {} weights stay", before.len());
    }
}
