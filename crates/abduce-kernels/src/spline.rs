//! Monotonic rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032, Eqs. 4-8), sixteen rows at a time.
//!
//! On [-B, B] the map is a spline of K bins; outside it is the identity. Per row and feature the raw parameters are, in this
//! order, K widths, K heights and K-1 inner slopes:
//!
//! - widths: w = 2B (w_min + (1 - K w_min) softmax(scale · raw)), heights likewise,
//! - slopes: d = d_min + softplus(raw) inside, 1 at both ends, so that the tails join smoothly.
//!
//! With ξ = (x - x_k)/w_k, s = h_k/w_k, t = ξ(1-ξ), D = s + (d₁ + d₀ - 2s) t, M = d₁ξ² + 2st + d₀(1-ξ)²:
//!   y = y_k + h_k (s ξ² + d₀ t)/D,    dy/dx = s² M/D².
//!
//! On the circle ([`Ends::Periodic`]; Rezende et al. 2020, arXiv:2002.02428, section 2.1.2) the interval is one period: the slopes at both ends are one
//! and the same parameter, and a shift turns the point before the spline, so that no angle is special. There the raw parameters are
//! followed by the slope at ±B and by the shift.
//!
//! The backward pass recomputes the spline: cheaper than storing its thirty intermediate values per feature.

use crate::lanes::{LANES, Lanes};
use crate::math::{exp, ln, sigmoid, softplus};
use crate::simd::{Simd, dispatch};

/// Most bins that a spline may have (the knots of sixteen rows live on the stack).
pub const MAX_BINS: usize = 64;

/// What a spline does at ±B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Slope 1, and the identity outside.
    Identity,
    /// B and -B are the same point: a map of the circle of circumference 2B onto itself. Results lie in (-B, B), whatever multiple of 2B is added to
    /// the point.
    Periodic,
}

/// Shape and constants of a spline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spline {
    /// Number of bins K, 1..=[`MAX_BINS`].
    pub bins: usize,
    /// Half-width B of the interval.
    pub bound: f32,
    /// Smallest bin width as a fraction of the interval; K times it must stay below 1.
    pub min_width: f32,
    /// Smallest bin height as a fraction of the interval.
    pub min_height: f32,
    /// Smallest slope at a knot.
    pub min_slope: f32,
    /// Factor on the raw widths and heights before the softmax.
    pub scale: f32,
    /// What happens at the ends of the interval.
    pub ends: Ends,
}

impl Spline {
    /// Raw parameters per feature: 3K - 1, on the circle 3K + 1.
    pub const fn parameters(&self) -> usize {
        match self.ends {
            Ends::Identity => 3 * self.bins - 1,
            Ends::Periodic => 3 * self.bins + 1,
        }
    }

    fn check(&self, lanes: usize, raw: usize, others: &[usize]) {
        assert!((1..=MAX_BINS).contains(&self.bins), "spline: {} bins, at most {MAX_BINS}", self.bins);
        assert!(lanes.is_multiple_of(LANES), "spline: lanes must be a multiple of {LANES}");
        assert!(raw >= self.parameters() * lanes && others.iter().all(|&n| n >= lanes), "spline: slice too short");
    }
}

impl Simd {
    /// y = f(x) for one feature; `ladj += ln dy/dx`. `raw` is (parameters, lanes), the others (lanes).
    ///
    /// # Panics
    /// If a slice is too short, or lanes (the length of `x`) is not a multiple of 16.
    pub fn spline_forward(self, spline: &Spline, raw: &[f32], x: &[f32], y: &mut [f32], ladj: &mut [f32]) {
        spline.check(x.len(), raw.len(), &[y.len(), ladj.len()]);
        dispatch!(self, forward(spline: &Spline, raw: &[f32], x: &[f32], y: &mut [f32], ladj: &mut [f32]));
    }

    /// x = f⁻¹(y) for one feature; `ladj += ln dx/dy`.
    ///
    /// # Panics
    /// As [`Simd::spline_forward`].
    pub fn spline_inverse(self, spline: &Spline, raw: &[f32], y: &[f32], x: &mut [f32], ladj: &mut [f32]) {
        spline.check(y.len(), raw.len(), &[x.len(), ladj.len()]);
        dispatch!(self, inverse(spline: &Spline, raw: &[f32], y: &[f32], x: &mut [f32], ladj: &mut [f32]));
    }

    /// Gradients of a loss whose derivatives by y and by ladj are `grad_y`, `grad_ladj`: overwrites `grad_raw` and `grad_x`.
    ///
    /// # Panics
    /// As [`Simd::spline_forward`].
    pub fn spline_backward(
        self,
        spline: &Spline,
        raw: &[f32],
        x: &[f32],
        grads: (&[f32], &[f32]),
        grad_raw: &mut [f32],
        grad_x: &mut [f32],
    ) {
        let (grad_y, grad_ladj) = grads;
        spline.check(x.len(), raw.len().min(grad_raw.len()), &[grad_y.len(), grad_ladj.len(), grad_x.len()]);
        dispatch!(self, backward(
            spline: &Spline, raw: &[f32], x: &[f32], grad_y: &[f32], grad_ladj: &[f32], grad_raw: &mut [f32], grad_x: &mut [f32]
        ));
    }
}

/// Softmax fractions and the bin that holds a point.
struct Bin<S: Lanes> {
    index: S::V,
    x0: S::V,
    width: S::V,
    y0: S::V,
    height: S::V,
    slope0_raw: S::V,
    slope1_raw: S::V,
    slope0: S::V,
    slope1: S::V,
}

/// Which axis the search compares against.
#[derive(Clone, Copy, PartialEq)]
enum Axis {
    X,
    Y,
}

/// softmax(scale · raw) of K rows into `out`.
#[inline(always)]
unsafe fn softmax<S: Lanes>(bins: usize, raw: *const f32, stride: usize, scale: f32, out: &mut [S::V; MAX_BINS]) {
    unsafe {
        let mut top = S::load(raw);
        for k in 1..bins {
            top = S::max(top, S::load(raw.add(k * stride)));
        }
        // scale > 0, so the largest raw value is the largest exponent.
        let shift = S::mul(top, S::splat(-scale));
        let mut sum = S::splat(0.0);
        for k in 0..bins {
            let e = exp::<S>(S::fma(S::load(raw.add(k * stride)), S::splat(scale), shift));
            sum = S::add(sum, e);
            out[k] = e;
        }
        let inverse = S::div(S::splat(1.0), sum);
        for value in &mut out[..bins] {
            *value = S::mul(*value, inverse);
        }
    }
}

/// Width or height of a bin from its softmax fraction.
#[inline(always)]
unsafe fn extent<S: Lanes>(fraction: S::V, floor: f32, rest: f32) -> S::V {
    unsafe { S::fma(fraction, S::splat(rest), S::splat(floor)) }
}

/// Raw slope of knot k; the ends have `edge`.
#[inline(always)]
unsafe fn slope_raw<S: Lanes>(k: usize, bins: usize, slopes: *const f32, stride: usize, edge: S::V) -> S::V {
    unsafe { if k == 0 || k == bins { edge } else { S::load(slopes.add((k - 1) * stride)) } }
}

#[inline(always)]
unsafe fn find_bin<S: Lanes>(
    spline: &Spline,
    raw: *const f32,
    stride: usize,
    point: S::V,
    axis: Axis,
    widths: &mut [S::V; MAX_BINS],
    heights: &mut [S::V; MAX_BINS],
) -> Bin<S> {
    unsafe {
        let bins = spline.bins;
        softmax::<S>(bins, raw, stride, spline.scale, widths);
        softmax::<S>(bins, raw.add(bins * stride), stride, spline.scale, heights);
        let interval = 2.0 * spline.bound;
        let (w_floor, w_rest) = (interval * spline.min_width, interval * (1.0 - bins as f32 * spline.min_width));
        let (h_floor, h_rest) = (interval * spline.min_height, interval * (1.0 - bins as f32 * spline.min_height));
        let low = S::splat(-spline.bound);
        let slopes = raw.add(2 * bins * stride);
        let edge = match spline.ends {
            // softplus of this raw value gives slope 1.
            Ends::Identity => S::splat(((1.0 - spline.min_slope).exp() - 1.0).ln()),
            Ends::Periodic => S::load(slopes.add((bins - 1) * stride)),
        };

        let mut bin = Bin {
            index: S::splat(0.0),
            x0: low,
            width: extent::<S>(widths[0], w_floor, w_rest),
            y0: low,
            height: extent::<S>(heights[0], h_floor, h_rest),
            slope0_raw: edge,
            slope1_raw: slope_raw::<S>(1, bins, slopes, stride, edge),
            slope0: edge,
            slope1: edge,
        };
        let (mut x0, mut y0) = (S::add(low, bin.width), S::add(low, bin.height));
        for k in 1..bins {
            let (width, height) = (extent::<S>(widths[k], w_floor, w_rest), extent::<S>(heights[k], h_floor, h_rest));
            // point ≥ knot  ⇔  not point < knot
            let before = S::lt(point, if axis == Axis::X { x0 } else { y0 });
            bin.index = S::select(before, bin.index, S::splat(k as f32));
            bin.x0 = S::select(before, bin.x0, x0);
            bin.y0 = S::select(before, bin.y0, y0);
            bin.width = S::select(before, bin.width, width);
            bin.height = S::select(before, bin.height, height);
            bin.slope0_raw = S::select(before, bin.slope0_raw, slope_raw::<S>(k, bins, slopes, stride, edge));
            bin.slope1_raw = S::select(before, bin.slope1_raw, slope_raw::<S>(k + 1, bins, slopes, stride, edge));
            x0 = S::add(x0, width);
            y0 = S::add(y0, height);
        }
        bin.slope0 = S::add(S::splat(spline.min_slope), softplus::<S>(bin.slope0_raw));
        bin.slope1 = S::add(S::splat(spline.min_slope), softplus::<S>(bin.slope1_raw));
        bin
    }
}

/// Lanes strictly inside (-B, B); at ±B spline and identity agree, and NaN counts as outside. On the circle everything is inside, NaN too: its slope
/// is NaN then, which is all that a density over angles reads.
#[inline(always)]
unsafe fn inside<S: Lanes>(spline: &Spline, x: S::V) -> S::M {
    unsafe {
        match spline.ends {
            Ends::Identity => S::lt(S::abs(x), S::splat(spline.bound)),
            Ends::Periodic => S::lt(S::splat(0.0), S::splat(1.0)),
        }
    }
}

/// The shift of a map of the circle; 0 on the line.
#[inline(always)]
unsafe fn shift<S: Lanes>(spline: &Spline, raw: *const f32, stride: usize) -> S::V {
    unsafe { if spline.ends == Ends::Periodic { S::load(raw.add(3 * spline.bins * stride)) } else { S::splat(0.0) } }
}

/// On the circle: the angle in (-B, B), strictly, so that it does not leave the interval when it is widened to f64 either; else the point as it is.
#[inline(always)]
unsafe fn wrapped<S: Lanes>(spline: &Spline, x: S::V) -> S::V {
    if spline.ends == Ends::Identity {
        return x;
    }
    unsafe {
        let turns = S::round(S::mul(x, S::splat(0.5 / spline.bound)));
        let x = S::fma(turns, S::splat(-2.0 * spline.bound), x);
        let last = spline.bound.next_down();
        S::min(S::splat(last), S::max(S::splat(-last), x))
    }
}

/// The identity, but NaN where the bins are: a point far out must not hide that its parameters mean nothing.
#[inline(always)]
unsafe fn outside<S: Lanes>(bin: &Bin<S>, point: S::V) -> S::V {
    unsafe { S::fma(bin.width, S::splat(0.0), point) }
}

/// ξ cut to [0, 1], NaN kept. Rounded bins may end short of the bound, and the inverse of a flat piece amplifies rounding without limit: neither
/// may leave its bin, outside which the formulas mean nothing.
#[inline(always)]
unsafe fn unit<S: Lanes>(xi: S::V) -> S::V {
    unsafe { S::min(S::splat(1.0), S::max(S::splat(0.0), xi)) }
}

/// (t, D, M) of the module's formulas.
#[inline(always)]
unsafe fn denominators<S: Lanes>(bin: &Bin<S>, xi: S::V, s: S::V) -> (S::V, S::V, S::V) {
    unsafe {
        let one_minus = S::sub(S::splat(1.0), xi);
        let t = S::mul(xi, one_minus);
        let curvature = S::sub(S::add(bin.slope0, bin.slope1), S::add(s, s));
        let d = S::fma(curvature, t, s);
        let m = S::fma(bin.slope1, S::mul(xi, xi), S::fma(S::add(s, s), t, S::mul(bin.slope0, S::mul(one_minus, one_minus))));
        (t, d, m)
    }
}

#[inline(always)]
unsafe fn log_slope<S: Lanes>(s: S::V, d: S::V, m: S::V) -> S::V {
    unsafe {
        let ratio = S::div(s, d);
        ln::<S>(S::mul(S::mul(ratio, ratio), m))
    }
}

#[inline(always)]
unsafe fn forward<S: Lanes>(spline: &Spline, raw: &[f32], x: &[f32], y: &mut [f32], ladj: &mut [f32]) {
    unsafe {
        let lanes = x.len();
        let (mut widths, mut heights) = ([S::splat(0.0); MAX_BINS], [S::splat(0.0); MAX_BINS]);
        for at in (0..lanes).step_by(LANES) {
            let own = raw.as_ptr().add(at);
            let point = wrapped::<S>(spline, S::add(S::load(x.as_ptr().add(at)), shift::<S>(spline, own, lanes)));
            let bin = find_bin::<S>(spline, own, lanes, point, Axis::X, &mut widths, &mut heights);
            let xi = unit::<S>(S::div(S::sub(point, bin.x0), bin.width));
            let s = S::div(bin.height, bin.width);
            let (t, d, m) = denominators::<S>(&bin, xi, s);
            let numerator = S::fma(s, S::mul(xi, xi), S::mul(bin.slope0, t));
            let value = S::fma(bin.height, S::div(numerator, d), bin.y0);
            let within = inside::<S>(spline, point);
            S::store(y.as_mut_ptr().add(at), wrapped::<S>(spline, S::select(within, value, outside::<S>(&bin, point))));
            let slope = S::select(within, log_slope::<S>(s, d, m), S::splat(0.0));
            S::store(ladj.as_mut_ptr().add(at), S::add(S::load(ladj.as_ptr().add(at)), slope));
        }
    }
}

/// The quadratic of Eqs. 6-8 in the form 2c/(-b - √(b²-4ac)), which does not cancel.
#[inline(always)]
unsafe fn inverse<S: Lanes>(spline: &Spline, raw: &[f32], y: &[f32], x: &mut [f32], ladj: &mut [f32]) {
    unsafe {
        let lanes = y.len();
        let (mut widths, mut heights) = ([S::splat(0.0); MAX_BINS], [S::splat(0.0); MAX_BINS]);
        for at in (0..lanes).step_by(LANES) {
            let own = raw.as_ptr().add(at);
            let point = wrapped::<S>(spline, S::load(y.as_ptr().add(at)));
            let bin = find_bin::<S>(spline, own, lanes, point, Axis::Y, &mut widths, &mut heights);
            let s = S::div(bin.height, bin.width);
            let rise = S::sub(point, bin.y0);
            let bend = S::mul(rise, S::sub(S::add(bin.slope0, bin.slope1), S::add(s, s)));
            let a = S::fma(bin.height, S::sub(s, bin.slope0), bend);
            let b = S::sub(S::mul(bin.height, bin.slope0), bend);
            let c = S::mul(S::sub(S::splat(0.0), s), rise);
            let discriminant = S::max(S::splat(0.0), S::fma(b, b, S::mul(S::splat(-4.0), S::mul(a, c))));
            let xi = unit::<S>(S::div(S::add(c, c), S::sub(S::sub(S::splat(0.0), b), S::sqrt(discriminant))));
            let (_, d, m) = denominators::<S>(&bin, xi, s);
            let value = S::fma(xi, bin.width, bin.x0);
            let within = inside::<S>(spline, point);
            let turned = S::sub(S::select(within, value, outside::<S>(&bin, point)), shift::<S>(spline, own, lanes));
            S::store(x.as_mut_ptr().add(at), wrapped::<S>(spline, turned));
            let slope = S::select(within, log_slope::<S>(s, d, m), S::splat(0.0));
            S::store(ladj.as_mut_ptr().add(at), S::sub(S::load(ladj.as_ptr().add(at)), slope));
        }
    }
}

#[inline(always)]
unsafe fn backward<S: Lanes>(
    spline: &Spline,
    raw: &[f32],
    x: &[f32],
    grad_y: &[f32],
    grad_ladj: &[f32],
    grad_raw: &mut [f32],
    grad_x: &mut [f32],
) {
    unsafe {
        let lanes = x.len();
        let bins = spline.bins;
        let (zero, one, two) = (S::splat(0.0), S::splat(1.0), S::splat(2.0));
        let (mut widths, mut heights) = ([zero; MAX_BINS], [zero; MAX_BINS]);
        for at in (0..lanes).step_by(LANES) {
            let own = raw.as_ptr().add(at);
            let point = wrapped::<S>(spline, S::add(S::load(x.as_ptr().add(at)), shift::<S>(spline, own, lanes)));
            let bin = find_bin::<S>(spline, own, lanes, point, Axis::X, &mut widths, &mut heights);
            let within = inside::<S>(spline, point);
            let gy_all = S::load(grad_y.as_ptr().add(at));
            // Outside, y = x and ladj = 0: only grad_x passes.
            let gy = S::select(within, gy_all, zero);
            let gl = S::select(within, S::load(grad_ladj.as_ptr().add(at)), zero);

            let inv_width = S::div(one, bin.width);
            let xi = unit::<S>(S::mul(S::sub(S::select(within, point, bin.x0), bin.x0), inv_width));
            let s = S::mul(bin.height, inv_width);
            let (t, d, m) = denominators::<S>(&bin, xi, s);
            let one_minus = S::sub(one, xi);
            let t_xi = S::sub(one, S::add(xi, xi));
            let curvature = S::sub(S::add(bin.slope0, bin.slope1), S::add(s, s));
            let numerator = S::fma(s, S::mul(xi, xi), S::mul(bin.slope0, t));
            let (inv_d, inv_m) = (S::div(one, d), S::div(one, m));
            let p = S::mul(numerator, inv_d);
            let h_d = S::mul(bin.height, inv_d);
            let two_inv_d = S::mul(two, inv_d);

            // Derivatives of y and ladj = 2 ln s + ln M - 2 ln D by ξ, s, d₀, d₁.
            let d_xi = S::mul(curvature, t_xi);
            let d_s = S::sub(one, S::add(t, t));
            let y_xi = S::mul(h_d, S::sub(S::fma(bin.slope0, t_xi, S::mul(two, S::mul(s, xi))), S::mul(p, d_xi)));
            let y_s = S::mul(h_d, S::sub(S::mul(xi, xi), S::mul(p, d_s)));
            let y_d0 = S::mul(h_d, S::sub(t, S::mul(p, t)));
            let y_d1 = S::mul(h_d, S::sub(zero, S::mul(p, t)));
            let m_xi = S::mul(two, S::fma(bin.slope1, xi, S::sub(S::mul(s, t_xi), S::mul(bin.slope0, one_minus))));
            let l_xi = S::sub(S::mul(m_xi, inv_m), S::mul(two_inv_d, d_xi));
            let l_s = S::sub(S::add(S::div(two, s), S::mul(S::mul(two, t), inv_m)), S::mul(two_inv_d, d_s));
            let l_d0 = S::sub(S::mul(S::mul(one_minus, one_minus), inv_m), S::mul(two_inv_d, t));
            let l_d1 = S::sub(S::mul(S::mul(xi, xi), inv_m), S::mul(two_inv_d, t));
            let (g_xi, g_s) = (S::fma(gy, y_xi, S::mul(gl, l_xi)), S::fma(gy, y_s, S::mul(gl, l_s)));
            let (g_d0, g_d1) = (S::fma(gy, y_d0, S::mul(gl, l_d0)), S::fma(gy, y_d1, S::mul(gl, l_d1)));
            let g_x = S::mul(g_xi, inv_width);
            let g_height = S::fma(g_s, inv_width, S::mul(gy, p));
            let g_width = S::mul(S::sub(zero, inv_width), S::fma(g_s, s, S::mul(g_xi, xi)));
            let g_x0 = S::sub(zero, g_x);
            S::store(grad_x.as_mut_ptr().add(at), S::select(within, g_x, gy_all));

            let interval = 2.0 * spline.bound * spline.scale;
            let scale_w = S::splat(interval * (1.0 - bins as f32 * spline.min_width));
            let scale_h = S::splat(interval * (1.0 - bins as f32 * spline.min_height));
            let out = grad_raw.as_mut_ptr().add(at);
            softmax_backward::<S>(bins, &bin.index, &widths, g_x0, g_width, scale_w, out, lanes);
            softmax_backward::<S>(bins, &bin.index, &heights, gy, g_height, scale_h, out.add(bins * lanes), lanes);

            // softplus' = sigmoid; the slope of knot k belongs to bins k-1 and k.
            let (g_d0, g_d1) = (S::mul(g_d0, sigmoid::<S>(bin.slope0_raw)), S::mul(g_d1, sigmoid::<S>(bin.slope1_raw)));
            let half = S::splat(0.5);
            for knot in 1..bins {
                let left = S::lt(S::abs(S::sub(bin.index, S::splat(knot as f32))), half);
                let right = S::lt(S::abs(S::sub(bin.index, S::splat((knot - 1) as f32))), half);
                let g = S::select(left, g_d0, S::select(right, g_d1, zero));
                S::store(out.add((2 * bins + knot - 1) * lanes), g);
            }
            if spline.ends == Ends::Periodic {
                let first = S::lt(bin.index, half);
                let last = S::lt(S::splat(bins as f32 - 1.5), bin.index);
                let g = S::add(S::select(first, g_d0, zero), S::select(last, g_d1, zero));
                S::store(out.add((3 * bins - 1) * lanes), g);
                S::store(out.add(3 * bins * lanes), S::select(within, g_x, gy_all));
            }
        }
    }
}

/// dL/df_j of [`softmax_backward`].
#[inline(always)]
unsafe fn weight<S: Lanes>(j: usize, index: S::V, g_before: S::V, g_at: S::V) -> S::V {
    unsafe {
        let offset = S::sub(S::splat(j as f32), index);
        let before = S::lt(offset, S::splat(-0.5));
        let at = S::lt(S::abs(offset), S::splat(0.5));
        S::select(before, g_before, S::select(at, g_at, S::splat(0.0)))
    }
}

/// Gradient by the raw values of a softmax whose fractions f_j place the knots: with c = Σ_{j<k} f_j and bin k,
/// dL/df_j = g_before for j < k, g_at for j = k, 0 beyond.
#[inline(always)]
unsafe fn softmax_backward<S: Lanes>(
    bins: usize,
    index: &S::V,
    fractions: &[S::V; MAX_BINS],
    g_before: S::V,
    g_at: S::V,
    scale: S::V,
    out: *mut f32,
    stride: usize,
) {
    unsafe {
        let mut mean = S::splat(0.0);
        for j in 0..bins {
            mean = S::fma(fractions[j], weight::<S>(j, *index, g_before, g_at), mean);
        }
        for j in 0..bins {
            let g = S::mul(S::mul(fractions[j], scale), S::sub(weight::<S>(j, *index, g_before, g_at), mean));
            S::store(out.add(j * stride), g);
        }
    }
}
