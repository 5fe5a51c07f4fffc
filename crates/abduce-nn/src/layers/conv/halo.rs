//! A tensor with a border around it, so that no kernel asks where the edge is.

use super::Border;
use super::geometry::AXES;

/// How one tensor is copied into a larger one.
#[derive(Clone, Debug)]
pub(crate) struct Halo {
    /// Lengths of the axes.
    pub(crate) extent: [usize; AXES],
    /// Positions before each axis.
    pub(crate) low: [usize; AXES],
    /// Lengths with borders; may cut off what no patch covers.
    pub(crate) full: [usize; AXES],
    pub(crate) channels: usize,
    pub(crate) border: Border,
}

impl Halo {
    /// Floats with borders.
    pub(crate) fn len(&self) -> usize {
        self.full.iter().product::<usize>() * self.channels
    }

    /// Whether there is no border, so that the tensor itself will do.
    pub(crate) fn is_trivial(&self) -> bool {
        self.low == [0; AXES] && self.full == self.extent
    }

    /// Floats of working memory: none if there is no border.
    pub(crate) fn scratch_len(&self) -> usize {
        if self.is_trivial() { 0 } else { self.len() }
    }

    /// The tensor with its border, in `scratch` if there is one.
    pub(crate) fn wrap<'a>(&self, x: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
        if self.is_trivial() {
            return x;
        }
        let scratch = &mut scratch[..self.len()];
        let line = self.full[2] * self.channels;
        let plane = self.full[1] * line;
        for (z, plane) in scratch.chunks_exact_mut(plane).enumerate() {
            let Some(z) = self.source(0, z) else {
                plane.fill(0.0);
                continue;
            };
            for (y, line) in plane.chunks_exact_mut(line).enumerate() {
                let Some(y) = self.source(1, y) else {
                    line.fill(0.0);
                    continue;
                };
                let length = self.extent[2] * self.channels;
                self.line(&x[(z * self.extent[1] + y) * length..][..length], line);
            }
        }
        scratch
    }

    /// The position that stands at position `at` of the bordered axis; `None`: zeros.
    const fn source(&self, axis: usize, at: usize) -> Option<usize> {
        let (low, extent) = (self.low[axis], self.extent[axis]);
        match self.border {
            Border::Zeros if at < low || at >= low + extent => None,
            Border::Zeros => Some(at - low),
            // The border may be wider than the axis.
            Border::Periodic => Some((at + extent * (low / extent + 1) - low) % extent),
        }
    }

    fn line(&self, from: &[f32], to: &mut [f32]) {
        let c = self.channels;
        let first = (self.low[2] * c).min(to.len());
        let last = (first + from.len()).min(to.len());
        to[first..last].copy_from_slice(&from[..last - first]);
        match self.border {
            Border::Zeros => {
                to[..first].fill(0.0);
                to[last..].fill(0.0);
            }
            Border::Periodic => {
                for at in (0..first / c).chain(last / c..self.full[2]) {
                    if let Some(x) = self.source(2, at) {
                        to[at * c..(at + 1) * c].copy_from_slice(&from[x * c..(x + 1) * c]);
                    }
                }
            }
        }
    }
}
