//! Gauss-Legendre nodes on (0, 1).

/// Most nodes of a [`Quadrature`].
const MAX_NODES: usize = 32;

/// ∫₀¹ g ≈ Σ_q w_q g(ξ_q), exact for polynomials of degree 2n - 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quadrature {
    count: usize,
    /// The lower half, the middle included; nodes lie symmetrically about ½.
    nodes: [f32; MAX_NODES / 2],
    weights: [f32; MAX_NODES / 2],
}

impl Quadrature {
    /// `count` nodes, 1 to 32: the zeros of the Legendre polynomial, by Newton's method.
    ///
    /// # Panics
    /// If `count` is out of range.
    pub fn gauss_legendre(count: usize) -> Self {
        assert!((1..=MAX_NODES).contains(&count), "quadrature: {count} nodes, expected 1 to {MAX_NODES}");
        let n = count as f64;
        let mut rule = Self { count, nodes: [0.0; MAX_NODES / 2], weights: [0.0; MAX_NODES / 2] };
        for q in 0..count.div_ceil(2) {
            let mut x = (std::f64::consts::PI * (q as f64 + 0.75) / (n + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..8 {
                let (mut before, mut own) = (1.0, x);
                for k in 1..count {
                    let k = k as f64;
                    (before, own) = (own, ((2.0 * k + 1.0) * x * own - k * before) / (k + 1.0));
                }
                slope = n * (before - x * own) / (1.0 - x * x);
                x -= own / slope;
            }
            rule.nodes[q] = (0.5 * (1.0 - x)) as f32;
            rule.weights[q] = (1.0 / ((1.0 - x * x) * slope * slope)) as f32;
        }
        rule
    }

    /// Number of nodes.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Node ξ_q and weight w_q.
    #[inline(always)]
    pub const fn node(&self, q: usize) -> (f32, f32) {
        let mirrored = self.count - 1 - q;
        if q <= mirrored { (self.nodes[q], self.weights[q]) } else { (1.0 - self.nodes[mirrored], self.weights[mirrored]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ∫₀¹ x^p = 1/(p + 1) for every p < 2n; nodes and weights are rounded to f32, which a power p amplifies p-fold.
    #[test]
    fn polynomials_are_integrated_exactly() {
        for count in 1..=MAX_NODES {
            let rule = Quadrature::gauss_legendre(count);
            for p in 0..2 * count as i32 {
                let sum: f64 = (0..count).map(|q| rule.node(q)).map(|(x, w)| f64::from(w) * f64::from(x).powi(p)).sum();
                let want = 1.0 / f64::from(p + 1);
                assert!((sum - want).abs() < 2e-7, "{count} nodes: x^{p} gives {sum} instead of {want}");
            }
            let p = 2 * count as i32;
            let sum: f64 = (0..count).map(|q| rule.node(q)).map(|(x, w)| f64::from(w) * f64::from(x).powi(p)).sum();
            // The first power that is missed, by (n!)⁴/((2n+1) (2n)!²): visible for few nodes.
            assert!(count > 4 || (sum - 1.0 / f64::from(p + 1)).abs() > 1e-6, "{count} nodes are exact beyond their degree");
        }
    }
}
