//! Normalisations of tensors with channels last, fused with the activation that follows them.
//!
//! *Group* normalisation (Wu and He 2018, arXiv:1803.08494): mean and variance over all positions and the channels of one group. *Row*
//! normalisation: over the channels of one position, as layer normalisation (Ba et al. 2016, arXiv:1607.06450) or, without the mean, as
//! root-mean-square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467).
//!
//! Sums over positions run in f32 over short stretches and are added up in f64, so that a volume of 10⁷ positions keeps its digits.

use crate::curves::{Curve, Identity, with_curve};
use crate::elementwise::{Activation, Update};
use crate::lanes::{LANES, Lanes};
use crate::simd::{Simd, dispatch};

/// Added to every variance, as usual: a constant input stays finite.
pub const EPSILON: f32 = 1e-5;

/// Positions that are summed in f32 before f64 takes over.
const STRETCH: usize = 256;

/// A scale and a shift per channel, and the activation that follows.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// γ per channel.
    pub gain: &'a [f32],
    /// β per channel; empty: 0.
    pub shift: &'a [f32],
    /// f; `None`: the identity.
    pub activation: Option<Activation>,
}

/// What a row is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowNorm {
    /// Standard deviation around the mean, which is subtracted.
    Layer,
    /// Root mean square; nothing is subtracted.
    RootMeanSquare,
}

/// Runs `$body` with the type of an optional activation.
macro_rules! with_optional_curve {
    ($f:expr, $curve:ident => $body:expr) => {
        match $f {
            Some(f) => with_curve!(f, $curve => $body),
            None => { type $curve = Identity; $body }
        }
    };
}

impl Simd {
    /// y = f(γ (x - mean)/√(variance + 1e-5) + β) on x (positions, channels); mean and 1/√… of each group go to `statistics (groups, 2)`.
    /// `scratch` holds two floats per channel.
    ///
    /// # Panics
    /// If lengths don't fit, or the groups don't divide the channels.
    pub fn group_norm(self, x: &[f32], groups: usize, affine: Affine<'_>, y: &mut [f32], statistics: &mut [f32], scratch: &mut [f32]) {
        let channels = affine.gain.len();
        assert!(groups > 0 && channels.is_multiple_of(groups) && x.len().is_multiple_of(channels), "group_norm: shape");
        assert!(y.len() == x.len() && statistics.len() == 2 * groups && scratch.len() >= 2 * channels, "group_norm: lengths differ");
        assert!(affine.shift.is_empty() || affine.shift.len() == channels, "group_norm: one shift per channel");
        let affine = &affine;
        dispatch!(self, group_norm(x: &[f32], groups: usize, affine: &Affine<'_>, y: &mut [f32], statistics: &mut [f32], scratch: &mut [f32]));
    }

    /// Gradients of [`Simd::group_norm`]: `grad_x` is updated as told, those by γ and β are added to. `scratch` holds as many floats as x and
    /// four per channel.
    ///
    /// # Panics
    /// If lengths don't fit.
    pub fn group_norm_backward(
        self,
        x: &[f32],
        groups: usize,
        affine: Affine<'_>,
        statistics: &[f32],
        grad_y: &[f32],
        grad_x: Option<(&mut [f32], Update)>,
        grad_affine: Option<(&mut [f32], &mut [f32])>,
        scratch: &mut [f32],
    ) {
        let channels = affine.gain.len();
        assert!(groups > 0 && channels.is_multiple_of(groups) && x.len().is_multiple_of(channels), "group_norm_backward: shape");
        assert!(grad_y.len() == x.len() && statistics.len() == 2 * groups, "group_norm_backward: lengths differ");
        assert!(scratch.len() >= x.len() + 4 * channels, "group_norm_backward: scratch too short");
        assert!(grad_x.as_ref().is_none_or(|(g, _)| g.len() == x.len()), "group_norm_backward: lengths differ");
        assert!(
            grad_affine.as_ref().is_none_or(|(g, s)| g.len() == channels && s.len() == affine.shift.len()),
            "group_norm_backward: parameters"
        );
        let affine = &affine;
        dispatch!(self, group_norm_backward(
            x: &[f32], groups: usize, affine: &Affine<'_>, statistics: &[f32], grad_y: &[f32], grad_x: Option<(&mut [f32], Update)>,
            grad_affine: Option<(&mut [f32], &mut [f32])>, scratch: &mut [f32],
        ));
    }

    /// Normalises every row of x (positions, channels) and applies γ, β and f.
    ///
    /// # Panics
    /// If lengths don't fit.
    pub fn row_norm(self, kind: RowNorm, x: &[f32], affine: Affine<'_>, y: &mut [f32]) {
        assert!(x.len().is_multiple_of(affine.gain.len()) && y.len() == x.len(), "row_norm: lengths differ");
        assert!(affine.shift.is_empty() || affine.shift.len() == affine.gain.len(), "row_norm: one shift per channel");
        let affine = &affine;
        dispatch!(self, row_norm(kind: RowNorm, x: &[f32], affine: &Affine<'_>, y: &mut [f32]));
    }

    /// Gradients of [`Simd::row_norm`]. `scratch` holds three floats per channel.
    ///
    /// # Panics
    /// If lengths don't fit.
    pub fn row_norm_backward(
        self,
        kind: RowNorm,
        x: &[f32],
        affine: Affine<'_>,
        grad_y: &[f32],
        grad_x: Option<(&mut [f32], Update)>,
        grad_affine: Option<(&mut [f32], &mut [f32])>,
        scratch: &mut [f32],
    ) {
        let channels = affine.gain.len();
        assert!(
            x.len().is_multiple_of(channels) && grad_y.len() == x.len() && scratch.len() >= 3 * channels,
            "row_norm_backward: lengths differ"
        );
        assert!(grad_x.as_ref().is_none_or(|(g, _)| g.len() == x.len()), "row_norm_backward: lengths differ");
        assert!(
            grad_affine.as_ref().is_none_or(|(g, s)| g.len() == channels && s.len() == affine.shift.len()),
            "row_norm_backward: parameters"
        );
        let affine = &affine;
        dispatch!(self, row_norm_backward(
            kind: RowNorm, x: &[f32], affine: &Affine<'_>, grad_y: &[f32], grad_x: Option<(&mut [f32], Update)>,
            grad_affine: Option<(&mut [f32], &mut [f32])>, scratch: &mut [f32],
        ));
    }

    /// `sums[c] += Σ` of column c of x (positions, channels).
    ///
    /// # Panics
    /// If x is not made of whole rows.
    pub fn add_column_sums(self, x: &[f32], sums: &mut [f32]) {
        assert!(sums.is_empty() && x.is_empty() || x.len().is_multiple_of(sums.len()), "add_column_sums: whole rows");
        dispatch!(self, add_column_sums(x: &[f32], sums: &mut [f32]));
    }
}

/// Σ over positions of `term(position offset, channel offset, count)` for the up to sixteen channels from `c` on, in f64.
#[inline(always)]
unsafe fn column_sum<S: Lanes>(positions: usize, stride: usize, c: usize, count: usize, term: impl Fn(usize) -> S::V) -> [f64; LANES] {
    // SAFETY: `term` reads inside its slices; the buffer holds sixteen floats.
    unsafe {
        let mut total = [0.0f64; LANES];
        let mut first = 0;
        while first < positions {
            let end = (first + STRETCH).min(positions);
            let (mut a, mut b) = (S::splat(0.0), S::splat(0.0));
            let mut p = first;
            while p + 2 <= end {
                a = S::add(a, term(p * stride + c));
                b = S::add(b, term((p + 1) * stride + c));
                p += 2;
            }
            if p < end {
                a = S::add(a, term(p * stride + c));
            }
            let mut sums = [0.0f32; LANES];
            S::store(sums.as_mut_ptr(), S::add(a, b));
            for l in 0..count {
                total[l] += f64::from(sums[l]);
            }
            first = end;
        }
        total
    }
}

#[inline(always)]
unsafe fn load<S: Lanes>(x: &[f32], at: usize, count: usize) -> S::V {
    // SAFETY: the caller's range is inside x.
    unsafe { if count == LANES { S::load(x.as_ptr().add(at)) } else { S::load_first(x.as_ptr().add(at), count) } }
}

#[inline(always)]
unsafe fn store<S: Lanes>(x: &mut [f32], at: usize, v: S::V, count: usize) {
    // SAFETY: the caller's range is inside x.
    unsafe { if count == LANES { S::store(x.as_mut_ptr().add(at), v) } else { S::store_first(x.as_mut_ptr().add(at), v, count) } }
}

#[inline(always)]
unsafe fn group_norm<S: Lanes>(x: &[f32], groups: usize, affine: &Affine<'_>, y: &mut [f32], statistics: &mut [f32], scratch: &mut [f32]) {
    // SAFETY: all offsets stay inside the checked slices.
    unsafe {
        let channels = affine.gain.len();
        let (positions, width) = (x.len() / channels, channels / groups);
        let scale = 1.0 / (positions * width) as f64;
        let (a, b) = scratch[..2 * channels].split_at_mut(channels);
        // Means, then variances around them, each first per channel and then per group.
        for pass in 0..2 {
            let mut group_sum = 0.0;
            for c in (0..channels).step_by(LANES) {
                let count = (channels - c).min(LANES);
                let mean = load::<S>(a, c, count);
                let sums = column_sum::<S>(
                    positions,
                    channels,
                    c,
                    count,
                    #[inline(always)]
                    |at| {
                        let v = load::<S>(x, at, count);
                        if pass == 0 {
                            v
                        } else {
                            let d = S::sub(v, mean);
                            S::mul(d, d)
                        }
                    },
                );
                for l in 0..count {
                    group_sum += sums[l];
                    if (c + l + 1).is_multiple_of(width) {
                        let g = (c + l) / width;
                        let value = group_sum * scale;
                        statistics[2 * g + pass] =
                            if pass == 0 { value as f32 } else { (1.0 / (value + f64::from(EPSILON)).sqrt()) as f32 };
                        group_sum = 0.0;
                    }
                }
            }
            for c in 0..channels {
                let (mean, inverse) = (statistics[2 * (c / width)], statistics[2 * (c / width) + 1]);
                if pass == 0 {
                    a[c] = mean;
                } else {
                    a[c] = affine.gain[c] * inverse;
                    b[c] = affine.shift.get(c).copied().unwrap_or(0.0) - mean * a[c];
                }
            }
        }
        with_optional_curve!(affine.activation, C => {
            for c in (0..channels).step_by(LANES) {
                let count = (channels - c).min(LANES);
                let (a, b) = (load::<S>(a, c, count), load::<S>(b, c, count));
                for p in 0..positions {
                    let at = p * channels + c;
                    store::<S>(y, at, C::value::<S>(S::fma(load::<S>(x, at, count), a, b)), count);
                }
            }
        });
    }
}

/// With x̂ the normalised input, u = γ x̂ + β and g = f'(u) ∂L/∂y: ∂β = Σ g, ∂γ = Σ g x̂ over positions, and
/// dx = (γ g - mean(γ g) - x̂ mean(γ g x̂))/σ with means over the group.
#[inline(always)]
unsafe fn group_norm_backward<S: Lanes>(
    x: &[f32],
    groups: usize,
    affine: &Affine<'_>,
    statistics: &[f32],
    grad_y: &[f32],
    grad_x: Option<(&mut [f32], Update)>,
    grad_affine: Option<(&mut [f32], &mut [f32])>,
    scratch: &mut [f32],
) {
    // SAFETY: all offsets stay inside the checked slices.
    unsafe {
        let channels = affine.gain.len();
        let (positions, width) = (x.len() / channels, channels / groups);
        let scale = 1.0 / (positions * width) as f64;
        let (g, rest) = scratch.split_at_mut(x.len());
        let (level, rest) = rest.split_at_mut(channels);
        let (tilt, rest) = rest.split_at_mut(channels);
        let (of_x, constant) = rest.split_at_mut(channels);
        let per_channel = |c: usize| (statistics[2 * (c / width)], statistics[2 * (c / width) + 1]);
        for c in 0..channels {
            let (mean, inverse) = per_channel(c);
            of_x[c] = affine.gain[c] * inverse;
            constant[c] = affine.shift.get(c).copied().unwrap_or(0.0) - mean * of_x[c];
        }
        with_optional_curve!(affine.activation, C => {
            for c in (0..channels).step_by(LANES) {
                let count = (channels - c).min(LANES);
                let (a, b) = (load::<S>(of_x, c, count), load::<S>(constant, c, count));
                for p in 0..positions {
                    let at = p * channels + c;
                    let u = S::fma(load::<S>(x, at, count), a, b);
                    store::<S>(g, at, S::mul(load::<S>(grad_y, at, count), C::slope::<S>(u)), count);
                }
            }
        });
        for c in (0..channels).step_by(LANES) {
            let count = (channels - c).min(LANES);
            let mut mean = [0.0f32; LANES];
            (0..count).for_each(|l| mean[l] = per_channel(c + l).0);
            let mean = S::load(mean.as_ptr());
            let sums = column_sum::<S>(
                positions,
                channels,
                c,
                count,
                #[inline(always)]
                |at| load::<S>(g, at, count),
            );
            let products = column_sum::<S>(
                positions,
                channels,
                c,
                count,
                #[inline(always)]
                |at| S::mul(load::<S>(g, at, count), S::sub(load::<S>(x, at, count), mean)),
            );
            for l in 0..count {
                level[c + l] = sums[l] as f32;
                tilt[c + l] = products[l] as f32 * per_channel(c + l).1;
            }
        }
        if let Some((by_gain, by_shift)) = grad_affine {
            by_gain.iter_mut().zip(&*tilt).for_each(|(d, s)| *d += s);
            by_shift.iter_mut().zip(&*level).for_each(|(d, s)| *d += s);
        }
        let Some((grad_x, update)) = grad_x else { return };
        for group in 0..groups {
            let members = group * width..(group + 1) * width;
            let weighted = |part: &[f32]| members.clone().map(|c| f64::from(affine.gain[c]) * f64::from(part[c])).sum::<f64>() * scale;
            let (mean_level, mean_tilt) = (weighted(level), weighted(tilt));
            let (mean, inverse) = (f64::from(statistics[2 * group]), f64::from(statistics[2 * group + 1]));
            let slope = -inverse * inverse * mean_tilt;
            for c in members {
                level[c] = affine.gain[c] * inverse as f32;
                of_x[c] = slope as f32;
                constant[c] = (-inverse * mean_level - slope * mean) as f32;
            }
        }
        for c in (0..channels).step_by(LANES) {
            let count = (channels - c).min(LANES);
            let (of_g, of_x, constant) = (load::<S>(level, c, count), load::<S>(of_x, c, count), load::<S>(constant, c, count));
            for p in 0..positions {
                let at = p * channels + c;
                let mut dx = S::fma(load::<S>(g, at, count), of_g, S::fma(load::<S>(x, at, count), of_x, constant));
                if update == Update::Accumulate {
                    dx = S::add(dx, load::<S>(grad_x, at, count));
                }
                store::<S>(grad_x, at, dx, count);
            }
        }
    }
}

/// Mean (0 for the root mean square) and 1/√(mean square around it + 1e-5) of one row.
#[inline(always)]
unsafe fn row_statistics<S: Lanes>(kind: RowNorm, row: &[f32]) -> (f32, f32) {
    // SAFETY: all offsets stay inside the row.
    unsafe {
        let (n, scale) = (row.len(), 1.0 / row.len() as f32);
        let mean = match kind {
            RowNorm::RootMeanSquare => 0.0,
            RowNorm::Layer => {
                let mut sum = S::splat(0.0);
                for c in (0..n).step_by(LANES) {
                    sum = S::add(sum, load::<S>(row, c, (n - c).min(LANES)));
                }
                S::sum(sum) * scale
            }
        };
        let mut sum = S::splat(0.0);
        for c in (0..n).step_by(LANES) {
            let count = (n - c).min(LANES);
            // Lanes beyond the row hold the mean, so that they add nothing.
            let d = if count == LANES {
                S::sub(load::<S>(row, c, count), S::splat(mean))
            } else {
                let mut lanes = [mean; LANES];
                lanes[..count].copy_from_slice(&row[c..]);
                S::sub(S::load(lanes.as_ptr()), S::splat(mean))
            };
            sum = S::fma(d, d, sum);
        }
        (mean, 1.0 / (S::sum(sum) * scale + EPSILON).sqrt())
    }
}

#[inline(always)]
unsafe fn row_norm<S: Lanes>(kind: RowNorm, x: &[f32], affine: &Affine<'_>, y: &mut [f32]) {
    // SAFETY: all offsets stay inside the checked slices.
    unsafe {
        let n = affine.gain.len();
        with_optional_curve!(affine.activation, C => {
            for (row, out) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
                let (mean, inverse) = row_statistics::<S>(kind, row);
                let (mean, inverse) = (S::splat(mean), S::splat(inverse));
                for c in (0..n).step_by(LANES) {
                    let count = (n - c).min(LANES);
                    let shift = if affine.shift.is_empty() { S::splat(0.0) } else { load::<S>(affine.shift, c, count) };
                    let normal = S::mul(S::sub(load::<S>(row, c, count), mean), inverse);
                    store::<S>(out, c, C::value::<S>(S::fma(normal, load::<S>(affine.gain, c, count), shift)), count);
                }
            }
        });
    }
}

/// As for groups, with means over the channels of one row; without the mean of γ g for the root mean square.
#[inline(always)]
unsafe fn row_norm_backward<S: Lanes>(
    kind: RowNorm,
    x: &[f32],
    affine: &Affine<'_>,
    grad_y: &[f32],
    mut grad_x: Option<(&mut [f32], Update)>,
    grad_affine: Option<(&mut [f32], &mut [f32])>,
    scratch: &mut [f32],
) {
    // SAFETY: all offsets stay inside the checked slices.
    unsafe {
        let n = affine.gain.len();
        let scale = 1.0 / n as f32;
        let (by_gain, rest) = scratch.split_at_mut(n);
        let (by_shift, rest) = rest.split_at_mut(n);
        let g = &mut rest[..n];
        by_gain.fill(0.0);
        by_shift.fill(0.0);
        with_optional_curve!(affine.activation, C => {
            for (r, (row, grad)) in x.chunks_exact(n).zip(grad_y.chunks_exact(n)).enumerate() {
                let (mean, inverse) = row_statistics::<S>(kind, row);
                let (mean, inverse) = (S::splat(mean), S::splat(inverse));
                let (mut level, mut tilt) = (S::splat(0.0), S::splat(0.0));
                for c in (0..n).step_by(LANES) {
                    let count = (n - c).min(LANES);
                    let shift = if affine.shift.is_empty() { S::splat(0.0) } else { load::<S>(affine.shift, c, count) };
                    let gain = load::<S>(affine.gain, c, count);
                    let normal = S::mul(S::sub(load::<S>(row, c, count), mean), inverse);
                    let d = S::mul(load::<S>(grad, c, count), C::slope::<S>(S::fma(normal, gain, shift)));
                    store::<S>(by_gain, c, S::fma(d, normal, load::<S>(by_gain, c, count)), count);
                    store::<S>(by_shift, c, S::add(d, load::<S>(by_shift, c, count)), count);
                    // The loads of gains beyond the row are zero, so what is beyond it adds nothing.
                    let weighted = S::mul(d, gain);
                    level = S::add(level, weighted);
                    tilt = S::fma(weighted, normal, tilt);
                    store::<S>(g, c, weighted, count);
                }
                let Some((grad_x, update)) = &mut grad_x else { continue };
                let level = S::splat(if kind == RowNorm::Layer { S::sum(level) * scale } else { 0.0 });
                let tilt = S::splat(S::sum(tilt) * scale);
                for c in (0..n).step_by(LANES) {
                    let count = (n - c).min(LANES);
                    let normal = S::mul(S::sub(load::<S>(row, c, count), mean), inverse);
                    let mut dx = S::mul(inverse, S::sub(S::sub(load::<S>(g, c, count), level), S::mul(normal, tilt)));
                    if *update == Update::Accumulate {
                        dx = S::add(dx, load::<S>(grad_x, r * n + c, count));
                    }
                    store::<S>(grad_x, r * n + c, dx, count);
                }
            }
        });
        if let Some((gain, shift)) = grad_affine {
            gain.iter_mut().zip(&*by_gain).for_each(|(d, s)| *d += s);
            shift.iter_mut().zip(&*by_shift).for_each(|(d, s)| *d += s);
        }
    }
}

#[inline(always)]
unsafe fn add_column_sums<S: Lanes>(x: &[f32], sums: &mut [f32]) {
    // SAFETY: all offsets stay inside the checked slices.
    unsafe {
        let channels = sums.len();
        for c in (0..channels).step_by(LANES) {
            let count = (channels - c).min(LANES);
            let total = column_sum::<S>(
                x.len() / channels,
                channels,
                c,
                count,
                #[inline(always)]
                |at| load::<S>(x, at, count),
            );
            for l in 0..count {
                sums[c + l] += total[l] as f32;
            }
        }
    }
}
