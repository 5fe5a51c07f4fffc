//! Waves of a scalar: how a network sees time.

use crate::layer::{Backward, Forward, Layer};
use abduce_kernels::elementwise::Update;

/// t (one feature) → (sin ω_1 t, …, sin ω_K t, cos ω_1 t, …, cos ω_K t).
///
/// The arguments |ω t| must stay below 10⁴: beyond, single precision has lost the phase anyway.
#[derive(Clone, Debug)]
pub struct Sinusoid {
    /// ω_1, …, ω_K.
    pub frequencies: Vec<f32>,
}

impl Sinusoid {
    /// `count` frequencies in geometric progression from 1 to `highest`.
    pub fn geometric(count: usize, highest: f64) -> Self {
        let power = |k: usize| if count > 1 { k as f64 / (count - 1) as f64 } else { 0.0 };
        Self { frequencies: (0..count).map(|k| highest.powf(power(k)) as f32).collect() }
    }
}

/// (sin x, cos x) for |x| < 10⁴, absolute error below 3e-7 beyond that of the argument.
///
/// x = n π/2 + r with |r| ≤ π/4, Taylor's series of r, and the quadrant from the low bits of n, which adding 1.5·2²³ leaves in the
/// mantissa. π/2 is split into 201/128, whose multiples are exact, and a remainder.
#[inline(always)]
fn sin_cos(x: f32) -> (f32, f32) {
    const SHIFT: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::FRAC_2_PI + SHIFT;
    let (n, quadrant) = (shifted - SHIFT, shifted.to_bits() & 3);
    let r = (x - n * 1.570_312_5) - n * 4.838_268e-4;
    let r2 = r * r;
    let sin = r + r * r2 * (-1.0 / 6.0 + r2 * (1.0 / 120.0 + r2 * (-1.0 / 5040.0 + r2 * (1.0 / 362_880.0))));
    let cos = 1.0 + r2 * (-0.5 + r2 * (1.0 / 24.0 + r2 * (-1.0 / 720.0 + r2 * (1.0 / 40_320.0))));
    let (a, b) = if quadrant & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let signed = |v: f32, sign: u32| f32::from_bits(v.to_bits() ^ (sign << 30));
    (signed(a, quadrant & 2), signed(b, (quadrant + 1) & 2))
}

impl Layer for Sinusoid {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[0], 1);
        vec![2 * self.frequencies.len()]
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (t, lanes) = (at.inputs.get(0), at.lanes);
        let (sines, cosines) = at.outputs[0].split_at_mut(self.frequencies.len() * lanes);
        at.simd.vectorise(
            #[inline(always)]
            || {
                let rows = sines.chunks_exact_mut(lanes).zip(cosines.chunks_exact_mut(lanes));
                for (omega, (sine, cosine)) in self.frequencies.iter().zip(rows) {
                    for ((t, s), c) in t.iter().zip(sine).zip(cosine) {
                        (*s, *c) = sin_cos(omega * t);
                    }
                }
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        let (lanes, half) = (at.lanes, self.frequencies.len() * at.lanes);
        let ((sines, cosines), (by_sine, by_cosine)) = (at.outputs.get(0).split_at(half), at.grad_outputs.get(0).split_at(half));
        if slot.update == Update::Overwrite {
            slot.data.fill(0.0);
        }
        for (k, omega) in self.frequencies.iter().enumerate() {
            for (l, grad) in slot.data.iter_mut().enumerate() {
                let i = k * lanes + l;
                *grad += omega * (by_sine[i] * cosines[i] - by_cosine[i] * sines[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The argument of the reference is the same f32, so what remains is reduction (2e-8 per the split of π/2 at n = 6000: 2e-7) and
    /// the series (two roundings).
    #[test]
    fn waves_are_accurate_in_all_quadrants() {
        for i in -40_000..40_000 {
            let x = i as f32 * 0.024_31;
            let (sin, cos) = sin_cos(x);
            let want = f64::from(x).sin_cos();
            assert!((f64::from(sin) - want.0).abs() < 3e-7 && (f64::from(cos) - want.1).abs() < 3e-7, "{x}: {sin} {cos} {want:?}");
        }
    }

    #[test]
    fn frequencies_run_from_one_to_the_highest() {
        let layer = Sinusoid::geometric(3, 100.0);
        assert_eq!(layer.frequencies, [1.0, 10.0, 100.0]);
        assert_eq!(Sinusoid::geometric(1, 50.0).frequencies, [1.0]);
    }
}
