//! Correlations of two maps.

/// Pearson's correlation of two sequences of the same length, -1..=1; 0 if one of them is constant.
pub fn pearson(a: impl Iterator<Item = f32> + Clone, b: impl Iterator<Item = f32> + Clone) -> f32 {
    let mean = |values: &mut dyn Iterator<Item = f32>| {
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + f64::from(v), count + 1.0));
        sum / f64::max(count, 1.0)
    };
    let (mean_a, mean_b) = (mean(&mut a.clone()), mean(&mut b.clone()));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.zip(b) {
        let (x, y) = (f64::from(x) - mean_a, f64::from(y) - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa > 0.0 && bb > 0.0 { (ab / (aa * bb).sqrt()) as f32 } else { 0.0 }
}

/// Spearman's rank correlation, -1..=1; equal values get their mean rank.
pub fn spearman(a: &[f32], b: &[f32]) -> f32 {
    pearson(ranks(a).into_iter(), ranks(b).into_iter())
}

fn ranks(values: &[f32]) -> Vec<f32> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for same in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()) {
        let rank = start as f32 + (same.len() - 1) as f32 / 2.0;
        for &index in same {
            ranks[index] = rank;
        }
        start += same.len();
    }
    ranks
}

/// The middle value, or the mean of the two middle ones; `None` of nothing.
pub fn median(mut values: Vec<f32>) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f32::midpoint(values[last / 2], values[last.div_ceil(2)]))
}
