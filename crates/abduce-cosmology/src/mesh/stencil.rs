//! The cells that a point touches along each axis, and slabs of planes that can be painted side by side.

use std::ops::Range;

/// Weights of the `P` cells that a point touches along one axis, with `P` the order of the scheme.
pub(crate) struct Stencil;

impl Stencil {
    /// For a coordinate in cells, counted so that value i lies at g = i, and g ≥ −1: the index of the first cell (−2 at least) and the
    /// weights. B-splines of order P (Hockney & Eastwood 1988, section 5-3).
    #[inline(always)]
    pub(crate) fn weights<const P: usize>(g: f64) -> (i32, [f32; P]) {
        let mut w = [0.0f32; P];
        // Truncation rounds down what is positive, and unlike `floor` it is one instruction everywhere.
        let below = |g: f64| (g + 2.0) as i32 - 2;
        match P {
            1 => {
                w[0] = 1.0;
                (below(g + 0.5), w)
            }
            2 => {
                let first = below(g);
                let f = (g - f64::from(first)) as f32;
                w[0] = 1.0 - f;
                w[1] = f;
                (first, w)
            }
            3 => {
                let middle = below(g + 0.5);
                let d = (g - f64::from(middle)) as f32;
                w[0] = 0.5 * (0.5 - d) * (0.5 - d);
                w[1] = 0.75 - d * d;
                w[2] = 0.5 * (0.5 + d) * (0.5 + d);
                (middle - 1, w)
            }
            _ => {
                let first = below(g);
                let f = (g - f64::from(first)) as f32;
                let r = 1.0 - f;
                w[0] = r * r * r / 6.0;
                w[1] = (4.0 - 6.0 * f * f + 3.0 * f * f * f) / 6.0;
                w[2] = (4.0 - 6.0 * r * r + 3.0 * r * r * r) / 6.0;
                w[3] = f * f * f / 6.0;
                (first - 1, w)
            }
        }
    }

    /// A cell index in −n..2n brought into 0..n.
    #[inline(always)]
    pub(crate) fn wrap(i: i32, n: usize) -> usize {
        let n = n as i32;
        let i = if i < 0 { i + n } else { i };
        (if i >= n { i - n } else { i }) as usize
    }
}

/// A slab of planes that one thread owns, and the planes behind it that its points reach into.
pub(crate) struct Slab<'a> {
    /// Index of the first plane.
    pub(crate) first: usize,
    /// The planes.
    pub(crate) planes: &'a mut [f32],
    /// P − 1 planes that belong to the next slab, to be added there.
    pub(crate) ghost: Vec<f32>,
}

impl Slab<'_> {
    /// Adds `weight` times the product of the three stencils. `first` is wrapped along all axes, and its plane lies in this slab.
    #[inline(always)]
    pub(crate) fn add<const P: usize>(&mut self, n: usize, first: [usize; 3], w: &[[f32; P]; 3], weight: f32) {
        let own = self.planes.len() / (n * n);
        for a in 0..P {
            let plane = first[0] - self.first + a;
            let (part, plane) = if plane < own { (&mut *self.planes, plane) } else { (&mut *self.ghost, plane - own) };
            let wa = weight * w[0][a];
            for b in 0..P {
                let row = first[1] + b;
                let row = if row >= n { row - n } else { row };
                let wab = wa * w[1][b];
                let start = (plane * n + row) * n;
                let k = first[2];
                if k + P <= n {
                    let cells = &mut part[start + k..start + k + P];
                    for c in 0..P {
                        cells[c] += wab * w[2][c];
                    }
                } else {
                    for c in 0..P {
                        let k = if k + c >= n { k + c - n } else { k + c };
                        part[start + k] += wab * w[2][c];
                    }
                }
            }
        }
    }
}

/// Most slabs that a mesh is cut into: enough for the threads of a large node, and few enough that sorting points by slab stays in cache.
const MOST_SLABS: usize = 64;

/// The planes of each slab. Depends on the mesh and the order of the scheme alone, so that sums come out the same for any number of threads.
pub(crate) fn slabs(cells: usize, order: usize) -> Vec<Range<usize>> {
    // A slab must hold the P − 1 planes that the one before it reaches into.
    let count = (cells / (2 * order).max(8)).clamp(1, MOST_SLABS);
    (0..count).map(|s| s * cells / count..(s + 1) * cells / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const P: usize>() {
        for step in 0..400 {
            let g = f64::from(step) * 0.01 - 0.5;
            let (first, w) = Stencil::weights::<P>(g);
            let sum: f32 = w.iter().sum();
            // Rounding of up to four terms below one.
            assert!((sum - 1.0).abs() < 5e-7, "{P} {g} {w:?}");
            assert!(w.iter().all(|&w| w >= 0.0));
            if P > 1 {
                // B-splines of order 2 and more reproduce linear functions: the mean cell is the point.
                let mean: f64 = w.iter().enumerate().map(|(c, &w)| f64::from(w) * f64::from(first + c as i32)).sum();
                assert!((mean - g).abs() < 2e-6, "{P} {g} {mean}");
            }
        }
    }

    #[test]
    fn weights_sum_to_one_and_keep_the_centre() {
        check::<1>();
        check::<2>();
        check::<3>();
        check::<4>();
    }

    #[test]
    fn slabs_hold_what_their_neighbours_reach_into() {
        for cells in [2, 3, 7, 8, 33, 64, 128, 300] {
            for order in 1..=4 {
                let slabs = slabs(cells, order);
                assert_eq!((slabs[0].start, slabs.last().unwrap().end), (0, cells));
                assert!(slabs.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(slabs.len() == 1 || slabs.iter().all(|slab| slab.len() >= order), "{cells} {order}");
            }
        }
    }
}
