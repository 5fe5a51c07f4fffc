//! Painting points on a mesh.
//!
//! Points are sorted by slab of planes, chunk by chunk; then every slab is painted by one thread, from the chunks in their order, with the
//! planes that it reaches into behind its end kept apart and added afterwards. Nothing depends on the number of threads, no cell is written
//! by two of them, and a slab stays in the cache while it is painted.

use super::stencil::{Slab, Stencil, slabs};
use super::{Convention, Grid, MeshError, Scheme};
use abduce_kernels::Threads;
use std::ops::Range;

/// How much each point adds.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// One each.
    Equal,
    /// A value per point.
    Each(&'a [f32]),
}

/// Points per chunk of the sort; beyond this many chunks they grow instead.
const CHUNK: usize = 1 << 16;
const MOST_CHUNKS: usize = 1024;

/// The density of points: each adds its weight, spread over cells by `scheme`; the sum over the mesh is the sum of the weights.
///
/// `points` (n, 3) in Mpc/h lie in [0, L]; L itself means 0. `shift_cells` moves all points by a fraction of a cell, 0 ≤ shift < 1, as
/// interlacing does. Returns N³ values in C order.
///
/// # Errors
/// A point that is not finite or not in the box, the first one by index; weights of another number than points.
pub fn deposit(
    points: &[[f32; 3]],
    weights: Weights<'_>,
    grid: Grid,
    scheme: Scheme,
    convention: Convention,
    shift_cells: f64,
    threads: &Threads,
) -> Result<Vec<f32>, MeshError> {
    if let Weights::Each(values) = weights
        && values.len() != points.len()
    {
        return Err(MeshError::Length { what: "weights", expected: points.len(), found: values.len() });
    }
    let job = Job { points, weights, grid, offset: convention.offset() - shift_cells };
    match scheme {
        Scheme::Ngp => job.run::<1>(threads),
        Scheme::Cic => job.run::<2>(threads),
        Scheme::Tsc => job.run::<3>(threads),
        Scheme::Pcs => job.run::<4>(threads),
    }
}

struct Job<'a> {
    points: &'a [[f32; 3]],
    weights: Weights<'a>,
    grid: Grid,
    offset: f64,
}

/// A chunk of points, sorted by slab.
struct Chunk {
    range: Range<usize>,
    /// Slab s has the points `starts[s]..starts[s + 1]`.
    starts: Vec<u32>,
    points: Vec<[f32; 3]>,
    weights: Vec<f32>,
    error: Option<MeshError>,
}

impl Job<'_> {
    fn run<const P: usize>(&self, threads: &Threads) -> Result<Vec<f32>, MeshError> {
        let n = self.grid.cells();
        let ranges = slabs(n, P);
        let mut slab_of_plane = vec![0u8; n];
        for (slab, range) in ranges.iter().enumerate() {
            slab_of_plane[range.clone()].fill(slab as u8);
        }
        let length = CHUNK.max(self.points.len().div_ceil(MOST_CHUNKS));
        let mut chunks: Vec<Chunk> = (0..self.points.len().div_ceil(length))
            .map(|c| Chunk {
                range: c * length..((c + 1) * length).min(self.points.len()),
                starts: Vec::new(),
                points: Vec::new(),
                weights: Vec::new(),
                error: None,
            })
            .collect();
        threads.for_each(&mut chunks, |_, chunk| self.sort::<P>(chunk, &slab_of_plane, ranges.len()));
        if let Some(error) = chunks.iter_mut().find_map(|chunk| chunk.error.take()) {
            return Err(error);
        }

        let mut mesh = vec![0.0f32; self.grid.values()];
        let mut painted = cut(&mut mesh, &ranges, n, P);
        threads.for_each(&mut painted, |s, slab| {
            for chunk in &chunks {
                let part = chunk.starts[s] as usize..chunk.starts[s + 1] as usize;
                let points = &chunk.points[part.clone()];
                match self.weights {
                    Weights::Equal => points.iter().for_each(|point| self.add::<P>(slab, point, 1.0)),
                    Weights::Each(_) => {
                        points.iter().zip(&chunk.weights[part]).for_each(|(point, &weight)| self.add::<P>(slab, point, weight));
                    }
                }
            }
        });
        drop(chunks);
        fold(painted, threads);
        Ok(mesh)
    }

    #[inline(always)]
    fn add<const P: usize>(&self, slab: &mut Slab<'_>, point: &[f32; 3], weight: f32) {
        let n = self.grid.cells();
        let scale = n as f64 / self.grid.box_size_mpc_h();
        let mut first = [0; 3];
        let mut w = [[0.0; P]; 3];
        for axis in 0..3 {
            let (i, weights) = Stencil::weights::<P>(f64::from(point[axis]) * scale - self.offset);
            first[axis] = Stencil::wrap(i, n);
            w[axis] = weights;
        }
        slab.add(n, first, &w, weight);
    }

    fn sort<const P: usize>(&self, chunk: &mut Chunk, slab_of_plane: &[u8], slabs: usize) {
        let points = &self.points[chunk.range.clone()];
        let n = self.grid.cells();
        let box_size = self.grid.box_size_mpc_h();
        let scale = n as f64 / box_size;
        // A box whose side is not a f32 may hold a point that was rounded up to the next one.
        let most = box_size as f32;
        let mut slab_of_point = vec![0u8; points.len()];
        let mut counts = [0u32; 257];
        for (i, point) in points.iter().enumerate() {
            // One test that NaN and infinity fail too.
            if !point.iter().all(|&x| x >= 0.0 && x <= most) {
                let index = chunk.range.start + i;
                chunk.error = Some(if point.iter().all(|x| x.is_finite()) {
                    MeshError::Outside { index, position: *point, box_size_mpc_h: box_size }
                } else {
                    MeshError::NotFinite { index, position: *point }
                });
                return;
            }
            let (plane, _) = Stencil::weights::<P>(f64::from(point[0]) * scale - self.offset);
            let slab = slab_of_plane[Stencil::wrap(plane, n)];
            slab_of_point[i] = slab;
            counts[usize::from(slab) + 1] += 1;
        }
        for s in 0..slabs {
            counts[s + 1] += counts[s];
        }
        chunk.starts = counts[..=slabs].to_vec();
        chunk.points = vec![[0.0; 3]; points.len()];
        let mut next = counts;
        match self.weights {
            Weights::Equal => {
                for (point, &slab) in points.iter().zip(&slab_of_point) {
                    let at = &mut next[usize::from(slab)];
                    chunk.points[*at as usize] = *point;
                    *at += 1;
                }
            }
            Weights::Each(weights) => {
                chunk.weights = vec![0.0; points.len()];
                for ((point, &slab), &weight) in points.iter().zip(&slab_of_point).zip(&weights[chunk.range.clone()]) {
                    let at = &mut next[usize::from(slab)];
                    chunk.points[*at as usize] = *point;
                    chunk.weights[*at as usize] = weight;
                    *at += 1;
                }
            }
        }
    }
}

/// The slabs of a mesh, with room for the planes that they reach into.
pub(crate) fn cut<'a>(mesh: &'a mut [f32], ranges: &[Range<usize>], n: usize, order: usize) -> Vec<Slab<'a>> {
    let mut rest = mesh;
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges {
        let (planes, behind) = std::mem::take(&mut rest).split_at_mut(range.len() * n * n);
        rest = behind;
        parts.push(Slab { first: range.start, planes, ghost: vec![0.0; (order - 1) * n * n] });
    }
    parts
}

/// Adds the planes that each slab reached into to the slab that owns them.
pub(crate) fn fold(painted: Vec<Slab<'_>>, threads: &Threads) {
    let (ghosts, mut planes): (Vec<Vec<f32>>, Vec<&mut [f32]>) = painted.into_iter().map(|slab| (slab.ghost, slab.planes)).unzip();
    let count = ghosts.len();
    threads.for_each(&mut planes, |s, own| {
        let ghost = &ghosts[(s + count - 1) % count];
        // A mesh of one slab may have fewer planes than the order of the scheme: its ghosts then wrap around more than once.
        for (at, &value) in ghost.iter().enumerate() {
            let at = if own.len() < ghost.len() { at % own.len() } else { at };
            own[at] += value;
        }
    });
}

/// Turns a density into its contrast δ = ρ/ρ̄ − 1 in place, and returns the mean ρ̄ per cell.
///
/// # Errors
/// The mean is not positive and finite.
pub fn density_contrast(mesh: &mut [f32], threads: &Threads) -> Result<f64, MeshError> {
    let mut sums: Vec<(&mut [f32], f64)> = mesh.chunks_mut(CHUNK).map(|part| (part, 0.0)).collect();
    threads.for_each(&mut sums, |_, (part, sum)| *sum = part.iter().map(|&value| f64::from(value)).sum());
    let sum: f64 = sums.iter().map(|(_, sum)| sum).sum();
    let values: usize = sums.iter().map(|(part, _)| part.len()).sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(MeshError::Empty { sum });
    }
    let mean = sum / values as f64;
    let inverse = 1.0 / mean;
    threads.for_each(&mut sums, |_, (part, _)| part.iter_mut().for_each(|value| *value = (f64::from(*value) * inverse - 1.0) as f32));
    Ok(mean)
}
