//! Clouds of known dimension: the twelve visible benchmark manifolds (Hein & Audibert 2005; Campadelli et al. 2015; formulas as in scikit-dimension), and others
//! that no setting was chosen on and that none of the simulated references contains.

use abduce_data::Rng;
use std::f64::consts::{PI, TAU};

/// Appends one point.
type Point = Box<dyn Fn(&mut Rng, &mut Vec<f64>)>;

/// A cloud's name, its dimension and its rule.
pub(crate) struct Manifold {
    pub(crate) name: &'static str,
    pub(crate) dimension: usize,
    point: Point,
}

impl Manifold {
    fn new(name: &'static str, dimension: usize, point: impl Fn(&mut Rng, &mut Vec<f64>) + 'static) -> Self {
        Self { name, dimension, point: Box::new(point) }
    }

    /// `n` points as rows, and their number of columns.
    pub(crate) fn draw(&self, n: usize, rng: &mut Rng) -> (usize, Vec<f64>) {
        let mut values = Vec::new();
        (0..n).for_each(|_| (self.point)(rng, &mut values));
        (values.len() / n, values)
    }
}

fn uniform(rng: &mut Rng, d: usize) -> Vec<f64> {
    (0..d).map(|_| rng.uniform()).collect()
}

fn normal(rng: &mut Rng, d: usize) -> Vec<f64> {
    (0..d).map(|_| rng.normal()).collect()
}

fn direction(rng: &mut Rng, d: usize) -> Vec<f64> {
    let g = normal(rng, d);
    let length = g.iter().map(|v| v * v).sum::<f64>().sqrt();
    g.iter().map(|v| v / length).collect()
}

/// `count` orthonormal vectors of R^n, uniform, by Gram-Schmidt.
fn frame(rng: &mut Rng, n: usize, count: usize) -> Vec<Vec<f64>> {
    let mut frame: Vec<Vec<f64>> = Vec::new();
    for _ in 0..count {
        let mut v = normal(rng, n);
        for u in &frame {
            let along: f64 = u.iter().zip(&v).map(|(a, b)| a * b).sum();
            v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
        }
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        frame.push(v.iter().map(|v| v / length).collect());
    }
    frame
}

/// The twelve, in the order of the reference table.
pub(crate) fn visible() -> Vec<Manifold> {
    vec![
        Manifold::new("M1_Sphere", 10, |rng, out| out.extend(direction(rng, 11))),
        Manifold::new("M2_Affine_3to5", 3, |rng, out| {
            let p: Vec<f64> = uniform(rng, 3).iter().map(|u| 4.0 * u).collect();
            let rows = [[1.2, -0.5, 0.0], [0.5, 0.9, 0.0], [-0.5, -0.2, 1.0], [0.4, -0.9, -0.1], [1.1, -0.3, 0.0]];
            out.extend(rows.iter().zip([3.0, -1.0, 0.0, 0.0, 8.0]).map(|(a, b)| a[0] * p[0] + a[1] * p[1] + a[2] * p[2] + b));
        }),
        Manifold::new("M3_Nonlinear_4to6", 4, |rng, out| {
            let p = uniform(rng, 4);
            let t = TAU * p[0];
            out.extend([
                p[1] * p[1] * t.cos(),
                p[2] * p[2] * t.sin(),
                p[1] + p[2] + (p[1] - p[3]).powi(2),
                p[1] - 2.0 * p[2] + (p[0] - p[3]).powi(2),
                -p[1] - 2.0 * p[2] + (p[2] - p[3]).powi(2),
                p[0] * p[0] - p[1] * p[1] + p[2] * p[2] - p[3] * p[3],
            ]);
        }),
        Manifold::new("M5a_Helix1d", 1, |rng, out| {
            let t = TAU * rng.uniform();
            out.extend([(2.0 + (8.0 * t).cos()) * t.cos(), (2.0 + (8.0 * t).cos()) * t.sin(), (8.0 * t).sin()]);
        }),
        Manifold::new("M7_Roll", 2, |rng, out| {
            let (t, y) = (1.5 * PI * (1.0 + 2.0 * rng.uniform()), 21.0 * rng.uniform());
            out.extend([t * t.cos(), y, t * t.sin()]);
        }),
        Manifold::new("M9_Affine", 20, |rng, out| out.extend(uniform(rng, 20).iter().map(|u| 5.0 * u - 2.5))),
        Manifold::new("M10a_Cubic", 10, |rng, out| {
            let start = out.len();
            out.extend(uniform(rng, 11));
            let face = rng.below(22);
            out[start + face / 2] = (face % 2) as f64;
        }),
        Manifold::new("M11_Moebius", 2, |rng, out| {
            let (a, r) = (TAU * rng.uniform(), 2.0 * rng.uniform() - 1.0);
            let radius = 1.0 + 0.5 * r * (5.0 * a).cos();
            out.extend([radius * a.cos(), radius * a.sin(), 0.5 * r * (5.0 * a).sin()]);
        }),
        Manifold::new("M12_Norm", 20, |rng, out| out.extend(normal(rng, 20))),
        Manifold::new("M13a_Scurve", 2, |rng, out| {
            let (t, y) = (3.0 * PI * (rng.uniform() - 0.5), 2.0 * rng.uniform());
            out.extend([t.sin(), y, t.signum() * (t.cos() - 1.0)]);
        }),
        Manifold::new("Mn1_Nonlinear", 18, |rng, out| {
            let x = uniform(rng, 18);
            let a: Vec<f64> = (0..18).map(|i| (x[i] * x[17 - i].cos()).tan()).collect();
            let b: Vec<f64> = (0..18).map(|i| (x[17 - i] * x[i].sin()).atan()).collect();
            [&a, &b, &a, &b].iter().for_each(|part| out.extend(part.iter()));
        }),
        Manifold::new("Mp1_Paraboloid", 3, |rng, out| {
            let e: Vec<f64> = (0..4).map(|_| rng.exponential()).collect();
            let mut x: Vec<f64> = (1..4).map(|j| 1.0 / (1.0 + e[j] / e[0])).collect();
            x.push(x.iter().map(|v| v * v).sum());
            out.extend(&x);
            out.extend(x.iter().map(|v| v.sin()));
            out.extend(x.iter().map(|v| v * v));
        }),
    ]
}

/// Manifolds of other kinds and dimensions: groups, projectors, matrices of low rank, simplices, random networks, images, spectra, walks, and familiar shapes in dimensions of
/// their own.
pub(crate) fn others() -> Vec<Manifold> {
    let mut all = vec![
        Manifold::new("circle", 1, |rng, out| {
            let t = TAU * rng.uniform();
            out.extend([t.cos(), t.sin()]);
        }),
        Manifold::new("trefoil", 1, |rng, out| {
            let t = TAU * rng.uniform();
            out.extend([t.sin() + 2.0 * (2.0 * t).sin(), t.cos() - 2.0 * (2.0 * t).cos(), -(3.0 * t).sin()]);
        }),
        Manifold::new("torus in space", 2, |rng, out| {
            let (a, b) = (TAU * rng.uniform(), TAU * rng.uniform());
            out.extend([(3.0 + a.cos()) * b.cos(), (3.0 + a.cos()) * b.sin(), a.sin()]);
        }),
        Manifold::new("noisy Swiss roll", 2, |rng, out| {
            let (t, y) = (1.5 * PI * (1.0 + 2.0 * rng.uniform()), 21.0 * rng.uniform());
            out.extend([t * t.cos(), y, t * t.sin()]);
            let end = out.len();
            out[end - 3..].iter_mut().for_each(|v| *v += 0.05 * rng.normal());
        }),
        Manifold::new("blob in 16 x 16 pixels", 2, |rng, out| {
            let (x, y) = (3.0 * rng.uniform() - 1.5, 3.0 * rng.uniform() - 1.5);
            let at = |i: usize| -3.0 + 0.4 * i as f64;
            out.extend((0..256).map(|p| (-((at(p / 16) - x).powi(2) + (at(p % 16) - y).powi(2)) / 1.28).exp()));
        }),
        Manifold::new("polynomial graph", 3, |rng, out| {
            let x = uniform(rng, 3);
            out.extend([x[0], x[1], x[2], x[0] * x[1], x[1] * x[2] * x[2], x[0].powi(3)]);
        }),
        Manifold::new("line on a slope", 4, |rng, out| {
            let c = uniform(rng, 4);
            let at = |i: usize| -3.0 + 0.4 * i as f64;
            let line = |g: f64| (-(g - 3.0 * c[0] + 1.5).powi(2) / (2.0 * (0.4 + 0.6 * c[1]).powi(2))).exp() * (1.0 + c[2]) + c[3] * g;
            out.extend((0..16).map(|i| line(at(i))));
        }),
        Manifold::new("roll x cube", 5, |rng, out| {
            let t = 1.5 * PI * (1.0 + 2.0 * rng.uniform());
            out.extend([t * t.cos(), 21.0 * rng.uniform(), t * t.sin()]);
            out.extend(uniform(rng, 3).iter().map(|u| 15.0 * u));
        }),
        Manifold::new("Laplace 6", 6, |rng, out| {
            out.extend((0..6).map(|_| if rng.uniform() < 0.5 { rng.exponential() } else { -rng.exponential() }));
        }),
        Manifold::new("curved cube 6", 6, |rng, out| {
            let x = uniform(rng, 6);
            out.extend(&x);
            out.extend(x.iter().map(|v| v * v));
            out.extend(x.iter().map(|v| (3.0 * v).sin()));
        }),
        Manifold::new("unequal axes 10", 10, |rng, out| out.extend((0..10).map(|i| rng.normal() * (-0.25 * f64::from(i)).exp()))),
        Manifold::new("walk of 10 steps", 10, |rng, out| {
            let mut sum = 0.0;
            out.extend((0..10).map(|_| {
                sum += rng.normal();
                sum
            }));
        }),
        Manifold::new("unequal cube 12", 12, |rng, out| out.extend((1..13).map(|i| rng.uniform() * f64::from(i).powf(-0.7)))),
    ];
    for (name, d) in [("sphere 2", 2), ("sphere 5", 5), ("sphere 14", 14), ("sphere 25", 25)] {
        all.push(Manifold::new(name, d, move |rng, out| out.extend(direction(rng, d + 1))));
    }
    for (name, d) in [("cube 5", 5), ("cube 9", 9), ("cube 14", 14), ("cube 30", 30)] {
        all.push(Manifold::new(name, d, move |rng, out| out.extend(uniform(rng, d))));
    }
    for (name, d) in [("normal 4", 4), ("normal 10", 10), ("normal 15", 15), ("normal 30", 30)] {
        all.push(Manifold::new(name, d, move |rng, out| out.extend(normal(rng, d))));
    }
    for (name, d) in [("flat torus 3", 3), ("flat torus 7", 7), ("flat torus 12", 12)] {
        all.push(Manifold::new(name, d, move |rng, out| {
            for _ in 0..d {
                let t = TAU * rng.uniform();
                out.extend([t.cos(), t.sin()]);
            }
        }));
    }
    for (name, n) in [("SO(3)", 3), ("SO(4)", 4), ("SO(5)", 5), ("SO(6)", 6)] {
        // The component of the group makes no difference to a dimension.
        all.push(Manifold::new(name, n * (n - 1) / 2, move |rng, out| frame(rng, n, n).iter().for_each(|v| out.extend(v))));
    }
    for (name, n) in [("planes of R^6", 6), ("planes of R^10", 10)] {
        all.push(Manifold::new(name, 2 * (n - 2), move |rng, out| {
            let f = frame(rng, n, 2);
            out.extend((0..n * n).map(|p| f.iter().map(|v| v[p / n] * v[p % n]).sum::<f64>()));
        }));
    }
    for (name, a, b) in [("rank 1, 3 x 4", 3, 4), ("rank 1, 5 x 6", 5, 6), ("rank 1, 8 x 9", 8, 9)] {
        all.push(Manifold::new(name, a + b - 1, move |rng, out| {
            let (u, v) = (normal(rng, a), normal(rng, b));
            out.extend((0..a * b).map(|p| u[p / b] * v[p % b]));
        }));
    }
    for (name, d) in [("simplex 4", 4), ("simplex 8", 8), ("simplex 16", 16)] {
        all.push(Manifold::new(name, d, move |rng, out| {
            let e: Vec<f64> = (0..=d).map(|_| rng.exponential()).collect();
            let sum: f64 = e.iter().sum();
            out.extend(e.iter().map(|e| e / sum));
        }));
    }
    for (name, d, columns) in
        [("network 2", 2, 10), ("network 5", 5, 20), ("network 8", 8, 30), ("network 12", 12, 50), ("network 16", 16, 60)]
    {
        let mut weights = abduce_data::Seed(31).stream("network", d as u64);
        let first: Vec<f64> = (0..60 * (d + 1)).map(|_| weights.normal()).collect();
        let second: Vec<f64> = (0..60 * columns).map(|_| weights.normal()).collect();
        all.push(Manifold::new(name, d, move |rng, out| {
            let x = normal(rng, d);
            let unit = |h: usize| {
                let w = &first[h * (d + 1)..(h + 1) * (d + 1)];
                (1.2 / (d as f64).sqrt() * w.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() + 0.5 * w[d]).tanh()
            };
            let hidden: Vec<f64> = (0..60).map(unit).collect();
            out.extend((0..columns).map(|j| hidden.iter().enumerate().map(|(h, v)| v * second[h * columns + j]).sum::<f64>()));
        }));
    }
    all
}
