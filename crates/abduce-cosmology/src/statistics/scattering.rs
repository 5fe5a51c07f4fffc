//! Wavelet scattering: moments of a field filtered by wavelets, and of the moduli filtered again.
//!
//! The isotropic wavelets are those of Régaldo-Saint Blancard et al. (2023, arXiv:2310.15250), differences of the scaling functions of Starck et al.
//! and Lanusse: φ_k̂c(k) ∝ B₃(2k/k_c), the cubic B-spline, which is zero beyond k_c; ψ = φ_{2k_c} − φ_{k_c}.

use super::StatisticsError;
use crate::fft::{Complex, MeshFft};
use crate::mesh::Grid;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// How a field is scattered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScatteringOptions {
    /// J: octaves.
    pub octaves: usize,
    /// Q: wavelets per octave.
    pub per_octave: usize,
    /// k_c of the finest wavelet, in radians per cell.
    pub cut: f64,
    /// Powers p of the moduli.
    pub powers: Vec<f64>,
}

impl Default for ScatteringOptions {
    /// J = 3, Q = 2, k_c = π, p = 1/2, 1, 2: 22 numbers per power.
    fn default() -> Self {
        Self { octaves: 3, per_octave: 2, cut: std::f64::consts::PI, powers: vec![0.5, 1.0, 2.0] }
    }
}

/// Scattering coefficients; the power is the slowest index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scattering {
    /// S0 = ⟨|x|^p⟩.
    pub s0: Vec<f64>,
    /// S1_j = ⟨|x ∗ ψ_j|^p⟩, J Q of them per power.
    pub s1: Vec<f64>,
    /// S2_{j1 j2} = ⟨||x ∗ ψ_j1| ∗ ψ_j2|^p⟩ for j2 > j1, ordered by j1 and then j2.
    pub s2: Vec<f64>,
}

/// The transform of the scaling function: √2 π · (3/2) B₃(2k/k_c), from which φ(0) = k_c³/(32 √2 π).
pub fn scaling_function(k: f64, cut: f64) -> f64 {
    let x = 2.0 * k.abs() / cut;
    let cube = |x: f64| if x > 0.0 { x * x * x } else { 0.0 };
    // B₃ by truncated powers: [(2 − x)₊³ − 4 (1 − x)₊³]/6.
    std::f64::consts::SQRT_2 * std::f64::consts::PI * 1.5 * (cube(2.0 - x) - 4.0 * cube(1.0 - x)) / 6.0
}

/// The wavelet φ_{2k_c} − φ_{k_c}.
pub fn wavelet(k: f64, cut: f64) -> f64 {
    scaling_function(k, 2.0 * cut) - scaling_function(k, cut)
}

/// Scatters a field of N³ values, z fastest.
///
/// Filters whose support 2 k_c reaches beyond the Nyquist wave number are folded back, as sampling them in real space does.
///
/// # Errors
/// A field of another shape; no octaves or powers, or powers that are not positive; a cut beyond π.
pub fn scattering(
    field: &[f32],
    grid: Grid,
    options: &ScatteringOptions,
    fft: &MeshFft<f32>,
    threads: &Threads,
) -> Result<Scattering, StatisticsError> {
    grid.check("field", field.len())?;
    let count = options.octaves * options.per_octave;
    if count == 0 || count > 64 {
        return Err(StatisticsError::Argument {
            name: "octaves × per_octave",
            value: count as f64,
            reason: "1 to 64 wavelets are possible",
        });
    }
    if !(options.cut > 0.0 && options.cut <= std::f64::consts::PI + 1e-12) {
        return Err(StatisticsError::Argument { name: "cut", value: options.cut, reason: "it lies in (0, π]" });
    }
    if let Some(&value) = options.powers.iter().find(|&&p| !(p > 0.0 && p.is_finite())) {
        return Err(StatisticsError::Argument { name: "powers", value, reason: "powers are positive" });
    }
    let cuts: Vec<f64> = (0..count).map(|j| options.cut * libm::exp2(-(j as f64) / options.per_octave as f64)).collect();
    let mut work = vec![Complex::new(0.0f32, 0.0); grid.modes()];
    let mut modes = work.clone();
    fft.forward(field, &mut modes, threads)?;
    let powers = options.powers.len();
    let (mut s1, mut s2) = (vec![Vec::new(); powers], vec![Vec::new(); powers]);
    let s0 = options.powers.iter().map(|&p| mean_power(field, p, threads)).collect();
    let mut filtered = vec![0.0f32; grid.values()];
    let mut first = work.clone();
    for j1 in 0..count {
        apply(&modes, &mut work, grid, cuts[j1], threads);
        fft.inverse(&mut work, &mut filtered, threads)?;
        for (s1, &p) in s1.iter_mut().zip(&options.powers) {
            s1.push(mean_power(&filtered, p, threads));
        }
        if j1 + 1 == count {
            break;
        }
        filtered.iter_mut().for_each(|value| *value = value.abs());
        fft.forward(&filtered, &mut first, threads)?;
        for &cut in &cuts[j1 + 1..] {
            apply(&first, &mut work, grid, cut, threads);
            fft.inverse(&mut work, &mut filtered, threads)?;
            for (s2, &p) in s2.iter_mut().zip(&options.powers) {
                s2.push(mean_power(&filtered, p, threads));
            }
        }
    }
    Ok(Scattering { s0, s1: s1.concat(), s2: s2.concat() })
}

/// ⟨|x|^p⟩, in fixed pieces.
fn mean_power(field: &[f32], p: f64, threads: &Threads) -> f64 {
    let mut parts: Vec<(&[f32], f64)> = field.chunks(1 << 14).map(|part| (part, 0.0)).collect();
    threads.for_each(&mut parts, |_, (part, sum)| {
        let power = |x: f64| {
            if p == 1.0 {
                x
            } else if p == 2.0 {
                x * x
            } else if p == 0.5 {
                x.sqrt()
            } else {
                libm::pow(x, p)
            }
        };
        *sum = part.iter().map(|&x| power(f64::from(x.abs()))).sum();
    });
    parts.iter().map(|(_, sum)| sum).sum::<f64>() / field.len() as f64
}

fn apply(modes: &[Complex<f32>], out: &mut [Complex<f32>], grid: Grid, cut: f64, threads: &Threads) {
    let n = grid.cells();
    let half = n / 2 + 1;
    let unit = std::f64::consts::TAU / n as f64;
    let folds = 2.0 * cut > std::f64::consts::PI;
    // Images k + 2π m along one axis that can lie within 2 k_c ≤ 2π.
    let images = |i: usize| {
        let w = unit * grid.wave(i) as f64;
        [w, w - std::f64::consts::TAU.copysign(if w == 0.0 { 1.0 } else { w })]
    };
    let mut planes: Vec<_> = out.chunks_mut(n * half).zip(modes.chunks(n * half)).collect();
    threads.for_each(&mut planes, |x, (out, modes)| {
        let wx = images(x);
        for y in 0..n {
            let wy = images(y);
            for z in 0..half {
                let wz = images(z);
                let at = y * half + z;
                let length = |a: f64, b: f64, c: f64| (a * a + b * b + c * c).sqrt();
                let mut filter = wavelet(length(wx[0], wy[0], wz[0]), cut);
                if folds {
                    for image in 1..8 {
                        let pick = |w: [f64; 2], bit: usize| w[image >> bit & 1];
                        filter += wavelet(length(pick(wx, 0), pick(wy, 1), pick(wz, 2)), cut);
                    }
                }
                out[at] = modes[at].scale(filter as f32);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// φ in real space as it is published, transformed by quadrature.
    #[test]
    fn the_scaling_function_is_the_transform_of_the_published_one() {
        let cut = 1.3f64;
        let phi = |r: f64| {
            let u = 0.25 * cut * r;
            let bracket = cut * r * u.cos() - 4.0 * u.sin();
            -768.0 / (8.0 * std::f64::consts::SQRT_2 * std::f64::consts::PI) * bracket * u.sin().powi(3) / (cut.powi(3) * r.powi(6))
        };
        for k in [0.05, 0.4, 0.9, 1.2, 1.6] {
            // φ falls as r⁻⁵: beyond 400 the integrand r φ is 1e-10 of the whole.
            let (n, h) = (400_000, 1e-3);
            let sum: f64 = (1..n).map(|i| f64::from(i) * h).map(|r| r * phi(r) * (k * r).sin()).sum();
            let transform = 4.0 * std::f64::consts::PI / k * sum * h;
            assert!((transform - scaling_function(k, cut)).abs() < 1e-5, "{k}: {transform} {}", scaling_function(k, cut));
        }
        assert_eq!(wavelet(0.0, cut), 0.0);
        assert_eq!(wavelet(2.0 * cut, cut), 0.0);
    }

    /// First-order coefficients with p = 2 are sums of power under the filter (Parseval); a plane wave's second order vanishes but for that.
    #[test]
    fn second_moments_are_sums_of_power() {
        let grid = Grid::new(24, 100.0).unwrap();
        let fft = MeshFft::new([24; 3]).unwrap();
        let mut rng = Seed(2).stream("field", 0);
        let field: Vec<f32> = (0..grid.values()).map(|_| rng.normal() as f32).collect();
        let threads = Threads::new(2);
        let options = ScatteringOptions { cut: 1.5, ..ScatteringOptions::default() };
        let found = scattering(&field, grid, &options, &fft, &threads).unwrap();
        assert_eq!(found, scattering(&field, grid, &options, &fft, &Threads::single()).unwrap());
        assert_eq!((found.s0.len(), found.s1.len(), found.s2.len()), (3, 18, 45));
        let mut modes = vec![Complex::new(0.0f32, 0.0); grid.modes()];
        fft.forward(&field, &mut modes, &threads).unwrap();
        for j in 0..6 {
            let cut = 1.5 * 2f64.powf(-(j as f64) / 2.0);
            let mut sum = 0.0;
            for (at, mode) in modes.iter().enumerate() {
                let i = [at / (24 * 13), at / 13 % 24, at % 13];
                let k = i.map(|i| std::f64::consts::TAU * grid.wave(i) as f64 / 24.0);
                let weight = if i[2] == 0 || i[2] == 12 { 1.0 } else { 2.0 };
                let filter = wavelet(k.iter().map(|k| k * k).sum::<f64>().sqrt(), cut);
                sum += weight * f64::from(mode.norm_sqr()) * filter * filter;
            }
            let n3 = grid.values() as f64;
            let expected = sum / (n3 * n3);
            // f32 transforms: 1e-6 of the field's own variance.
            assert!((found.s1[12 + j] / expected - 1.0).abs() < 1e-4, "{j}: {} {expected}", found.s1[12 + j]);
        }
    }
}
