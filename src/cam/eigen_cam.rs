//! Eigen-CAM. Muhammad and Yeasin, *Eigen-CAM: Class Activation Map using Principal Components*, IJCNN
//! 2020, <https://arxiv.org/abs/2008.00299>, equation 5.

use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::class_map::relu;

/// `L = ReLU(A V₁)`, where `V₁` is the first right singular vector of the activations as a matrix of cells by channels.
/// Its sign is chosen so that the map correlates with `Σ_k A^k`. `[C,h,w]` to `[h,w]`.
///
/// As in the paper, the mean is not subtracted. pytorch-grad-cam subtracts it and takes LAPACK's sign.
pub fn eigen_cam(activations: ArrayView3<f32>) -> Array2<f32> {
    principal_map(activations, false)
}

/// The first principal component of the channels at every cell, `[C,h,w]` to `[h,w]`. With `centred`, the mean of each
/// channel is subtracted first.
pub fn principal_map(channels: ArrayView3<f32>, centred: bool) -> Array2<f32> {
    let (c, h, w) = channels.dim();
    let Ok(matrix) = channels.to_shape((c, h * w)) else { return Array2::zeros((h, w)) };
    let mut matrix = matrix.mapv(f64::from);
    if centred {
        for mut row in matrix.rows_mut() {
            let mean = row.mean().unwrap_or(0.0);
            row -= mean;
        }
    }
    let map = leading_cells(matrix.view());
    let sign = map.dot(&matrix.sum_axis(Axis(0))).signum();
    map.mapv(|v| relu((v * sign) as f32)).into_shape_with_order((h, w)).unwrap_or_default()
}

/// `σ₁ u₁` of a matrix of channels by cells, with `u₁` over the cells, by power iteration on the smaller Gram matrix.
fn leading_cells(matrix: ArrayView2<f64>) -> Array1<f64> {
    const MOST: usize = 1000;
    let by_cells = matrix.ncols() <= matrix.nrows();
    let gram = if by_cells { matrix.t().dot(&matrix) } else { matrix.dot(&matrix.t()) };
    // A column near the leading vector, and a little of everything else, in case it is orthogonal to that vector.
    let start = (0..gram.nrows()).max_by(|&a, &b| gram[[a, a]].total_cmp(&gram[[b, b]])).unwrap_or(0);
    let mut vector = gram.column(start).to_owned();
    let (little, mut random) = (1e-3 * vector.dot(&vector).sqrt(), SmallRng::seed_from_u64(0));
    vector.mapv_inplace(|v| v + little * random.random_range(-1.0..1.0));
    for _ in 0..MOST {
        let norm = vector.dot(&vector).sqrt();
        if norm == 0.0 {
            break;
        }
        vector /= norm;
        let next = gram.dot(&vector);
        let along = next.dot(&vector);
        let residual = (&next - &(&vector * along)).mapv(|v| v * v).sum().sqrt();
        vector = next;
        if residual < 1e-9 * along {
            break;
        }
    }
    let norm = vector.dot(&vector).sqrt().max(f64::MIN_POSITIVE);
    let vector = vector / norm;
    if by_cells { &vector * matrix.dot(&vector).mapv(|v| v * v).sum().sqrt() } else { matrix.t().dot(&vector) }
}
