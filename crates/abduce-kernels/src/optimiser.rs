//! Single loops over a flat parameter vector: gradient reduction, norms, Adam.

use crate::lanes::{LANES, Lanes};
use crate::simd::{Simd, dispatch};

/// Constants of one Adam step (Kingma and Ba 2014, arXiv:1412.6980, Algorithm 1), with decoupled weight decay
/// (Loshchilov and Hutter 2017, arXiv:1711.05101).
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// 1/(1 - β₁ᵗ).
    pub correction1: f32,
    /// 1/(1 - β₂ᵗ).
    pub correction2: f32,
    /// Factor on the gradient, from norm clipping.
    pub gradient_scale: f32,
    /// θ shrinks by `learning_rate · weight_decay · θ`.
    pub weight_decay: f32,
}

impl Simd {
    /// One Adam step on equally long slices; `m` and `v` are the running moments.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn adam(self, step: &AdamStep, theta: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) {
        let n = theta.len();
        assert!(gradient.len() == n && m.len() == n && v.len() == n, "adam: lengths differ");
        dispatch!(self, adam(step: &AdamStep, theta: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]));
    }

    /// `total[i] = Σ_s parts[s][start + i]`, times `mask[i]` where one is given; sums in the order of `parts`. Returns Σ total².
    ///
    /// # Panics
    /// If a part or the mask ends before the range.
    pub fn reduce(self, parts: &[&[f32]], start: usize, mask: Option<&[f32]>, total: &mut [f32]) -> f64 {
        let end = start + total.len();
        assert!(parts.iter().all(|p| p.len() >= end) && mask.is_none_or(|m| m.len() >= total.len()), "reduce: part too short");
        let mask = mask.unwrap_or(&[]);
        dispatch!(self, reduce(parts: &[&[f32]], start: usize, mask: &[f32], total: &mut [f32]) -> f64)
    }
}

#[inline(always)]
unsafe fn adam<S: Lanes>(step: &AdamStep, theta: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) {
    // SAFETY: lengths are equal; the last vector is partial.
    unsafe {
        let (one_minus_b1, one_minus_b2) = (S::splat(1.0 - step.beta1), S::splat(1.0 - step.beta2));
        let keep = S::splat(1.0 - step.learning_rate * step.weight_decay);
        let n = theta.len();
        let mut i = 0;
        while i < n {
            let count = (n - i).min(LANES);
            let g = S::mul(S::load_first(gradient.as_ptr().add(i), count), S::splat(step.gradient_scale));
            let m_new = S::fma(one_minus_b1, g, S::mul(S::splat(step.beta1), S::load_first(m.as_ptr().add(i), count)));
            let v_new = S::fma(S::mul(one_minus_b2, g), g, S::mul(S::splat(step.beta2), S::load_first(v.as_ptr().add(i), count)));
            let root = S::add(S::sqrt(S::mul(v_new, S::splat(step.correction2))), S::splat(step.epsilon));
            let update = S::div(S::mul(m_new, S::splat(step.learning_rate * step.correction1)), root);
            let next = S::sub(S::mul(S::load_first(theta.as_ptr().add(i), count), keep), update);
            S::store_first(m.as_mut_ptr().add(i), m_new, count);
            S::store_first(v.as_mut_ptr().add(i), v_new, count);
            S::store_first(theta.as_mut_ptr().add(i), next, count);
            i += LANES;
        }
    }
}

#[inline(always)]
unsafe fn reduce<S: Lanes>(parts: &[&[f32]], start: usize, mask: &[f32], total: &mut [f32]) -> f64 {
    // SAFETY: every part and the mask cover the range; the last vector is partial.
    unsafe {
        let mut squares = 0.0;
        let n = total.len();
        // f32 partial sums over blocks of 4096, added up in f64.
        for block in (0..n).step_by(4096) {
            let mut sum = S::splat(0.0);
            for i in (block..(block + 4096).min(n)).step_by(LANES) {
                let count = (n - i).min(LANES);
                let mut g = S::splat(0.0);
                for part in parts {
                    g = S::add(g, S::load_first(part.as_ptr().add(start + i), count));
                }
                if !mask.is_empty() {
                    g = S::mul(g, S::load_first(mask.as_ptr().add(i), count));
                }
                S::store_first(total.as_mut_ptr().add(i), g, count);
                sum = S::fma(g, g, sum);
            }
            squares += f64::from(S::sum(sum));
        }
        squares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_follows_its_formula() {
        let n = 37;
        let value = |i: usize, k: f64| ((i as f64 + 1.0) * k).sin();
        let step = AdamStep {
            learning_rate: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            correction1: 1.0 / (1.0 - 0.9f32.powi(3)),
            correction2: 1.0 / (1.0 - 0.999f32.powi(3)),
            gradient_scale: 0.5,
            weight_decay: 0.1,
        };
        for simd in Simd::all() {
            let column = |k: f64| (0..n).map(|i| value(i, k) as f32).collect::<Vec<_>>();
            let (mut theta, g, mut m) = (column(0.3), column(0.7), column(1.1));
            let mut v: Vec<f32> = column(1.7).iter().map(|x| x * x).collect();
            let before = (theta.clone(), m.clone(), v.clone());
            simd.adam(&step, &mut theta, &g, &mut m, &mut v);
            for i in 0..n {
                let gradient = 0.5 * f64::from(g[i]);
                let m1 = 0.9 * f64::from(before.1[i]) + 0.1 * gradient;
                let v1 = 0.999 * f64::from(before.2[i]) + 0.001 * gradient * gradient;
                let update = 1e-2 * m1 / (1.0 - 0.9f64.powi(3)) / ((v1 / (1.0 - 0.999f64.powi(3))).sqrt() + 1e-8);
                let want = f64::from(before.0[i]) * (1.0 - 1e-3) - update;
                // The second moment's 1 - β₂ = 1e-3 carries a relative f32 error of 6e-5.
                assert!((f64::from(theta[i]) - want).abs() < 1e-4 * update.abs() + 1e-6, "{simd}: {} {want}", theta[i]);
            }
        }
    }

    #[test]
    fn reduction_adds_parts_masks_them_and_returns_the_squared_norm() {
        let (a, b): (Vec<f32>, Vec<f32>) = ((0..50).map(|i| i as f32).collect(), (0..50).map(|i| 2.0 * i as f32).collect());
        let mask: Vec<f32> = (0..40).map(|i| (i % 2) as f32).collect();
        for simd in Simd::all() {
            let mut total = vec![0.0; 40];
            let squares = simd.reduce(&[&a, &b], 10, Some(&mask), &mut total);
            let want: Vec<f32> = (0..40).map(|i| 3.0 * (i + 10) as f32 * (i % 2) as f32).collect();
            assert_eq!(total, want);
            assert_eq!(squares, want.iter().map(|&x| f64::from(x * x)).sum::<f64>());
        }
    }
}
