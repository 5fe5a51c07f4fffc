//! Points sorted into square rows along the last axis: all neighbours within a radius are found by sweeping nine rows.

use crate::mesh::MeshError;
use abduce_kernels::Threads;

/// Points in rows of cross-section (L/m)², sorted along the third axis within a row. The cross-section is at least the radius that the rows
/// were made for, so neighbours of a point lie in its own row and the eight around it.
pub(crate) struct Rows {
    /// Rows per axis, m.
    pub(crate) per_axis: usize,
    /// Row r = i m + j holds the places `starts[r]..starts[r + 1]`.
    pub(crate) starts: Vec<u32>,
    /// Coordinates of each place.
    pub(crate) points: Vec<[f32; 3]>,
    /// The index that each place's point had.
    pub(crate) indices: Vec<u32>,
    pub(crate) box_size: f64,
}

/// Slabs of rows that are sorted side by side.
const SLABS: usize = 64;

impl Rows {
    /// Sorts points, which must be finite and lie in [0, L], into rows at least `radius` wide. More than `most_per_axis` rows per axis are never
    /// made. The number of points fits into u32.
    pub(crate) fn new(points: &[[f32; 3]], box_size: f64, radius: f64, most_per_axis: usize, threads: &Threads) -> Result<Self, MeshError> {
        let most = box_size as f32;
        if let Some(index) = points.iter().position(|p| !p.iter().all(|&x| x >= 0.0 && x <= most)) {
            let position = points[index];
            return Err(if position.iter().all(|x| x.is_finite()) {
                MeshError::Outside { index, position, box_size_mpc_h: box_size }
            } else {
                MeshError::NotFinite { index, position }
            });
        }
        // A hair wider than the radius, so that rounding of a coordinate to its row can't hide a neighbour.
        let m = ((box_size / (radius * (1.0 + 1e-6))) as usize).clamp(1, most_per_axis.max(1));
        let scale = m as f64 / box_size;
        let cell = |x: f32| ((f64::from(x) * scale) as usize).min(m - 1);

        // First by slab of rows, then within each slab by row and along the row: both passes keep to memory that fits into a cache.
        let slabs = m.min(SLABS);
        let slab_of: Vec<u32> = (0..m).map(|i| (i * slabs / m) as u32).collect();
        let first_row: Vec<usize> = (0..=slabs).map(|s| (s * m).div_ceil(slabs)).collect();
        let mut slab_starts = vec![0u32; slabs + 1];
        for point in points {
            slab_starts[slab_of[cell(point[0])] as usize + 1] += 1;
        }
        for s in 0..slabs {
            slab_starts[s + 1] += slab_starts[s];
        }
        let mut indices = vec![0u32; points.len()];
        let mut next = slab_starts.clone();
        for (i, point) in points.iter().enumerate() {
            let at = &mut next[slab_of[cell(point[0])] as usize];
            indices[*at as usize] = i as u32;
            *at += 1;
        }
        let mut sorted = vec![[0.0f32; 3]; points.len()];
        let mut starts = vec![0u32; m * m + 1];

        struct Part<'a> {
            indices: &'a mut [u32],
            sorted: &'a mut [[f32; 3]],
            starts: &'a mut [u32],
        }
        let mut parts = Vec::with_capacity(slabs);
        let (mut rest_indices, mut rest_sorted, mut rest_starts) = (&mut indices[..], &mut sorted[..], &mut starts[..m * m]);
        for s in 0..slabs {
            let length = (slab_starts[s + 1] - slab_starts[s]) as usize;
            let (part_indices, behind) = std::mem::take(&mut rest_indices).split_at_mut(length);
            rest_indices = behind;
            let (part_sorted, behind) = std::mem::take(&mut rest_sorted).split_at_mut(length);
            rest_sorted = behind;
            let (part_starts, behind) = std::mem::take(&mut rest_starts).split_at_mut((first_row[s + 1] - first_row[s]) * m);
            rest_starts = behind;
            parts.push(Part { indices: part_indices, sorted: part_sorted, starts: part_starts });
        }
        threads.for_each(&mut parts, |s, part| {
            let row_of = |p: &[f32; 3]| (cell(p[0]) - first_row[s]) * m + cell(p[1]);
            let mut counts = vec![0u32; part.starts.len() + 1];
            for &i in &*part.indices {
                counts[row_of(&points[i as usize]) + 1] += 1;
            }
            for r in 0..part.starts.len() {
                counts[r + 1] += counts[r];
                part.starts[r] = slab_starts[s] + counts[r];
            }
            let mut by_row = vec![(0.0f32, 0u32); part.indices.len()];
            let mut next = counts.clone();
            for &i in &*part.indices {
                let point = &points[i as usize];
                let at = &mut next[row_of(point)];
                by_row[*at as usize] = (point[2], i);
                *at += 1;
            }
            for r in 0..part.starts.len() {
                by_row[counts[r] as usize..counts[r + 1] as usize].sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            }
            for ((&(_, i), index), sorted) in by_row.iter().zip(&mut *part.indices).zip(&mut *part.sorted) {
                *index = i;
                *sorted = points[i as usize];
            }
        });
        starts[m * m] = points.len() as u32;
        Ok(Self { per_axis: m, starts, points: sorted, indices, box_size })
    }

    /// The places of row (i, j).
    #[inline]
    pub(crate) fn row(&self, i: usize, j: usize) -> std::ops::Range<usize> {
        let r = i * self.per_axis + j;
        self.starts[r] as usize..self.starts[r + 1] as usize
    }

    /// Row index `i + step` along one axis, and by how much its points must be moved to lie beside those of row i.
    #[inline]
    pub(crate) fn beside(&self, i: usize, step: i64) -> (usize, f64) {
        let m = self.per_axis as i64;
        let to = i as i64 + step;
        let image = to.div_euclid(m);
        (to.rem_euclid(m) as usize, image as f64 * self.box_size)
    }

    /// Calls `visit(a, b, r²)` once for every pair of places with separation at most `radius`, a in rows (i, ·) of plane `i`, for pairs
    /// within that plane of rows and into the next one. All planes together give every pair once, or more often where the box is
    /// less than three rows wide. `skip(a, b)` may spare the arithmetic of a pair.
    #[inline]
    pub(crate) fn pairs_of_plane(
        &self,
        i: usize,
        radius: f64,
        skip: impl Fn(usize, usize) -> bool,
        mut visit: impl FnMut(usize, usize, f64),
    ) {
        let r2 = radius * radius;
        let l = self.box_size;
        for j in 0..self.per_axis {
            let own = self.row(i, j);
            if own.is_empty() {
                continue;
            }
            // Within the row: later places only, and images through the ends.
            for a in own.clone() {
                let p = self.points[a];
                for b in a + 1..own.end {
                    if f64::from(self.points[b][2]) - f64::from(p[2]) > radius {
                        break;
                    }
                    if !skip(a, b) {
                        let d2 = separation2(&p, &self.points[b], [0.0; 3]);
                        if d2 <= r2 {
                            visit(a, b, d2);
                        }
                    }
                }
            }
            self.sweep(own.clone(), own.clone(), [0.0, 0.0, l], radius, &skip, &mut visit);
            for (di, dj) in [(0, 1), (1, -1), (1, 0), (1, 1)] {
                let (ni, x) = self.beside(i, di);
                let (nj, y) = self.beside(j, dj);
                let other = self.row(ni, nj);
                if other.is_empty() {
                    continue;
                }
                for z in [0.0, l, -l] {
                    self.sweep(own.clone(), other.clone(), [x, y, z], radius, &skip, &mut visit);
                }
            }
        }
    }

    /// Pairs between two rows, the second one moved by `shift`.
    #[inline]
    fn sweep(
        &self,
        own: std::ops::Range<usize>,
        other: std::ops::Range<usize>,
        shift: [f64; 3],
        radius: f64,
        skip: &impl Fn(usize, usize) -> bool,
        visit: &mut impl FnMut(usize, usize, f64),
    ) {
        let z = |place: usize| f64::from(self.points[place][2]) + shift[2];
        let r2 = radius * radius;
        let last = f64::from(self.points[own.end - 1][2]);
        if z(other.start) > last + radius || z(other.end - 1) < f64::from(self.points[own.start][2]) - radius {
            return;
        }
        let mut low = other.start;
        for a in own {
            let p = self.points[a];
            let (bottom, top) = (f64::from(p[2]) - radius, f64::from(p[2]) + radius);
            while low < other.end && z(low) < bottom {
                low += 1;
            }
            for b in low..other.end {
                if z(b) > top {
                    break;
                }
                if !skip(a, b) {
                    let d2 = separation2(&p, &self.points[b], shift);
                    if d2 <= r2 {
                        visit(a, b, d2);
                    }
                }
            }
        }
    }
}

#[inline]
fn separation2(a: &[f32; 3], b: &[f32; 3], shift: [f64; 3]) -> f64 {
    let d = |axis: usize| f64::from(b[axis]) - f64::from(a[axis]) + shift[axis];
    let (x, y, z) = (d(0), d(1), d(2));
    x * x + y * y + z * z
}

impl Rows {
    /// Calls `visit(place, r²)` for every point within `radius` of `centre`, which lies in the box; the radius is below half the box.
    pub(crate) fn within(&self, centre: [f64; 3], radius: f64, mut visit: impl FnMut(usize, f64)) {
        let (m, l, r2) = (self.per_axis as i64, self.box_size, radius * radius);
        let width = l / m as f64;
        // A hair more than the radius: a point's row is a rounded quotient.
        let reach = |x: f64| {
            let low = ((x - radius) / width - 1e-6).floor() as i64;
            let high = ((x + radius) / width + 1e-6).floor() as i64;
            // Rows must not be visited twice where the sphere is as wide as the box.
            low..=high.min(low + m - 1)
        };
        for i in reach(centre[0]) {
            for j in reach(centre[1]) {
                let row = self.row(i.rem_euclid(m) as usize, j.rem_euclid(m) as usize);
                if row.is_empty() {
                    continue;
                }
                for image in [-l, 0.0, l] {
                    let (low, high) = (centre[2] - radius + image, centre[2] + radius + image);
                    if high < 0.0 || low > l {
                        continue;
                    }
                    let points = &self.points[row.clone()];
                    let first = points.partition_point(|p| f64::from(p[2]) < low);
                    for (at, p) in points.iter().enumerate().skip(first) {
                        if f64::from(p[2]) > high {
                            break;
                        }
                        let nearest = |axis: usize| {
                            let d = f64::from(p[axis]) - centre[axis];
                            d - l * (d / l).round()
                        };
                        let (x, y, z) = (nearest(0), nearest(1), nearest(2));
                        let d2 = x * x + y * y + z * z;
                        if d2 <= r2 {
                            visit(row.start + at, d2);
                        }
                    }
                }
            }
        }
    }
}
