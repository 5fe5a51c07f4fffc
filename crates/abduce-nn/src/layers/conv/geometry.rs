//! Which position of the fine grid meets which of the coarse grid: the tables behind a convolution and its transpose.
//!
//! A convolution maps the fine grid to the coarse one, coarse[p] = Σ_t fine[s p + t - pad] W[t]; its transpose maps back,
//! fine[q] = Σ_{s p + t - pad = q} coarse[p] W[t]. Either is the other's gradient. The transpose falls apart into one plain convolution for each
//! residue class of q + pad modulo the stride, so that nothing is scattered.

use super::{Border, ShapeError};
use crate::layers::conv::halo::Halo;

/// Most axes of a grid.
pub(crate) const AXES: usize = 3;

/// One axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) fine: usize,
    pub(crate) coarse: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Positions before the fine grid that the first patch covers.
    pub(crate) pad: usize,
}

impl Axis {
    pub(crate) const TRIVIAL: Self = Self { fine: 1, coarse: 1, kernel: 1, stride: 1, pad: 0 };

    /// Length of the fine grid with its border: what patches cover.
    const fn fine_extent(&self) -> usize {
        self.stride * (self.coarse - 1) + self.kernel
    }

    /// Taps of the residue class r.
    const fn taps(&self, r: usize) -> usize {
        if r < self.kernel { (self.kernel - r).div_ceil(self.stride) } else { 0 }
    }

    /// Positions of the fine grid whose q + pad is r modulo the stride.
    fn class(&self, r: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let (stride, pad) = (self.stride, self.pad);
        (0..self.fine).filter(move |q| (q + pad) % stride == r)
    }

    /// Of the coarse grid: the lowest position that position q of the fine grid needs (maybe negative), given its class.
    fn lowest(&self, q: usize, r: usize) -> isize {
        (((q + self.pad - r) / self.stride + 1) as isize) - self.taps(r) as isize
    }

    /// Border of the coarse grid: positions before it, and length with borders.
    fn coarse_border(&self) -> (usize, usize) {
        let (mut low, mut high) = (0isize, self.coarse as isize);
        for r in 0..self.stride.min(self.kernel) {
            for q in self.class(r) {
                low = low.min(self.lowest(q, r));
                high = high.max(self.lowest(q, r) + self.taps(r) as isize);
            }
        }
        (low.unsigned_abs(), (high - low) as usize)
    }
}

/// Offsets of one product: see [`abduce_kernels::gather`].
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) rows: Vec<u32>,
    pub(crate) depth: Vec<u32>,
    pub(crate) targets: Vec<u32>,
}

/// One residue class of the transpose.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) table: Table,
    /// Its taps, in the order of the depth.
    pub(crate) taps: Vec<usize>,
}

/// Everything that depends on shapes.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub(crate) axes: [Axis; AXES],
    pub(crate) fine_channels: usize,
    pub(crate) coarse_channels: usize,
    /// Fine → coarse.
    pub(crate) down: Table,
    /// Coarse → fine.
    pub(crate) up: Vec<Class>,
    /// Where each tap and fine channel has its weights.
    pub(crate) weights: Vec<u32>,
    pub(crate) fine_halo: Halo,
    pub(crate) coarse_halo: Halo,
}

impl Geometry {
    pub(crate) fn new(axes: [Axis; AXES], border: Border, fine_channels: usize, coarse_channels: usize) -> Result<Self, ShapeError> {
        let (a, b) = (fine_channels, coarse_channels);
        let fine_extent = axes.map(|x| x.fine_extent());
        let coarse_border = axes.map(|x| x.coarse_border());
        let fine_halo = Halo { extent: axes.map(|x| x.fine), low: axes.map(|x| x.pad), full: fine_extent, channels: a, border };
        let coarse_halo =
            Halo { extent: axes.map(|x| x.coarse), low: coarse_border.map(|c| c.0), full: coarse_border.map(|c| c.1), channels: b, border };
        let taps: usize = axes.iter().map(|x| x.kernel).product();
        let largest = [fine_halo.len(), coarse_halo.len(), taps * a * b, axes.iter().map(|x| x.fine).product::<usize>() * a];
        if let Some(&floats) = largest.iter().find(|&&n| n > u32::MAX as usize) {
            return Err(ShapeError::TooLarge { floats });
        }
        let down = Table {
            rows: product(axes.map(|x| (0..x.coarse).map(|p| p * x.stride).collect()), fine_extent, a),
            depth: channels(&product(axes.map(|x| (0..x.kernel).collect()), fine_extent, a), a),
            targets: (0..axes.iter().map(|x| x.coarse).product::<usize>()).map(|p| (p * b) as u32).collect(),
        };
        let mut up = Vec::new();
        let [c0, c1, c2] = axes.map(|x| x.stride);
        for class in 0..c0 * c1 * c2 {
            let r = [class / (c1 * c2), class / c2 % c1, class % c2];
            let of_axes = |f: &dyn Fn(&Axis, usize, (usize, usize)) -> Vec<usize>| -> [Vec<usize>; AXES] {
                std::array::from_fn(|d| f(&axes[d], r[d], coarse_border[d]))
            };
            let positions = of_axes(&|x, r, _| x.class(r).collect());
            let count: usize = positions.iter().map(Vec::len).product();
            if count == 0 {
                continue;
            }
            let full = coarse_halo.full;
            let bases = of_axes(&|x, r, (low, _)| {
                x.class(r).map(|q| if x.taps(r) == 0 { 0 } else { (x.lowest(q, r) + low as isize) as usize }).collect()
            });
            let steps = of_axes(&|x, r, _| (0..x.taps(r)).collect());
            // Along the depth positions rise, so taps fall.
            let tap_axes = of_axes(&|x, r, _| (0..x.taps(r)).rev().map(|j| r + j * x.stride).collect());
            let kernel = axes.map(|x| x.kernel);
            let table = Table {
                rows: product(bases, full, b),
                depth: channels(&product(steps, full, b), b),
                targets: product(positions, axes.map(|x| x.fine), a),
            };
            up.push(Class { table, taps: product(tap_axes, kernel, 1).into_iter().map(|t| t as usize).collect() });
        }
        let weights = (0..taps * a).map(|i| (i * b) as u32).collect();
        Ok(Self { axes, fine_channels, coarse_channels, down, up, weights, fine_halo, coarse_halo })
    }

    /// Number of taps.
    pub(crate) fn taps(&self) -> usize {
        self.axes.iter().map(|x| x.kernel).product()
    }

    /// Floats of one fine tensor.
    pub(crate) fn fine_len(&self) -> usize {
        self.axes.iter().map(|x| x.fine).product::<usize>() * self.fine_channels
    }

    /// Floats of one coarse tensor.
    pub(crate) fn coarse_len(&self) -> usize {
        self.axes.iter().map(|x| x.coarse).product::<usize>() * self.coarse_channels
    }
}

/// Offsets of all combinations of positions along the axes, in a grid of these lengths, times `channels`.
fn product(positions: [Vec<usize>; AXES], lengths: [usize; AXES], channels: usize) -> Vec<u32> {
    let [zs, ys, xs] = positions;
    let mut out = Vec::with_capacity(zs.len() * ys.len() * xs.len());
    for z in &zs {
        for y in &ys {
            out.extend(xs.iter().map(|x| (((z * lengths[1] + y) * lengths[2] + x) * channels) as u32));
        }
    }
    out
}

/// Each offset followed by those of its channels.
fn channels(offsets: &[u32], channels: usize) -> Vec<u32> {
    offsets.iter().flat_map(|&o| (0..channels as u32).map(move |c| o + c)).collect()
}
