//! Forces of pairs below the reach of the mesh: what makes a particle mesh P³M (Hockney & Eastwood 1988, chapter 8).
//!
//! Newton's force is split at r_s. The mesh carries the part that is smooth on its cells, exp(−k² r_s²) in Fourier space; the rest,
//!
//!   F(r) = −(V_p/4π) r⃗ [ (r² + ε²)^{−3/2} − h(r) ],   h(r) = [erf(u) − (2u/√π) e^{−u²}]/r³,   u = r/(2 r_s),
//!
//! with V_p the volume per particle, is summed over pairs up to the cut-off. h is an entire function of r², so that a polynomial gives it without
//! tables or branches.
//!
//! Particles are sorted into cubes of half the cut-off. For each cube everything within reach is gathered once, as distances from its centre, which
//! wrap around the box by themselves in 32-bit positions; then all of it pulls at each of the cube's particles in turn, sixteen neighbours at a time.
//! Every particle's sum has one order, so nothing depends on threads.

mod law;
#[cfg(test)]
mod tests;

use super::PmError;
use super::particles::{Particles, Segment, cell, half_cell, segments};
use abduce_kernels::{LANES, Simd, Threads};
use law::Law;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The split between mesh and pairs, and how pairs are softened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShortRange {
    /// ε: Plummer softening over the mean spacing of particles, in (0, 1].
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub softening: f64,
    /// r_s in cells of the mesh, 1 to 3. Larger is more exact and costs its cube in pairs.
    #[schemars(range(min = 1.0, max = 3.0))]
    pub split_cells: f64,
    /// Distance in r_s beyond which pairs don't count, 3 to 6. At 4.5 the force left out is 1.8 % of Newton's, and falls fast.
    #[schemars(range(min = 3.0, max = 6.0))]
    pub cutoff_splits: f64,
}

impl Default for ShortRange {
    /// ε = 1/20 of the spacing, r_s = 1.25 cells, cut-off 4.5 r_s (Springel 2005, astro-ph/0505010, has the same split).
    fn default() -> Self {
        Self { softening: 0.05, split_cells: 1.25, cutoff_splits: 4.5 }
    }
}

/// Cubes within the cut-off of one, along an axis and to either side.
const REACH: usize = 2;

impl ShortRange {
    /// Checks the ranges, and that a box of `cells` mesh cells per side is wide enough for its pairs.
    ///
    /// # Errors
    /// A value outside its range, or too few cells.
    pub fn check(&self, cells: usize) -> Result<(), PmError> {
        for (name, value, low, high, range) in [
            ("the softening of pairs", self.softening, 1e-4, 1.0, "0.0001 to 1 spacings"),
            ("the split of the force", self.split_cells, 1.0, 3.0, "1 to 3 cells"),
            ("the cut-off of pairs", self.cutoff_splits, 3.0, 6.0, "3 to 6 splits"),
        ] {
            if !(low..=high).contains(&value) {
                return Err(PmError::Range { name, value, range });
            }
        }
        if self.cubes(cells) < 2 * REACH + 1 {
            return Err(PmError::Range {
                name: "mesh cells per side of a run with pairs",
                value: cells as f64,
                range: "5 half cut-offs (15 cells by default) or more",
            });
        }
        Ok(())
    }

    /// Cubes per side of a mesh of `cells`: each at least half a cut-off wide.
    fn cubes(&self, cells: usize) -> usize {
        cells / libm::ceil(self.split_cells * self.cutoff_splits / REACH as f64) as usize
    }

    /// Bytes of the sorted positions and cubes of a run of `particles` on a mesh of `cells` with `threads` threads.
    pub(crate) fn bytes(&self, particles: u64, cells: usize, threads: usize) -> u64 {
        let cubes = self.cubes(cells).max(1) as u64;
        // A thread holds the forces of one slab of cubes, the busiest of which may have twice its share.
        16 * particles + 4 * cubes.pow(3) + threads as u64 * 24 * particles / cubes
    }
}

/// All that pulls at the particles of one cube, and these, from the centre of the cube and in units of 2 r_s.
#[derive(Default)]
struct Near {
    x: [Vec<f32>; 3],
    /// How many there are; the vectors are longer.
    count: usize,
    own: [Vec<f32>; 3],
}

impl Near {
    fn clear(&mut self, expected: usize) {
        self.count = 0;
        let length = expected.next_multiple_of(LANES) + LANES;
        if self.x[0].len() < length {
            self.x.iter_mut().for_each(|x| x.resize(length, 0.0));
        }
    }

    /// Fills up the last sixteen with points far away, and gives all.
    fn finish(&mut self) -> [&[f32]; 3] {
        let length = self.count.next_multiple_of(LANES);
        for x in &mut self.x {
            x[self.count..length].fill(FAR);
        }
        self.x.each_ref().map(|x| &x[..length])
    }
}

/// Beyond every cut-off, which is 3 at most, and near enough for its powers not to overflow.
const FAR: f32 = 20.0;

/// One slab of cubes: its particles, row by row of cubes.
struct Slab<'a> {
    x: [&'a mut [u32]; 3],
    /// The place of each particle, in the order of chunks and their members.
    places: &'a mut [u32],
    /// Starts of the cubes of this slab within it.
    starts: &'a mut [u32],
}

/// Particles sorted into cubes, and the force between them.
pub(crate) struct Pairs {
    law: Law,
    simd: Simd,
    /// Mesh planes of each slab, row or column of cubes.
    planes: Vec<Range<usize>>,
    cube_of_plane: Vec<u32>,
    cells: usize,
    x: [Vec<u32>; 3],
    places: Vec<u32>,
    /// First particle of each slab, and their number.
    slab_starts: Vec<usize>,
    /// m² + 1 starts for each slab.
    starts: Vec<u32>,
}

impl Pairs {
    pub(crate) fn new(options: &ShortRange, cells: usize, particles: &Particles) -> Result<Self, PmError> {
        options.check(cells)?;
        let m = options.cubes(cells);
        let planes: Vec<Range<usize>> = (0..m).map(|g| g * cells / m..(g + 1) * cells / m).collect();
        let mut cube_of_plane = vec![0u32; cells];
        for (cube, range) in planes.iter().enumerate() {
            cube_of_plane[range.clone()].fill(cube as u32);
        }
        let count = particles.len();
        Ok(Self {
            law: Law::new(options, cells, particles.per_side(), particles.box_size_mpc_h()),
            simd: Simd::best(),
            planes,
            cube_of_plane,
            cells,
            x: std::array::from_fn(|_| vec![0; count]),
            places: vec![0; count],
            slab_starts: vec![0; m + 1],
            starts: vec![0; m * (m * m + 1)],
        })
    }

    /// p += factor F for all pairs of `particles`, which must be sorted by the planes of the mesh.
    pub(crate) fn kick(&mut self, particles: &mut Particles, factor: f64, threads: &Threads) {
        self.sort(particles, threads);
        let this = &*self;
        let strength = (factor * this.law.strength) as f32;
        let mut by_slab = segments(particles, &this.planes);
        threads.for_each(&mut by_slab, |slab, segments| this.kick_slab(slab, segments, strength));
    }

    /// A stable counting sort by cube, slab by slab.
    fn sort(&mut self, particles: &Particles, threads: &Threads) {
        let m = self.planes.len();
        for (slab, range) in self.planes.iter().enumerate() {
            let held: usize = particles.chunks.iter().map(|chunk| (chunk.starts[range.end] - chunk.starts[range.start]) as usize).sum();
            self.slab_starts[slab + 1] = self.slab_starts[slab] + held;
        }
        let (planes, cube_of_plane, cells, half) = (&self.planes, &self.cube_of_plane, self.cells, half_cell(self.cells));
        let mut slabs = Vec::with_capacity(m);
        let [x, y, z] = &mut self.x;
        let mut rest = ([&mut x[..], &mut y[..], &mut z[..]], &mut self.places[..], &mut self.starts[..]);
        for slab in 0..m {
            let held = self.slab_starts[slab + 1] - self.slab_starts[slab];
            let x = rest.0.each_mut().map(|x| take(x, held));
            slabs.push(Slab { x, places: take(&mut rest.1, held), starts: take(&mut rest.2, m * m + 1) });
        }
        threads.for_each(&mut slabs, |s, slab| {
            let cube = |x: &[u32; 3]| {
                let [j, k] = [x[1], x[2]].map(|x| cube_of_plane[cell(x, half, cells).0] as usize);
                j * m + k
            };
            let own = || particles.chunks.iter().flat_map(|c| &c.x[c.starts[planes[s].start] as usize..c.starts[planes[s].end] as usize]);
            slab.starts.fill(0);
            for (x, place) in own().zip(&mut *slab.places) {
                *place = cube(x) as u32;
                slab.starts[*place as usize] += 1;
            }
            let mut total = 0;
            for start in slab.starts.iter_mut() {
                let held = *start;
                *start = total;
                total += held;
            }
            for (x, place) in own().zip(&mut *slab.places) {
                let next = &mut slab.starts[*place as usize];
                *place = *next;
                *next += 1;
                for axis in 0..3 {
                    slab.x[axis][*place as usize] = x[axis];
                }
            }
            // Every start has moved to its end, the start of the next.
            slab.starts.copy_within(0..m * m, 1);
            slab.starts[0] = 0;
        });
    }

    fn kick_slab(&self, slab: usize, segments: &mut [Segment<'_>], strength: f32) {
        let m = self.planes.len();
        let first = self.slab_starts[slab];
        let starts = &self.starts[slab * (m * m + 1)..][..m * m + 1];
        let mut pulls = vec![[0.0f32; 3]; self.slab_starts[slab + 1] - first];
        let mut near = Near::default();
        for j in 0..m {
            for k in 0..m {
                let own = starts[j * m + k] as usize..starts[j * m + k + 1] as usize;
                if own.is_empty() {
                    continue;
                }
                let centre = self.gather([slab, j, k], &mut near);
                let mut at = std::mem::take(&mut near.own);
                for axis in 0..3 {
                    let x = &self.x[axis][first + own.start..first + own.end];
                    at[axis].clear();
                    at[axis].extend(x.iter().map(|x| self.law.from(*x, centre[axis])));
                }
                self.simd.central_forces(&self.law.force, at.each_ref().map(|x| &x[..]), near.finish(), &mut pulls[own]);
                near.own = at;
            }
        }
        let mut places = self.places[first..].iter();
        for segment in segments {
            for (p, &place) in segment.p.iter_mut().zip(&mut places) {
                for axis in 0..3 {
                    p[axis] += strength * pulls[place as usize][axis];
                }
            }
        }
    }

    /// Everything within the cut-off of some point of a cube, whose centre is returned.
    fn gather(&self, cube: [usize; 3], near: &mut Near) -> [u32; 3] {
        let m = self.planes.len();
        let half = half_cell(self.cells);
        let edge = |plane: usize| ((plane as u64) << 32) / self.cells as u64;
        // Centre and half width of the cube, rounded outwards.
        let bounds = cube.map(|c| (edge(self.planes[c].start), edge(self.planes[c].end) + 1));
        let centre = bounds.map(|(low, high)| (((low + high) / 2) as u32).wrapping_add(half));
        let widths = bounds.map(|(low, high)| ((high - low) / 2 + 1) as f32 * self.law.unit * (1.0 + 1e-6));
        // A hair more: what is gathered is compared with the cut-off again.
        let cutoff2 = self.law.force.cutoff2 * (1.0 + 1e-5);

        let beside = |c: usize, step: usize| (c + m + step - REACH) % m;
        let mut rows = [(0usize, 0usize); (2 * REACH + 1) * (2 * REACH + 1) * 2];
        let mut count = 0;
        let mut expected = 0;
        for di in 0..=2 * REACH {
            let i = beside(cube[0], di);
            let (first, starts) = (self.slab_starts[i], &self.starts[i * (m * m + 1)..][..m * m + 1]);
            for dj in 0..=2 * REACH {
                let row = beside(cube[1], dj) * m;
                let (low, high) = (beside(cube[2], 0), beside(cube[2], 2 * REACH));
                // A row that goes through the end of the box is two.
                let parts = if low <= high { [low..high + 1, 0..0] } else { [low..m, 0..high + 1] };
                for part in parts {
                    let places = (first + starts[row + part.start] as usize, first + starts[row + part.end] as usize);
                    if places.0 < places.1 {
                        rows[count] = places;
                        count += 1;
                        expected += places.1 - places.0;
                    }
                }
            }
        }
        near.clear(expected);
        let [nx, ny, nz] = &mut near.x;
        let mut kept = 0;
        for &(start, end) in &rows[..count] {
            let (x, y, z) = (&self.x[0][start..end], &self.x[1][start..end], &self.x[2][start..end]);
            for ((&x, &y), &z) in x.iter().zip(y).zip(z) {
                let d = [self.law.from(x, centre[0]), self.law.from(y, centre[1]), self.law.from(z, centre[2])];
                let outside: [f32; 3] = std::array::from_fn(|axis| (d[axis].abs() - widths[axis]).max(0.0));
                // Written in any case and kept where it is near: no branch.
                (nx[kept], ny[kept], nz[kept]) = (d[0], d[1], d[2]);
                let wanted = outside[0] * outside[0] + outside[1] * outside[1] + outside[2] * outside[2] < cutoff2;
                kept += usize::from(wanted);
            }
        }
        near.count = kept;
        centre
    }
}

/// The first `length` items of a slice, which goes on behind them.
fn take<'a, T>(rest: &mut &'a mut [T], length: usize) -> &'a mut [T] {
    let (part, behind) = std::mem::take(rest).split_at_mut(length);
    *rest = behind;
    part
}
