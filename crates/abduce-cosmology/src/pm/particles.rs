//! Particles on the move: fixed-point positions, sorted plane by plane in chunks that never exchange members.

use super::PmError;
use crate::growth::Growth;
use abduce_kernels::Threads;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Where particles start: one per point of a cubic lattice in C order, at the centre of its lattice cell and displaced.
#[derive(Clone, Debug)]
pub struct LatticeStart<'a> {
    /// Particles per side, N_p.
    pub per_side: usize,
    /// Side of the box [Mpc/h].
    pub box_size_mpc_h: f64,
    /// x − q [Mpc/h], N_p³ rows.
    pub displacements: &'a [[f32; 3]],
    /// p = a² dx/dt/H₀ [Mpc/h], N_p³ rows.
    pub momenta: &'a [[f32; 3]],
    /// First- and second-order displacements today, −∇φ₁ and ∇φ₂, for COLA.
    pub perturbation: Option<[&'a [[f32; 3]]; 2]>,
}

/// A state of all particles, in the order of the lattice that they started from.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Scale factor.
    pub a: f64,
    /// Comoving positions [Mpc/h] in [0, L).
    pub positions: Vec<[f32; 3]>,
    /// Peculiar velocities, physical [km/s].
    pub velocities: Vec<[f32; 3]>,
}

/// All particles of a run.
///
/// A position is 32 bits per axis, as a fraction of the box: its precision, 2⁻³² L, is the same everywhere, and arithmetic wraps by itself. 28
/// bytes per particle; 52 with COLA.
pub struct Particles {
    pub(crate) chunks: Vec<Chunk>,
    per_side: usize,
    box_size: f64,
    scratch: Mutex<Vec<Chunk>>,
}

/// Particles that started from some planes of the lattice.
#[derive(Default)]
pub(crate) struct Chunk {
    /// Position as a fraction of the box, times 2³².
    pub(crate) x: Vec<[u32; 3]>,
    pub(crate) p: Vec<[f32; 3]>,
    pub(crate) id: Vec<u32>,
    /// COLA: the two displacement fields.
    pub(crate) lpt: Vec<[f32; 6]>,
    /// Mesh plane i has the particles `starts[i]..starts[i + 1]`.
    pub(crate) starts: Vec<u32>,
}

/// 2³².
pub(crate) const TURN: f64 = 4_294_967_296.0;
/// Most chunks: plenty for the threads of a large node.
const MOST_CHUNKS: usize = 64;

/// Lattice planes of each chunk.
fn chunk_planes(per_side: usize) -> Vec<Range<usize>> {
    let count = per_side.min(MOST_CHUNKS);
    (0..count).map(|c| c * per_side / count..(c + 1) * per_side / count).collect()
}

/// Bytes per particle, with and without COLA's displacements.
pub(crate) const fn bytes_per_particle(with_lpt: bool) -> u64 {
    if with_lpt { 52 } else { 28 }
}

/// Particles of the largest chunk.
pub(crate) fn largest_chunk(per_side: usize) -> usize {
    chunk_planes(per_side).iter().map(ExactSizeIterator::len).max().unwrap_or(0) * per_side * per_side
}

impl Particles {
    /// Particles at their start.
    ///
    /// # Errors
    /// More than 1024 per side or none, arrays of other lengths, a value that is not finite.
    pub fn new(start: &LatticeStart<'_>, threads: &Threads) -> Result<Self, PmError> {
        let n = start.per_side;
        if !(2..=1024).contains(&n) {
            return Err(PmError::Range { name: "particles per side", value: n as f64, range: "2 to 1024" });
        }
        let plane = n * n;
        let [first, second] = start.perturbation.unwrap_or([&[], &[]]);
        for (what, found) in [("displacements", start.displacements.len()), ("momenta", start.momenta.len())] {
            if found != plane * n {
                return Err(crate::error::CosmologyError::Length { what, found, expected: plane * n }.into());
            }
        }
        if start.perturbation.is_some() && (first.len() != plane * n || second.len() != plane * n) {
            return Err(crate::error::CosmologyError::Length { what: "perturbation", found: first.len(), expected: plane * n }.into());
        }
        let scale = TURN / start.box_size_mpc_h;
        let lattice = |i: usize| ((2 * i + 1) as u64 * (1 << 31) / n as u64) as u32;
        struct Item {
            chunk: Chunk,
            bad: Option<usize>,
        }
        let planes = chunk_planes(n);
        let mut items: Vec<Item> = planes.iter().map(|_| Item { chunk: Chunk::default(), bad: None }).collect();
        threads.for_each(&mut items, |c, item| {
            let range = planes[c].start * plane..planes[c].end * plane;
            let chunk = &mut item.chunk;
            for index in range.clone() {
                let (d, p) = (start.displacements[index], start.momenta[index]);
                if !d.iter().chain(&p).all(|value| value.is_finite()) {
                    item.bad = Some(index);
                    return;
                }
                let q = [index / plane, index / n % n, index % n];
                chunk.x.push(std::array::from_fn(|axis| moved(lattice(q[axis]), f64::from(d[axis]) * scale)));
            }
            chunk.p = start.momenta[range.clone()].to_vec();
            chunk.id = range.clone().map(|index| index as u32).collect();
            if start.perturbation.is_some() {
                chunk.lpt = range
                    .map(|index| {
                        let (s1, s2) = (first[index], second[index]);
                        [s1[0], s1[1], s1[2], s2[0], s2[1], s2[2]]
                    })
                    .collect();
                // The momentum of perturbation theory is carried apart: what is left at the start is nothing.
                chunk.p.fill([0.0; 3]);
            }
        });
        if let Some(index) = items.iter().find_map(|item| item.bad) {
            return Err(PmError::NotFinite { index });
        }
        let chunks = items.into_iter().map(|item| item.chunk).collect();
        Ok(Self { chunks, per_side: n, box_size: start.box_size_mpc_h, scratch: Mutex::default() })
    }

    /// Particles per side.
    pub fn per_side(&self) -> usize {
        self.per_side
    }

    /// Side of the box [Mpc/h].
    pub fn box_size_mpc_h(&self) -> f64 {
        self.box_size
    }

    /// Number of particles.
    pub fn len(&self) -> usize {
        self.per_side.pow(3)
    }

    /// There is always at least one particle.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Moves all particles by `drift` p, and with COLA by d1 s1 + d2 s2, then sorts each chunk by planes of a mesh of `cells` per side.
    pub(crate) fn drift_and_sort(&mut self, drift: f64, lpt: [f64; 2], cells: usize, threads: &Threads) {
        let scale = TURN / self.box_size;
        let (by_p, by_lpt) = (drift * scale, lpt.map(|d| d * scale));
        let scratch = &self.scratch;
        threads.for_each(&mut self.chunks, |_, chunk| {
            if chunk.lpt.is_empty() {
                for (x, p) in chunk.x.iter_mut().zip(&chunk.p) {
                    for axis in 0..3 {
                        x[axis] = moved(x[axis], f64::from(p[axis]) * by_p);
                    }
                }
            } else {
                for ((x, p), s) in chunk.x.iter_mut().zip(&chunk.p).zip(&chunk.lpt) {
                    for axis in 0..3 {
                        let lpt = f64::from(s[axis]) * by_lpt[0] + f64::from(s[axis + 3]) * by_lpt[1];
                        x[axis] = moved(x[axis], f64::from(p[axis]) * by_p + lpt);
                    }
                }
            }
            let mut other = scratch.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            chunk.sort(&mut other, cells);
            scratch.lock().unwrap_or_else(PoisonError::into_inner).push(other);
        });
    }

    /// Positions and velocities at scale factor `a`, which the momenta must belong to, in the order of the lattice.
    pub fn snapshot(&self, a: f64, growth: &Growth, threads: &Threads) -> Snapshot {
        let count = self.len();
        let mut positions = vec![[0.0f32; 3]; count];
        let mut velocities = vec![[0.0f32; 3]; count];
        let plane = self.per_side * self.per_side;
        let planes = chunk_planes(self.per_side);
        let mut items = Vec::with_capacity(planes.len());
        let (mut rest_x, mut rest_v) = (&mut positions[..], &mut velocities[..]);
        for range in &planes {
            let (x, behind) = std::mem::take(&mut rest_x).split_at_mut(range.len() * plane);
            rest_x = behind;
            let (v, behind) = std::mem::take(&mut rest_v).split_at_mut(range.len() * plane);
            rest_v = behind;
            items.push((x, v));
        }
        let unit = self.box_size / TURN;
        let at = growth.at(a);
        let momentum = a * a * growth.background().e(a);
        let lpt = [momentum * at.f1 * at.d1, momentum * at.f2 * at.d2];
        // v = a dx/dt = p H₀/a, with H₀ = 100 km/s per Mpc/h.
        let to_km_s = 100.0 / a;
        threads.for_each(&mut items, |c, (x, v)| {
            let chunk = &self.chunks[c];
            let first = planes[c].start * plane;
            for (i, &id) in chunk.id.iter().enumerate() {
                let to = id as usize - first;
                x[to] = chunk.x[i].map(|fraction| {
                    let position = (f64::from(fraction) * unit) as f32;
                    // Rounding to f32 may reach L, which is 0.
                    if f64::from(position) >= self.box_size { 0.0 } else { position }
                });
                let s = chunk.lpt.get(i);
                v[to] = std::array::from_fn(|axis| {
                    let carried = s.map_or(0.0, |s| f64::from(s[axis]) * lpt[0] + f64::from(s[axis + 3]) * lpt[1]);
                    ((f64::from(chunk.p[i][axis]) + carried) * to_km_s) as f32
                });
            }
        });
        Snapshot { a, positions, velocities }
    }
}

/// One slab's particles of one chunk.
pub(crate) struct Segment<'a> {
    pub(crate) x: &'a [[u32; 3]],
    pub(crate) p: &'a mut [[f32; 3]],
    pub(crate) lpt: &'a [[f32; 6]],
    /// Starts of the planes of the slab, and its end.
    pub(crate) starts: &'a [u32],
}

/// The particles of each slab of mesh planes, chunk by chunk; `slabs` cut the mesh that the particles are sorted for.
pub(crate) fn segments<'a>(particles: &'a mut Particles, slabs: &[Range<usize>]) -> Vec<Vec<Segment<'a>>> {
    let mut by_slab: Vec<Vec<Segment<'a>>> = slabs.iter().map(|_| Vec::with_capacity(particles.chunks.len())).collect();
    for chunk in &mut particles.chunks {
        let mut rest = &mut chunk.p[..];
        for (slab, range) in by_slab.iter_mut().zip(slabs) {
            let part = chunk.starts[range.start] as usize..chunk.starts[range.end] as usize;
            let (p, behind) = std::mem::take(&mut rest).split_at_mut(part.len());
            rest = behind;
            if part.is_empty() {
                continue;
            }
            let lpt = if chunk.lpt.is_empty() { &[][..] } else { &chunk.lpt[part.clone()] };
            slab.push(Segment { x: &chunk.x[part], p, lpt, starts: &chunk.starts[range.start..=range.end] });
        }
    }
    by_slab
}

/// A fixed-point position moved by `distance`, both in units of 2⁻³² of the box.
#[inline(always)]
fn moved(x: u32, distance: f64) -> u32 {
    x.wrapping_add(distance as i64 as u32)
}

/// The mesh cell of a position and how far it lies behind it, for a mesh whose value i lies at the centre of cell i.
#[inline(always)]
pub(crate) fn cell(x: u32, half_cell: u32, cells: usize) -> (usize, f32) {
    let scaled = u64::from(x.wrapping_sub(half_cell)) * cells as u64;
    ((scaled >> 32) as usize, (scaled as u32) as f32 * (1.0 / TURN as f32))
}

/// Half a cell as a fraction of the box, times 2³².
pub(crate) const fn half_cell(cells: usize) -> u32 {
    ((1u64 << 31) / cells as u64) as u32
}

impl Chunk {
    /// A stable counting sort by plane, through `other`, which holds what this held before.
    fn sort(&mut self, other: &mut Self, cells: usize) {
        let half = half_cell(cells);
        let count = self.x.len();
        let plane = |x: &[u32; 3]| cell(x[0], half, cells).0;
        other.starts.clear();
        other.starts.resize(cells + 2, 0);
        for x in &self.x {
            other.starts[plane(x) + 2] += 1;
        }
        for i in 2..cells + 2 {
            other.starts[i] += other.starts[i - 1];
        }
        other.x.resize(count, [0; 3]);
        other.p.resize(count, [0.0; 3]);
        other.id.resize(count, 0);
        other.lpt.resize(self.lpt.len(), [0.0; 6]);
        for i in 0..count {
            let next = &mut other.starts[plane(&self.x[i]) + 1];
            let to = *next as usize;
            *next += 1;
            other.x[to] = self.x[i];
            other.p[to] = self.p[i];
            other.id[to] = self.id[i];
            if !self.lpt.is_empty() {
                other.lpt[to] = self.lpt[i];
            }
        }
        other.starts.truncate(cells + 1);
        std::mem::swap(self, other);
    }
}
