//! What a model of quantities says.

use super::ranked::RankedLabel;
use crate::cam::CamMap;
use crate::explain::ExplanationContext;

/// What a model of quantities says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ValuePrediction {
    /// All values, in the order of the output.
    pub values: Vec<f32>,
    /// The value that the first map explains.
    pub index: usize,
    /// The other values of the request, with their maps.
    pub others: Vec<(usize, CamMap)>,
}

impl ValuePrediction {
    /// The value that the first map explains.
    pub fn value(&self) -> f32 {
        self.values.get(self.index).copied().unwrap_or(f32::NAN)
    }

    /// The values that have a map, in the order of the maps.
    pub fn explained(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.index).chain(self.others.iter().map(|(index, _)| *index))
    }

    pub(super) fn captions(&self, map: &CamMap, context: &ExplanationContext) -> Vec<String> {
        let maps = std::iter::once((self.index, map)).chain(self.others.iter().map(|(index, map)| (*index, map)));
        let line = |(index, map): (usize, &CamMap)| {
            let evidence = map.absence();
            format!("{} {}{evidence}", context.label(index), text(self.values.get(index).copied().unwrap_or(f32::NAN)))
        };
        maps.map(line).collect()
    }

    pub(super) fn ranking(&self, context: &ExplanationContext) -> Vec<RankedLabel> {
        let most = self.values.iter().copied().map(f32::abs).fold(f32::MIN_POSITIVE, f32::max);
        let lines = self.values.iter().enumerate().map(|(index, value)| RankedLabel {
            label: context.label(index),
            share: value.abs() / most,
            text: text(*value),
            explained: index == self.index,
        });
        lines.take(9).collect()
    }
}

/// A number in four digits, as people write it.
fn text(value: f32) -> String {
    match value.abs() {
        size if size >= 1e4 || size < 1e-3 && size > 0.0 => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
