//! Targets with known moments, and what all samplers owe.

mod contracts;
mod flows;
mod harmonic;
mod moments;
mod proposals;
mod variational;

use super::*;
use abduce_kernels::Threads;
use std::sync::atomic::{AtomicU64, Ordering};

type Density = Box<dyn Fn(usize, &[f64], &mut [f64]) -> f64 + Sync>;

/// Densities by a function of (target, point, gradient) that returns log π.
pub(super) struct Analytic {
    dimension: usize,
    count: usize,
    density: Density,
    threads: Threads,
    rows: AtomicU64,
}

impl Analytic {
    fn new(dimension: usize, count: usize, density: impl Fn(usize, &[f64], &mut [f64]) -> f64 + Sync + 'static) -> Self {
        Self { dimension, count, density: Box::new(density), threads: Threads::single(), rows: AtomicU64::new(0) }
    }
}

impl Target for Analytic {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn count(&self) -> usize {
        self.count
    }

    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
        let mut gradient = vec![0.0; points.len()];
        self.log_density_gradient(points, of, out, &mut gradient);
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        assert!(of.is_sorted(), "rows come target by target");
        self.rows.fetch_add(of.len() as u64, Ordering::Relaxed);
        let d = self.dimension;
        if self.threads.count() == 1 {
            for ((point, gradient), (&t, out)) in points.chunks(d).zip(gradient.chunks_mut(d)).zip(of.iter().zip(out)) {
                *out = (self.density)(t, point, gradient);
            }
            return;
        }
        let mut blocks: Vec<_> =
            points.chunks(16 * d).zip(of.chunks(16)).zip(out.chunks_mut(16)).zip(gradient.chunks_mut(16 * d)).collect();
        self.threads.for_each(&mut blocks, |_, (((points, of), out), gradient)| {
            for ((point, gradient), (&t, out)) in points.chunks(d).zip(gradient.chunks_mut(d)).zip(of.iter().zip(out.iter_mut())) {
                *out = (self.density)(t, point, gradient);
            }
        });
    }
}

/// log N(x; m, s²) up to a constant, adding its derivative by x to `gradient`.
fn normal(x: f64, m: f64, s: f64, gradient: &mut f64) -> f64 {
    let z = (x - m) / s;
    *gradient += -z / s;
    -0.5 * z * z
}

/// N(t, 1) in each of `d` coordinates, for target t.
fn shifted_normals(d: usize, count: usize) -> Analytic {
    Analytic::new(d, count, |t, x, g| {
        g.fill(0.0);
        x.iter().zip(g).map(|(&x, g)| normal(x, t as f64, 1.0, g)).sum()
    })
}

/// `chains` starts per target at centre + spread · N(0, 1).
fn scattered(target: &dyn Target, chains: usize, centre: &[f64], spread: &[f64]) -> Vec<f64> {
    let mut rng = Seed(77).stream("starts", 0);
    let d = target.dimension();
    (0..target.count() * chains * d).map(|i| centre[i % d] + spread[i % d] * rng.normal()).collect()
}

fn all_methods() -> [Method; 4] {
    [
        Method::Slice(SliceOptions::default()),
        Method::Stretch(StretchOptions::default()),
        Method::Hmc(HmcOptions::default()),
        Method::Nuts(NutsOptions::default()),
    ]
}
