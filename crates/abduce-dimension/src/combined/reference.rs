//! Simulated clouds of known dimension: the manifolds that a cloud is compared with.

use abduce_data::Rng;

/// A cloud of `rows` points on a random d-dimensional manifold that spans at most `span` axes, as rows of at most that many values.
pub fn simulate(rows: usize, d: usize, span: usize, rng: &mut Rng) -> (usize, Vec<f64>) {
    let (mut width, mut values) = source(rows, d, span, rng);
    // Unequal axes.
    if rng.uniform() < 0.6 {
        let spread = 0.8 * rng.uniform();
        let scale: Vec<f64> = (0..width).map(|_| libm::exp(spread * rng.normal())).collect();
        for row in values.chunks_exact_mut(width) {
            row.iter_mut().zip(&scale).for_each(|(v, s)| *v *= s);
        }
    }
    if width < span {
        (width, values) = embed(width, values, span, rng);
    }
    if width > d && rng.uniform() < 0.2 {
        let noise = log_uniform(rng, 1e-4, 3e-2);
        values.iter_mut().for_each(|v| *v += noise * rng.normal());
    }
    (width, values)
}

fn log_uniform(rng: &mut Rng, low: f64, high: f64) -> f64 {
    libm::exp(low.ln() + (high / low).ln() * rng.uniform())
}

/// Points of about unit variance: in R^d, or on a closed surface in more coordinates.
fn source(rows: usize, d: usize, span: usize, rng: &mut Rng) -> (usize, Vec<f64>) {
    let mut values = Vec::with_capacity(rows * (d + 1));
    let root3 = 3f64.sqrt();
    let kinds = if d < span { 11 } else { 7 };
    match rng.below(kinds) {
        0 => values.extend((0..rows * d).map(|_| root3 * (2.0 * rng.uniform() - 1.0))),
        1 => values.extend((0..rows * d).map(|_| rng.normal())),
        2 => {
            let (a, b) = (log_uniform(rng, 0.5, 4.0), log_uniform(rng, 0.5, 4.0));
            let (mean, sd) = (a / (a + b), (a * b / ((a + b) * (a + b) * (a + b + 1.0))).sqrt());
            values.extend((0..rows * d).map(|_| (rng.beta(a, b) - mean) / sd));
        }
        3 => {
            // A ball.
            for _ in 0..rows {
                let start = values.len();
                values.extend((0..d).map(|_| rng.normal()));
                let length = values[start..].iter().map(|v| v * v).sum::<f64>().sqrt();
                let radius = rng.uniform_open_low().powf(1.0 / d as f64) * ((d + 2) as f64).sqrt() / length;
                values[start..].iter_mut().for_each(|v| *v *= radius);
            }
        }
        4 => {
            let shape = log_uniform(rng, 1.0, 5.0);
            values.extend((0..rows * d).map(|_| (rng.gamma(shape) - shape) / shape.sqrt()));
        }
        5 => {
            // Some coordinates with edges, some without.
            let share = rng.uniform();
            let bounded: Vec<bool> = (0..d).map(|_| rng.uniform() < share).collect();
            for _ in 0..rows {
                values.extend(bounded.iter().map(|b| if *b { root3 * (2.0 * rng.uniform() - 1.0) } else { rng.normal() }));
            }
        }
        6 => {
            // Heavy tails along the radius.
            let df = log_uniform(rng, 4.0, 30.0);
            for _ in 0..rows {
                let radius = (df / rng.chi2(df)).sqrt();
                values.extend((0..d).map(|_| radius * rng.normal()));
            }
        }
        7 | 8 => {
            // The surface |x|_p = 1: octahedron, sphere, cube and between.
            let power = [1.0, 1.5, 2.0, 2.0, 2.0, 3.0, 5.0, f64::INFINITY][rng.below(8)];
            for _ in 0..rows {
                let start = values.len();
                values.extend((0..=d).map(|_| rng.normal()));
                let point = &mut values[start..];
                let length = if power.is_infinite() {
                    point.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
                } else {
                    point.iter().map(|v| v.abs().powf(power)).sum::<f64>().powf(1.0 / power)
                };
                point.iter_mut().for_each(|v| *v /= length);
            }
            let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
            values.iter_mut().for_each(|v| *v /= variance.sqrt());
            return (d + 1, values);
        }
        9 => {
            // A product of spheres of random dimensions, as many as the axes allow.
            let mut left = d;
            let mut spheres = Vec::new();
            while left > 0 {
                let part = if spheres.len() + 1 + d >= span { left } else { 1 + rng.below(left) };
                spheres.push(part);
                left -= part;
            }
            for _ in 0..rows {
                for &part in &spheres {
                    let start = values.len();
                    values.extend((0..=part).map(|_| rng.normal()));
                    let length = values[start..].iter().map(|v| v * v).sum::<f64>().sqrt();
                    values[start..].iter_mut().for_each(|v| *v *= ((part + 1) as f64).sqrt() / length);
                }
            }
            return (d + spheres.len(), values);
        }
        _ => {
            // Circles and intervals.
            let circles = rng.below(d + 1).min(span - d);
            for _ in 0..rows {
                for _ in 0..circles {
                    let (sin, cos) = libm::sincos(std::f64::consts::TAU * rng.uniform());
                    values.extend([std::f64::consts::SQRT_2 * cos, std::f64::consts::SQRT_2 * sin]);
                }
                values.extend((circles..d).map(|_| root3 * (2.0 * rng.uniform() - 1.0)));
            }
            return (d + circles, values);
        }
    }
    (d, values)
}

/// Bends a cloud into more axes.
fn embed(width: usize, values: Vec<f64>, span: usize, rng: &mut Rng) -> (usize, Vec<f64>) {
    let rows = values.len() / width;
    let target = span.min(3 * width + 6);
    let extra = target - width;
    let few = 1 + rng.below(width.min(3));
    match rng.below(7) {
        // A plane with noise around it.
        0 => {
            let noise = log_uniform(rng, 1e-4, 3e-2);
            let mut out = Vec::with_capacity(rows * target);
            for row in values.chunks_exact(width) {
                out.extend_from_slice(row);
                out.extend((0..extra).map(|_| noise * rng.normal()));
            }
            (target, out)
        }
        // The graph of sines of a few coordinates.
        1 | 2 => {
            let waves = Waves::draw(width, extra, few, 2.5, rng);
            let amplitude = log_uniform(rng, 0.05, 1.5);
            let mut out = Vec::with_capacity(rows * target);
            for row in values.chunks_exact(width) {
                out.extend_from_slice(row);
                waves.push(row, amplitude, &mut out);
            }
            (target, out)
        }
        // The graph of a quadratic.
        3 => {
            let amplitude = log_uniform(rng, 0.03, 0.7);
            let pairs: Vec<(usize, usize)> = (0..extra).map(|_| (rng.below(width), rng.below(width))).collect();
            let mut out = Vec::with_capacity(rows * target);
            for row in values.chunks_exact(width) {
                out.extend_from_slice(row);
                out.extend(pairs.iter().map(|&(i, j)| amplitude * row[i] * row[j]));
            }
            (target, out)
        }
        // Waves everywhere, on a slope or not.
        4 => {
            let waves = Waves::draw(width, target, few, 2.0, rng);
            let slope = rng.uniform();
            let mut out = Vec::with_capacity(rows * target);
            for row in values.chunks_exact(width) {
                let start = out.len();
                waves.push(row, 1.0, &mut out);
                for j in 0..target {
                    out[start + j] += slope * row[j % width];
                }
            }
            (target, out)
        }
        // Products of two coordinates and nothing else, as in a projector x xᵀ or a matrix of low rank.
        5 if width * (width + 1) / 2 >= target => {
            let mut pairs: Vec<(usize, usize)> = (0..width).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
            rng.shuffle(&mut pairs);
            pairs.truncate(target);
            let offset = if rng.uniform() < 0.5 { 0.0 } else { 2.0 * rng.uniform() };
            let mut out = Vec::with_capacity(rows * target);
            for row in values.chunks_exact(width) {
                out.extend(pairs.iter().map(|&(i, j)| (offset + row[i]) * (offset + row[j])));
            }
            (target, out)
        }
        // Products of waves and coordinates.
        _ => {
            let waves = Waves::draw(width, target, few, 2.0, rng);
            let offset = 2.0 * rng.uniform();
            let mut out = Vec::with_capacity(rows * target);
            for row in values.chunks_exact(width) {
                let start = out.len();
                waves.push(row, 1.0, &mut out);
                for j in 0..target {
                    out[start + j] *= offset + row[j % width];
                }
            }
            (target, out)
        }
    }
}

/// sin(w·x + phase), each of a few coordinates.
struct Waves {
    terms: Vec<(Vec<(usize, f64)>, f64)>,
}

impl Waves {
    fn draw(width: usize, count: usize, few: usize, fastest: f64, rng: &mut Rng) -> Self {
        let frequency = log_uniform(rng, 0.2, fastest) / (few as f64).sqrt();
        let terms = (0..count)
            .map(|_| {
                let weights = (0..few).map(|_| (rng.below(width), frequency * rng.normal())).collect();
                (weights, std::f64::consts::TAU * rng.uniform())
            })
            .collect();
        Self { terms }
    }

    fn push(&self, row: &[f64], amplitude: f64, out: &mut Vec<f64>) {
        for (weights, phase) in &self.terms {
            out.push(amplitude * libm::sin(weights.iter().map(|(i, w)| w * row[*i]).sum::<f64>() + phase));
        }
    }
}
