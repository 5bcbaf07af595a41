//! ARCC (attribution by ROAD, coherency and complexity): Domeniconi et al., *How to Evaluate and Refine your CAM*, 2026,
//! <https://arxiv.org/abs/2605.14641>. Its formula is that of pytorch-grad-cam's `ARCC`.

use super::adcc::Adcc;
use super::road::Road;

/// The harmonic mean of coherency, 1 - complexity, and twice the combined ROAD within 0..=1; more is better.
pub fn arcc(adcc: Adcc, road: Road) -> f32 {
    const LEAST: f32 = 1e-8;
    let parts = [adcc.coherency, 1.0 - adcc.complexity, (2.0 * road.combined()).clamp(0.0, 1.0)];
    3.0 / parts.iter().map(|part| 1.0 / (part + LEAST)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_harmonic_mean_of_its_parts() {
        let adcc = Adcc { coherency: 0.9, complexity: 0.2, drop: 0.0 };
        // 3 / (1 / 0.9 + 1 / 0.8 + 1 / 0.5)
        let value = arcc(adcc, Road { least_first: 0.1, most_first: -0.4 });
        assert!((value - 0.688).abs() < 1e-3, "{value}");
        assert!(arcc(adcc, Road { least_first: -0.5, most_first: 0.0 }) < 1e-7);
    }
}
