//! Contour lines by marching squares.

use crate::density::Surface;
use crate::draw::Point;

const NONE: u32 = u32::MAX;

/// Closed rings around the region where the surface is at least `level`, in the surface's coordinates, the region on their left.
///
/// The surface ends at its range: where the region reaches the border, rings run along it.
pub(crate) fn rings(surface: &Surface, level: f64) -> Vec<Vec<Point>> {
    let field = Field::around(surface, level);
    let (width, height) = (field.x.len(), field.y.len());
    // For each grid edge the edge where the line that enters through it leaves. Edge 2k joins node k to the next in x, 2k + 1 in y.
    let mut next = vec![NONE; 2 * width * height];
    for j in 0..height - 1 {
        for i in 0..width - 1 {
            let node = j * width + i;
            let corners = [node, node + 1, node + width + 1, node + width];
            let case = corners.iter().enumerate().fold(0, |case, (bit, k)| case | usize::from(field.values[*k] >= level) << bit);
            let bottom = 2 * node;
            let right = 2 * (node + 1) + 1;
            let top = 2 * (node + width);
            let left = 2 * node + 1;
            // In a saddle the middle decides which opposite corners are joined.
            let joined = || corners.iter().map(|k| field.values[*k]).sum::<f64>() / 4.0 >= level;
            let pairs: [Option<(usize, usize)>; 2] = match case {
                1 => [Some((bottom, left)), None],
                2 => [Some((right, bottom)), None],
                3 => [Some((right, left)), None],
                4 => [Some((top, right)), None],
                5 if joined() => [Some((bottom, right)), Some((top, left))],
                5 => [Some((bottom, left)), Some((top, right))],
                6 => [Some((top, bottom)), None],
                7 => [Some((top, left)), None],
                8 => [Some((left, top)), None],
                9 => [Some((bottom, top)), None],
                10 if joined() => [Some((right, top)), Some((left, bottom))],
                10 => [Some((right, bottom)), Some((left, top))],
                11 => [Some((right, top)), None],
                12 => [Some((left, right)), None],
                13 => [Some((bottom, right)), None],
                14 => [Some((left, bottom)), None],
                _ => [None, None],
            };
            for (from, to) in pairs.into_iter().flatten() {
                next[from] = to as u32;
            }
        }
    }
    let mut rings = Vec::new();
    for start in 0..next.len() {
        let mut ring = Vec::new();
        let mut edge = start;
        while next[edge] != NONE {
            ring.push(field.crossing(edge, level));
            edge = std::mem::replace(&mut next[edge], NONE) as usize;
        }
        if ring.len() >= 3 {
            rings.push(ring);
        }
    }
    rings
}

/// The surface with its border values repeated at the ends of the range, inside a ring of no width that lies below every level.
struct Field {
    x: Vec<f64>,
    y: Vec<f64>,
    values: Vec<f64>,
}

impl Field {
    fn around(surface: &Surface, level: f64) -> Self {
        let extended = |centres: &[f64], range: [f64; 2]| -> Vec<f64> {
            [range[0], range[0]].iter().chain(centres).chain(&[range[1], range[1]]).copied().collect()
        };
        let (x, y) = (extended(&surface.x, surface.x_range), extended(&surface.y, surface.y_range));
        let (nx, ny) = (surface.x.len(), surface.y.len());
        let outside = level - 1.0 - level.abs();
        let mut values = Vec::with_capacity(x.len() * y.len());
        for j in 0..y.len() {
            for i in 0..x.len() {
                let border = i == 0 || j == 0 || i + 1 == x.len() || j + 1 == y.len();
                let (from_i, from_j) = (i.saturating_sub(2).min(nx - 1), j.saturating_sub(2).min(ny - 1));
                values.push(if border { outside } else { surface.values[from_j * nx + from_i] });
            }
        }
        Self { x, y, values }
    }

    fn crossing(&self, edge: usize, level: f64) -> Point {
        let width = self.x.len();
        let node = edge / 2;
        let (i, j) = (node % width, node / width);
        let other = if edge.is_multiple_of(2) { node + 1 } else { node + width };
        let (a, b) = (self.values[node], self.values[other]);
        let t = ((level - a) / (b - a)).clamp(0.0, 1.0);
        if edge.is_multiple_of(2) {
            [self.x[i] + t * (self.x[i + 1] - self.x[i]), self.y[j]]
        } else {
            [self.x[i], self.y[j] + t * (self.y[j + 1] - self.y[j])]
        }
    }
}
