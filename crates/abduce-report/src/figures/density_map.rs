//! A field on a periodic square as a picture, with circles over it.

use crate::draw::raster::LARGEST_SIDE;
use crate::error::FigureError;
use tiny_skia::{Color, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Stroke, Transform};

/// A map of values in a square whose opposite sides are one, linear between the centres of cells, dark where they are low, with circles such as haloes drawn over it.
///
/// ```
/// use abduce_report::DensityMap;
/// let map = DensityMap { values: (0..64).map(f64::from).collect(), side: 8, circles: vec![[0.5, 0.5, 0.1]] };
/// assert!(map.png(256)?.starts_with(b"\x89PNG"));
/// # Ok::<(), abduce_report::FigureError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DensityMap {
    /// Values of `side`² cells, row by row from the bottom; colours run evenly from the smallest to the largest.
    pub values: Vec<f64>,
    /// Cells per side.
    pub side: usize,
    /// Circles: x, y of the centre and radius, in units of the side, y upwards.
    pub circles: Vec<[f64; 3]>,
}

/// Colours from low to high, dark to bright with rising luminance, so that a grey print reads the same.
const RAMP: [[f64; 3]; 6] =
    [[4.0, 4.0, 16.0], [44.0, 20.0, 84.0], [120.0, 32.0, 108.0], [202.0, 62.0, 76.0], [246.0, 142.0, 50.0], [252.0, 250.0, 190.0]];

fn colour(t: f64) -> [u8; 3] {
    let at = t.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let i = (at as usize).min(RAMP.len() - 2);
    std::array::from_fn(|c| (RAMP[i][c] + (at - i as f64) * (RAMP[i + 1][c] - RAMP[i][c])).round() as u8)
}

impl DensityMap {
    /// The value at a place in units of cells from the first one's centre: bilinear.
    fn between(&self, x: f64, y: f64) -> f64 {
        let around = |at: f64| {
            let below = at.floor();
            let first = (below as isize).rem_euclid(self.side as isize) as usize;
            (first, (first + 1) % self.side, at - below)
        };
        let ((left, right, to_right), (bottom, top, up)) = (around(x), around(y));
        let row = |j: usize| (1.0 - to_right) * self.values[j * self.side + left] + to_right * self.values[j * self.side + right];
        (1.0 - up) * row(bottom) + up * row(top)
    }

    /// The picture, `pixels` wide and high.
    pub fn png(&self, pixels: u32) -> Result<Vec<u8>, FigureError> {
        let expected = self.side * self.side;
        if self.side == 0 {
            return Err(FigureError::Empty { what: "the map".into() });
        }
        if self.values.len() != expected {
            return Err(FigureError::Length { what: "the map".into(), expected, found: self.values.len() });
        }
        if let Some(index) = self.values.iter().position(|value| !value.is_finite()) {
            return Err(FigureError::NotFinite { what: "the map".into(), index, value: self.values[index] });
        }
        let pixmap = if (1..=LARGEST_SIDE).contains(&pixels) { Pixmap::new(pixels, pixels) } else { None };
        let side = f64::from(pixels);
        let Some(mut pixmap) = pixmap else {
            return Err(FigureError::PictureSize { width: side, height: side, scale: 1.0, limit: LARGEST_SIDE });
        };
        let (low, high) = self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        let span = if high > low { high - low } else { 1.0 };
        for (at, pixel) in pixmap.pixels_mut().iter_mut().enumerate() {
            let (x, y) = (at % pixels as usize, pixels as usize - 1 - at / pixels as usize);
            let cell = |p: usize| (p as f64 + 0.5) * self.side as f64 / side - 0.5;
            let [r, g, b] = colour((self.between(cell(x), cell(y)) - low) / span);
            if let Some(opaque) = PremultipliedColorU8::from_rgba(r, g, b, 255) {
                *pixel = opaque;
            }
        }
        let mut paint = Paint::default();
        paint.set_color(Color::from_rgba8(130, 220, 255, 220));
        let stroke = Stroke { width: (side / 500.0).max(1.0) as f32, ..Stroke::default() };
        for [x, y, radius] in &self.circles {
            if let Some(path) = PathBuilder::from_circle((x * side) as f32, ((1.0 - y) * side) as f32, (radius * side).max(1.5) as f32) {
                pixmap.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
            }
        }
        pixmap.encode_png().map_err(|error| FigureError::Drawing { reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_at_the_lower_left_and_wrong_shapes_are_refused() {
        let map = DensityMap { values: vec![0.0, 1.0, 1.0, 1.0], side: 2, circles: vec![] };
        let picture = Pixmap::decode_png(&map.png(2).unwrap()).unwrap();
        let dark = |x: u32, y: u32| picture.pixel(x, y).unwrap().red() < 10;
        assert!(dark(0, 1) && !dark(1, 1) && !dark(0, 0));
        // Linear on the way to the neighbour, over the edge too.
        assert_eq!([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, -0.5].map(|x| map.between(x, 0.0)), [0.0, 0.25, 0.5, 1.0, 0.5, 0.0, 0.5]);
        assert!(DensityMap { side: 3, ..map.clone() }.png(4).is_err());
        assert!(DensityMap { values: vec![f64::NAN; 4], ..map.clone() }.png(4).is_err());
        assert!(map.png(0).is_err());
    }
}
