//! Eigenvalues and eigenvectors of symmetric matrices.

/// Eigenvalues, descending, and eigenvectors as the rows of a matrix in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// Eigenvalues, largest first.
    pub values: Vec<f64>,
    /// Row i is the unit eigenvector of value i (n, n), row-major; its largest entry in size is positive.
    pub vectors: Vec<f64>,
}

/// Decomposes a symmetric matrix (n, n), of which the lower triangle is read.
///
/// Householder reflections make it tridiagonal, QL sweeps with Wilkinson's shift make that diagonal (Golub & Van Loan 2013, *Matrix
/// Computations*, sections 8.3.1 and 8.3.3). Cost about 4 n³/3 + 3 n³; errors are a small multiple of n ε times the largest value.
pub fn symmetric(n: usize, matrix: &[f64]) -> Eigen {
    assert_eq!(matrix.len(), n * n, "a symmetric matrix has n² entries");
    if n == 0 {
        return Eigen { values: Vec::new(), vectors: Vec::new() };
    }
    let mut a = matrix.to_vec();
    for i in 0..n {
        for j in 0..i {
            a[j * n + i] = a[i * n + j];
        }
    }
    let (mut diagonal, mut below, mut basis) = tridiagonal(n, a);
    diagonalise(n, &mut diagonal, &mut below, &mut basis);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| diagonal[j].total_cmp(&diagonal[i]));
    let mut vectors = Vec::with_capacity(n * n);
    for &i in &order {
        let row = &basis[i * n..(i + 1) * n];
        let largest = row.iter().fold(0.0f64, |m, v| if v.abs() > m.abs() { *v } else { m });
        vectors.extend(row.iter().map(|v| v * largest.signum()));
    }
    Eigen { values: order.iter().map(|&i| diagonal[i]).collect(), vectors }
}

/// A = Qᵀ T Q: the diagonal of T, the entries below it (index i couples i and i + 1), and Q by rows.
fn tridiagonal(n: usize, mut a: Vec<f64>) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut q = vec![0.0; n * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    let mut below = vec![0.0; n];
    let (mut v, mut p) = (vec![0.0; n], vec![0.0; n]);
    for column in 0..n.saturating_sub(1) {
        let first = column + 1;
        // The reflection I - β v vᵀ sends the column below the diagonal to a multiple of the first axis. Scaled against overflow.
        let scale = (first..n).map(|i| a[i * n + column].abs()).fold(0.0, f64::max);
        if scale == 0.0 {
            continue;
        }
        (first..n).for_each(|i| v[i] = a[i * n + column] / scale);
        let length = (first..n).map(|i| v[i] * v[i]).sum::<f64>().sqrt();
        let alpha = if v[first] > 0.0 { -length } else { length };
        below[column] = alpha * scale;
        v[first] -= alpha;
        let square: f64 = (first..n).map(|i| v[i] * v[i]).sum();
        if square == 0.0 {
            continue;
        }
        let beta = 2.0 / square;
        for i in first..n {
            p[i] = beta * (first..n).map(|j| a[i * n + j] * v[j]).sum::<f64>();
        }
        let half = 0.5 * beta * (first..n).map(|i| p[i] * v[i]).sum::<f64>();
        (first..n).for_each(|i| p[i] -= half * v[i]);
        for i in first..n {
            for j in first..n {
                a[i * n + j] -= v[i] * p[j] + p[i] * v[j];
            }
        }
        // Q becomes H Q: rows first.. change.
        p.fill(0.0);
        for i in first..n {
            (0..n).for_each(|j| p[j] += v[i] * q[i * n + j]);
        }
        for i in first..n {
            (0..n).for_each(|j| q[i * n + j] -= beta * v[i] * p[j]);
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), below, q)
}

/// Implicit QL: rotations of neighbouring rows, applied to `basis` too, until nothing is left below the diagonal.
fn diagonalise(n: usize, d: &mut [f64], e: &mut [f64], basis: &mut [f64]) {
    for l in 0..n {
        // Convergence is cubic: two or three sweeps are typical. The bound stops only on values that are not finite.
        for _ in 0..60 {
            let split = (l..n - 1).find(|&m| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs())).unwrap_or(n - 1);
            if split == l {
                break;
            }
            let ratio = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = ratio.hypot(1.0).copysign(ratio);
            let mut g = d[split] - d[l] + e[l] / (ratio + root);
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            for i in (l..split).rev() {
                let (f, b) = (sine * e[i], cosine * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= shift;
                    e[split] = 0.0;
                    deflated = true;
                    break;
                }
                sine = f / r;
                cosine = g / r;
                let next = d[i + 1] - shift;
                let t = (d[i] - next) * sine + 2.0 * cosine * b;
                shift = sine * t;
                d[i + 1] = next + shift;
                g = cosine * t - b;
                let (upper, lower) = basis[i * n..(i + 2) * n].split_at_mut(n);
                for (x, y) in upper.iter_mut().zip(lower) {
                    (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                }
            }
            if !deflated {
                d[l] -= shift;
                e[l] = g;
                e[split] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// A v = λ v and orthonormal vectors to 1e-12 of the norm (n ε = 1e-14, with room for the sums of 60 terms), on random, degenerate,
    /// diagonal and graded matrices.
    #[test]
    fn vectors_are_orthonormal_and_diagonalise() {
        let mut rng = Seed(1).stream("eigen", 0);
        for n in [1, 2, 3, 8, 61] {
            let factor: Vec<f64> = (0..n * n).map(|_| rng.normal()).collect();
            let gram = |rank: usize, grade: f64| -> Vec<f64> {
                let at = |i: usize, j: usize| (0..rank).map(|k| factor[k * n + i] * factor[k * n + j] * (-grade * k as f64).exp()).sum();
                (0..n * n).map(|p| at(p / n, p % n)).collect()
            };
            let diagonal: Vec<f64> = (0..n * n).map(|p| if p / n == p % n { (p % 3) as f64 } else { 0.0 }).collect();
            for a in [gram(n, 0.0), gram(n.div_ceil(2), 0.0), gram(n, 1.0), diagonal, vec![0.0; n * n]] {
                let Eigen { values, vectors } = symmetric(n, &a);
                let norm = a.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-300);
                assert!(values.windows(2).all(|w| w[0] >= w[1]));
                for i in 0..n {
                    let v = &vectors[i * n..(i + 1) * n];
                    for r in 0..n {
                        let product: f64 = (0..n).map(|c| a[r * n + c] * v[c]).sum();
                        assert!((product - values[i] * v[r]).abs() < 1e-12 * norm, "n = {n}");
                    }
                    for j in 0..n {
                        let dot: f64 = v.iter().zip(&vectors[j * n..]).map(|(a, b)| a * b).sum();
                        assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12, "n = {n}");
                    }
                }
            }
        }
    }
}
