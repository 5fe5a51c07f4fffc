//! Power spectra, their multipoles about a line of sight, and how two fields relate.

use super::{Modes, StatisticsError};
use crate::fft::Complex;
use crate::mesh::Grid;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// Bins of |k|, in units of the fundamental wave number k_F: bin b covers [first + b width, first + (b + 1) width).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Binning {
    /// Lower edge of the first bin, in k_F.
    pub first: f64,
    /// Width, in k_F.
    pub width: f64,
}

impl Default for Binning {
    /// One k_F wide, from k_F.
    fn default() -> Self {
        Self { first: 1.0, width: 1.0 }
    }
}

impl Binning {
    /// Bins of fixed edges in h/Mpc.
    pub fn in_h_per_mpc(first: f64, width: f64, grid: Grid) -> Self {
        let fundamental = grid.fundamental_h_per_mpc();
        Self { first: first / fundamental, width: width / fundamental }
    }
}

/// How modes that are their own complex conjugate, those whose components are all 0 or N/2, are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfConjugate {
    /// As half of a pair k, −k like any other mode: every point of the mesh in k-space counts the same.
    #[default]
    Half,
    /// As a full pair, as Pylians does: for comparisons.
    Full,
}

/// How a power spectrum is measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerOptions {
    /// Bins.
    pub binning: Binning,
    /// The axis of the line of sight, 0..3.
    pub line_of_sight: usize,
    /// Counting of self-conjugate modes.
    pub self_conjugate: SelfConjugate,
}

impl PowerOptions {
    /// Along the third axis, with the default bins.
    pub const fn along_z() -> Self {
        Self { binning: Binning { first: 1.0, width: 1.0 }, line_of_sight: 2, self_conjugate: SelfConjugate::Half }
    }
}

/// Multipoles of the power spectrum by bin; empty bins are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerSpectrum {
    /// Mean |k| of the modes of each bin [h/Mpc].
    pub k_h_per_mpc: Vec<f64>,
    /// Independent modes per bin: pairs k, −k.
    pub modes: Vec<f64>,
    /// Monopole, shot noise included [(Mpc/h)³].
    pub p0: Vec<f64>,
    /// Quadrupole.
    pub p2: Vec<f64>,
    /// Hexadecapole.
    pub p4: Vec<f64>,
    /// The shot noise that the monopole includes [(Mpc/h)³].
    pub shot_noise: f64,
}

impl PowerSpectrum {
    /// The monopole without shot noise [(Mpc/h)³].
    pub fn p0_without_shot_noise(&self) -> Vec<f64> {
        self.p0.iter().map(|p| p - self.shot_noise).collect()
    }

    /// The bins with mean k below `k_max` [h/Mpc].
    pub fn below(&self, k_max_h_per_mpc: f64) -> Self {
        let count = self.k_h_per_mpc.iter().take_while(|&&k| k < k_max_h_per_mpc).count();
        let cut = |column: &[f64]| column[..count].to_vec();
        Self {
            k_h_per_mpc: cut(&self.k_h_per_mpc),
            modes: cut(&self.modes),
            p0: cut(&self.p0),
            p2: cut(&self.p2),
            p4: cut(&self.p4),
            shot_noise: self.shot_noise,
        }
    }
}

/// Two fields against each other, by bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossPower {
    /// The cross spectrum P_ab = ⟨Re δ_a δ_b*⟩ and its multipoles.
    pub cross: PowerSpectrum,
    /// Monopole of the first field.
    pub left: Vec<f64>,
    /// Monopole of the second field.
    pub right: Vec<f64>,
}

impl CrossPower {
    /// Transfer function T = √(P_a/P_b).
    pub fn transfer(&self) -> Vec<f64> {
        self.left.iter().zip(&self.right).map(|(a, b)| (a / b).sqrt()).collect()
    }

    /// Correlation coefficient r = P_ab/√(P_a P_b).
    pub fn correlation(&self) -> Vec<f64> {
        self.cross.p0.iter().zip(self.left.iter().zip(&self.right)).map(|(ab, (a, b))| ab / (a * b).sqrt()).collect()
    }
}

/// Multipoles of the power spectrum,
///
/// P_l(k) = (2l + 1)/N_k Σ |δ_k|² L_l(μ) L³/N⁶ / W²,   μ = k_los/|k|,   l = 0, 2, 4,
///
/// over both k and −k; the mode 0 is left out (Feldman, Kaiser & Peacock 1994, astro-ph/9304022; Yamamoto et al. 2006, astro-ph/0505115).
/// Bins reach into the corners of k-space, where only some directions are left: use [`PowerSpectrum::below`].
///
/// # Errors
/// Bins that are not positive, or a line of sight that is no axis.
pub fn power_spectrum(modes: &Modes, options: &PowerOptions, threads: &Threads) -> Result<PowerSpectrum, StatisticsError> {
    Ok(measure(modes, modes, options, threads)?.spectrum(modes.shot_noise))
}

/// The cross spectrum of two fields on one mesh with both of their own: transfer function and correlation coefficient follow.
///
/// Shot noise is in all of them where both fields come from the same points.
///
/// # Errors
/// The fields lie on different meshes; else as [`power_spectrum`].
pub fn cross_power(left: &Modes, right: &Modes, options: &PowerOptions, threads: &Threads) -> Result<CrossPower, StatisticsError> {
    if left.grid != right.grid {
        return Err(StatisticsError::Grids { left: left.grid, right: right.grid });
    }
    Ok(CrossPower {
        cross: measure(left, right, options, threads)?.spectrum(0.0),
        left: power_spectrum(left, options, threads)?.p0,
        right: power_spectrum(right, options, threads)?.p0,
    })
}

/// Sums over the modes of a bin: weight, |n|, power and power times μ², μ⁴.
type Sums = [f64; 5];

struct Measured {
    sums: Vec<Sums>,
    grid: Grid,
}

impl Measured {
    fn spectrum(&self, shot_noise: f64) -> PowerSpectrum {
        let grid = self.grid;
        let (l, n) = (grid.box_size_mpc_h(), grid.cells() as f64);
        let unit = l.powi(3) / n.powi(6);
        let mut out = PowerSpectrum { k_h_per_mpc: vec![], modes: vec![], p0: vec![], p2: vec![], p4: vec![], shot_noise };
        for &[weight, wave, power, mu2, mu4] in self.sums.iter().filter(|sums| sums[0] > 0.0) {
            out.k_h_per_mpc.push(wave / weight * grid.fundamental_h_per_mpc());
            // A stored mode of weight 2 stands for a pair.
            out.modes.push(0.5 * weight);
            let scale = unit / weight;
            out.p0.push(power * scale);
            out.p2.push(5.0 * (1.5 * mu2 - 0.5 * power) * scale);
            out.p4.push(9.0 * (4.375 * mu4 - 3.75 * mu2 + 0.375 * power) * scale);
        }
        out
    }
}

/// Planes per item of work are such that there are at most this many items, each with sums of its own.
const ITEMS: usize = 64;

fn measure(left: &Modes, right: &Modes, options: &PowerOptions, threads: &Threads) -> Result<Measured, StatisticsError> {
    let grid = left.grid;
    let n = grid.cells();
    let half = n / 2 + 1;
    let Binning { first, width } = options.binning;
    if !(first > 0.0 && width > 0.0 && first.is_finite() && width.is_finite()) {
        return Err(StatisticsError::Binning { first, width });
    }
    if options.line_of_sight > 2 {
        let value = options.line_of_sight as f64;
        return Err(StatisticsError::Argument { name: "line_of_sight", value, reason: "an axis is 0, 1 or 2" });
    }
    let most = 3 * (n / 2) * (n / 2);
    // The bin of every possible n²; the last bin collects what is asked for by nobody.
    let mut bins = 0;
    let mut bin_of: Vec<u32> = (0..=most)
        .map(|n2| {
            let at = ((n2 as f64).sqrt() - first) / width;
            if at < 0.0 || n2 == 0 {
                return u32::MAX;
            }
            bins = bins.max(at as usize + 1);
            at as u32
        })
        .collect();
    bin_of.iter_mut().filter(|bin| **bin == u32::MAX).for_each(|bin| *bin = bins as u32);

    let windows = (left.inverse_window(), right.inverse_window());
    let window: Vec<f64> = windows.0.iter().zip(&windows.1).map(|(a, b)| a * b).collect();
    let squares: Vec<usize> = (0..n).map(|i| grid.wave(i).unsigned_abs().pow(2) as usize).collect();
    let is_edge = |i: usize| i == 0 || (n.is_multiple_of(2) && i == n / 2);
    let per_item = n.div_ceil(ITEMS);
    let mut items: Vec<Vec<Sums>> = vec![vec![[0.0; 5]; bins + 1]; n.div_ceil(per_item)];
    threads.for_each(&mut items, |item, sums| {
        for x in item * per_item..((item + 1) * per_item).min(n) {
            for y in 0..n {
                let row = (x * n + y) * half..(x * n + y + 1) * half;
                let (a, b) = (&left.values[row.clone()], &right.values[row]);
                let (xy2, wxy) = (squares[x] + squares[y], window[x] * window[y]);
                for z in 0..half {
                    let weight = if is_edge(z) {
                        let own = options.self_conjugate == SelfConjugate::Full && is_edge(x) && is_edge(y);
                        if own { 2.0 } else { 1.0 }
                    } else {
                        2.0
                    };
                    let n2 = xy2 + squares[z];
                    let along = [squares[x], squares[y], squares[z]][options.line_of_sight];
                    add(&mut sums[bin_of[n2] as usize], a[z], b[z], weight, wxy * window[z], n2 as f64, along as f64);
                }
            }
        }
    });
    // Item by item, in order.
    let mut total = vec![[0.0; 5]; bins];
    for sums in &items {
        for (total, sums) in total.iter_mut().zip(sums) {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
    }
    Ok(Measured { sums: total, grid })
}

#[inline(always)]
fn add(sums: &mut Sums, a: Complex<f32>, b: Complex<f32>, weight: f64, window: f64, n2: f64, along: f64) {
    let product = f64::from(a.re) * f64::from(b.re) + f64::from(a.im) * f64::from(b.im);
    let power = weight * window * product;
    // n² = 0 is the mode 0, whose bin nobody reads: its NaN stays there.
    let mu2 = along / n2;
    sums[0] += weight;
    sums[1] += weight * n2.sqrt();
    sums[2] += power;
    sums[3] += power * mu2;
    sums[4] += power * mu2 * mu2;
}
