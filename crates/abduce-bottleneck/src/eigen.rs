//! Eigenvectors of a symmetric matrix: Householder's tridiagonal form, then the implicit QR iteration with Wilkinson's shift (Golub and Van Loan,
//! Matrix Computations, 8.3).

/// Eigenvalues in falling order and, in the rows of an (n, n) matrix, their unit eigenvectors. `a` is the full symmetric (n, n) matrix.
pub(crate) fn symmetric(n: usize, mut a: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    debug_assert_eq!(a.len(), n * n);
    let (mut diagonal, mut beside) = (vec![0.0; n], vec![0.0; n.saturating_sub(1)]);
    // Reflections I - τ v vᵀ, v over the rows below the diagonal: kept in the columns that they clear.
    let mut tau = vec![0.0; n.saturating_sub(1)];
    let (mut v, mut p) = (vec![0.0; n], vec![0.0; n]);
    for k in 0..n.saturating_sub(1) {
        diagonal[k] = a[k * n + k];
        let norm = (k + 1..n).map(|i| a[i * n + k].powi(2)).sum::<f64>().sqrt();
        let first = a[(k + 1) * n + k];
        let alpha = if first > 0.0 { -norm } else { norm };
        beside[k] = alpha;
        (k + 1..n).for_each(|i| v[i] = a[i * n + k]);
        v[k + 1] -= alpha;
        let square: f64 = v[k + 1..].iter().map(|v| v * v).sum();
        tau[k] = if square > 0.0 { 2.0 / square } else { 0.0 };
        // B ← (I - τvvᵀ) B (I - τvvᵀ) = B - v wᵀ - w vᵀ, w = p - (τ pᵀv/2) v, p = τ B v.
        for i in k + 1..n {
            p[i] = tau[k] * a[i * n + k + 1..(i + 1) * n].iter().zip(&v[k + 1..]).map(|(a, v)| a * v).sum::<f64>();
        }
        let half = 0.5 * tau[k] * p[k + 1..].iter().zip(&v[k + 1..]).map(|(p, v)| p * v).sum::<f64>();
        (k + 1..n).for_each(|i| p[i] -= half * v[i]);
        for i in k + 1..n {
            let (vi, wi) = (v[i], p[i]);
            for ((b, v), w) in a[i * n + k + 1..(i + 1) * n].iter_mut().zip(&v[k + 1..]).zip(&p[k + 1..]) {
                *b -= vi * w + wi * v;
            }
        }
        (k + 1..n).for_each(|i| a[i * n + k] = v[i]);
    }
    if n > 0 {
        diagonal[n - 1] = a[n * n - 1];
    }
    // Rows of Qᵀ, so that rotations run over contiguous rows: Qᵀ = … H₁ H₀, built as (H₀ H₁ …)ᵀ from the last reflection on.
    let mut rows = vec![0.0; n * n];
    (0..n).for_each(|i| rows[i * n + i] = 1.0);
    for k in (0..n.saturating_sub(1)).rev() {
        // Qᵀ ← Qᵀ H_k, row by row.
        (k + 1..n).for_each(|i| v[i] = a[i * n + k]);
        // The rows above are still those of the identity, zero where v is not.
        for row in rows.chunks_exact_mut(n).skip(k + 1) {
            let dot: f64 = row[k + 1..].iter().zip(&v[k + 1..]).map(|(r, v)| r * v).sum();
            row[k + 1..].iter_mut().zip(&v[k + 1..]).for_each(|(r, v)| *r -= tau[k] * dot * v);
        }
    }
    iterate(&mut diagonal, &mut beside, &mut rows, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| diagonal[j].total_cmp(&diagonal[i]));
    let values = order.iter().map(|&i| diagonal[i]).collect();
    let vectors = order.iter().flat_map(|&i| rows[i * n..(i + 1) * n].iter().copied()).collect();
    (values, vectors)
}

/// Rotates the tridiagonal matrix to a diagonal one, and the rows with it.
fn iterate(d: &mut [f64], e: &mut [f64], rows: &mut [f64], n: usize) {
    let mut high = n.saturating_sub(1);
    let negligible = |d: &[f64], e: &[f64], k: usize| e[k].abs() <= f64::EPSILON * (d[k].abs() + d[k + 1].abs());
    // Cubic convergence takes two to three sweeps per eigenvalue; the bound only keeps NaN from running for ever.
    for _ in 0..60 * n {
        while high > 0 && negligible(d, e, high - 1) {
            high -= 1;
        }
        if high == 0 {
            return;
        }
        let low = (0..high).rev().find(|&k| negligible(d, e, k)).map_or(0, |k| k + 1);
        // Wilkinson's shift: the eigenvalue of the last 2 × 2 block that is nearer to its corner.
        let (half, b) = (0.5 * (d[high - 1] - d[high]), e[high - 1]);
        let shift = d[high] - b * b / (half + half.hypot(b).copysign(half));
        let (mut x, mut z) = (d[low] - shift, e[low]);
        for k in low..high {
            let r = x.hypot(z);
            let (c, s) = if r > 0.0 { (x / r, z / r) } else { (1.0, 0.0) };
            if k > low {
                e[k - 1] = r;
            }
            let (a, b, g) = (d[k], e[k], d[k + 1]);
            d[k] = c * c * a + 2.0 * c * s * b + s * s * g;
            d[k + 1] = s * s * a - 2.0 * c * s * b + c * c * g;
            e[k] = c * s * (g - a) + (c * c - s * s) * b;
            if k + 1 < high {
                (x, z) = (e[k], s * e[k + 1]);
                e[k + 1] *= c;
            }
            let (upper, lower) = rows[k * n..(k + 2) * n].split_at_mut(n);
            for (u, l) in upper.iter_mut().zip(lower) {
                (*u, *l) = (c * *u + s * *l, c * *l - s * *u);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// A v = λ v and VᵀV = 1 to a few roundings, for random matrices, for one with equal eigenvalues, and for those without work.
    #[test]
    fn eigenpairs_solve_their_equation() {
        let random = |n: usize| {
            let mut rng = Seed(7).stream("symmetric", n as u64);
            let g: Vec<f64> = (0..n * n).map(|_| rng.normal()).collect();
            (0..n * n).map(|at| g[at] + g[at % n * n + at / n]).collect::<Vec<f64>>()
        };
        let mut twins = vec![0.0; 16];
        [3.0, 3.0, 1.0, 0.0].iter().enumerate().for_each(|(i, v)| twins[5 * i] = *v);
        for (n, a) in [(1, vec![4.0]), (2, random(2)), (3, random(3)), (40, random(40)), (4, twins), (3, vec![0.0; 9]), (0, vec![])] {
            let (values, vectors) = symmetric(n, a.clone());
            assert!(values.is_sorted_by(|a, b| a >= b));
            for (i, value) in values.iter().enumerate() {
                let row = &vectors[i * n..(i + 1) * n];
                for r in 0..n {
                    let av: f64 = (0..n).map(|c| a[r * n + c] * row[c]).sum();
                    assert!((av - value * row[r]).abs() < 1e-12 * (1.0 + values[0].abs()), "n = {n}, pair {i}");
                }
                for j in 0..n {
                    let dot: f64 = row.iter().zip(&vectors[j * n..(j + 1) * n]).map(|(a, b)| a * b).sum();
                    assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
                }
            }
        }
    }
}
