//! Eigen-CAM. Muhammad and Yeasin, *Eigen-CAM: Class Activation Map using Principal Components*, IJCNN
//! 2020, <https://arxiv.org/abs/2008.00299>, equation 5.

use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};

/// `L = ReLU(A V₁)`, `V₁` the first right singular vector of the activations as a matrix of places by
/// channels, with the sign that makes the map go along with `Σ_k A^k`. `[C,h,w]` to `[h,w]`.
///
/// As the paper has it, the mean is not taken off first. pytorch-grad-cam takes it off and leaves the
/// sign to LAPACK.
pub fn eigen_cam(activations: ArrayView3<f32>) -> Array2<f32> {
    principal_map(activations, false)
}

/// Every place's share in the main pattern of the channels.
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
    let map = leading_places(matrix.view());
    let sign = map.dot(&matrix.sum_axis(Axis(0))).signum();
    map.mapv(|v| (v * sign).max(0.0) as f32).into_shape_with_order((h, w)).unwrap_or_default()
}

/// `σ₁ u₁` of a matrix of channels by places, `u₁` over the places: by power iteration on the smaller of
/// its two Gram matrices.
fn leading_places(matrix: ArrayView2<f64>) -> Array1<f64> {
    const MOST: usize = 1000;
    let by_places = matrix.ncols() <= matrix.nrows();
    let gram = if by_places { matrix.t().dot(&matrix) } else { matrix.dot(&matrix.t()) };
    // Not orthogonal to the wanted vector, which a column of the matrix with the largest norm is not either.
    let start = (0..gram.nrows()).max_by(|&a, &b| gram[[a, a]].total_cmp(&gram[[b, b]])).unwrap_or(0);
    let mut vector = gram.column(start).to_owned();
    for _ in 0..MOST {
        let norm = vector.dot(&vector).sqrt();
        if norm == 0.0 {
            break;
        }
        vector /= norm;
        let next = gram.dot(&vector);
        let along = next.dot(&vector);
        let apart = (&next - &(&vector * along)).mapv(|v| v * v).sum().sqrt();
        vector = next;
        if apart < 1e-9 * along {
            break;
        }
    }
    let norm = vector.dot(&vector).sqrt().max(f64::MIN_POSITIVE);
    let vector = vector / norm;
    if by_places { &vector * matrix.dot(&vector).mapv(|v| v * v).sum().sqrt() } else { matrix.t().dot(&vector) }
}
