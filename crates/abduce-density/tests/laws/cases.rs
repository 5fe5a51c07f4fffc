//! What the laws are checked on: families, shapes, perturbed parameters and random data.

use abduce_data::{Rng, Seed};
use abduce_density::{Architecture, DensitySpec, Estimator, Space, SplineSpec};
use abduce_kernels::transpose::features_from_rows;
use abduce_kernels::{Simd, Threads};
use abduce_nn::{ActivationName, Compute, EmbeddingSpec, Frame};
use std::ops::Range;

/// One specification of each family, small enough for finite differences by every parameter.
pub(crate) fn families() -> Vec<DensitySpec> {
    let spline = SplineSpec { bins: 5, bound: 3.0 };
    vec![
        DensitySpec::Mdn { hidden: vec![9, 8], components: 3 },
        DensitySpec::Made { hidden: vec![10, 9], components: 2 },
        DensitySpec::Maf { transforms: 3, hidden: vec![10, 9] },
        DensitySpec::MafRqs { transforms: 2, hidden: vec![10, 9], spline },
        DensitySpec::Nsf { transforms: 3, hidden: 8, blocks: 2, spline },
        DensitySpec::Nice { transforms: 3, hidden: vec![8, 7] },
        DensitySpec::RealNvp { transforms: 3, hidden: vec![8, 7] },
        DensitySpec::Gf { transforms: 3, hidden: vec![8, 7], components: 3 },
        DensitySpec::Ncsf { transforms: 2, hidden: vec![9, 8], bins: 4 },
        DensitySpec::Sospf { transforms: 2, hidden: vec![9, 8], polynomials: 2, degree: 3, bound: 3.0 },
        DensitySpec::Bpf { transforms: 2, hidden: vec![9, 8], degree: 6, bound: 3.0 },
        DensitySpec::Naf { transforms: 2, hidden: vec![9, 8], signal: 3 },
        DensitySpec::Unaf { transforms: 2, hidden: vec![9, 8], signal: 3, bound: 3.0 },
        DensitySpec::Cnf { hidden: 6, frequencies: 2, steps: 16 },
    ]
}

/// (features, context, embedding) of the full matrix.
pub(crate) fn shapes() -> Vec<(usize, usize, EmbeddingSpec)> {
    let fcn = EmbeddingSpec::Fcn { hidden: vec![6, 3], activation: ActivationName::SiLU };
    let residual = EmbeddingSpec::Residual { hidden: 6, blocks: 2, out: 3, activation: ActivationName::GELU };
    let mut shapes = Vec::new();
    for features in [1, 2, 5] {
        shapes.push((features, 0, EmbeddingSpec::Identity));
        for context in [1, 4] {
            shapes.push((features, context, EmbeddingSpec::Identity));
            shapes.push((features, context, fcn.clone()));
        }
        shapes.push((features, 4, residual.clone()));
    }
    shapes
}

/// An estimator with parameters away from their start, and random data for it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) estimator: Estimator,
    pub(crate) params: Vec<f32>,
    pub(crate) rows: usize,
    /// (rows, features)
    pub(crate) theta: Vec<f32>,
    /// (rows, context)
    pub(crate) x: Vec<f32>,
}

impl Case {
    /// Spread of the noise on the initial parameters: splines, gates and linear maps all leave the special points at which they start,
    /// and densities keep widths of order one.
    const PERTURBATION: f64 = 0.25;

    pub(crate) fn new(density: DensitySpec, features: usize, context: usize, embedding: EmbeddingSpec, rows: usize) -> Self {
        let name = format!("{} D={features} context={context} {embedding:?}", density.family());
        let estimator = Estimator::new(Architecture { density, embedding, features, context }).expect("a valid architecture");
        let layout = estimator.layout();
        let mut rng = Seed(7).stream(&name, 0);
        let mut params = layout.initialise(Seed(7));
        let trained = |i: usize| layout.gradient_mask().is_none_or(|mask| mask[i] != 0.0);
        for (i, p) in params.iter_mut().enumerate() {
            let noise = (Self::PERTURBATION * rng.normal()) as f32;
            if trained(i) {
                *p += noise;
            }
        }
        // Wide enough that some values lie beyond the bound of 3 of splines and polynomials.
        let theta = normals(&mut rng, rows * features, 1.4);
        let x = normals(&mut rng, rows * context, 1.0);
        Self { name, estimator, params, rows, theta, x }
    }

    pub(crate) fn features(&self) -> usize {
        self.estimator.architecture().features
    }

    pub(crate) fn context(&self) -> usize {
        self.estimator.architecture().context
    }

    /// θ of one row, in f64.
    pub(crate) fn theta_row(&self, row: usize) -> Vec<f64> {
        wide(&self.theta[row * self.features()..][..self.features()])
    }

    /// x of one row, in f64.
    pub(crate) fn x_row(&self, row: usize) -> Vec<f64> {
        wide(&self.x[row * self.context()..][..self.context()])
    }

    /// Copies rows of θ and x into a frame of the joint graph.
    pub(crate) fn fill(&self, rows: Range<usize>, frame: &mut Frame) {
        let (lanes, features, context) = (frame.lanes(), self.features(), self.context());
        features_from_rows(&self.theta[rows.start * features..], rows.len(), features, frame.input_mut(0), lanes);
        if context > 0 {
            features_from_rows(&self.x[rows.start * context..], rows.len(), context, frame.input_mut(1), lanes);
        }
    }

    /// log q of every row with its own x.
    pub(crate) fn log_prob(&self, compute: &Compute) -> Vec<f32> {
        self.estimator.log_prob(compute, &self.params, &self.theta, &self.x, |row| row)
    }

    /// Where θ lives.
    pub(crate) fn space(&self) -> Space {
        self.estimator.architecture().density.space()
    }

    /// Whether the networks have no input at all, so that they are constants whose units may be dead.
    pub(crate) fn networks_see_nothing(&self) -> bool {
        let independent = matches!(self.estimator.architecture().density, DensitySpec::Mdn { .. });
        self.context() == 0 && (self.features() == 1 || independent)
    }
}

/// The full matrix.
pub(crate) fn all(rows: usize) -> impl Iterator<Item = Case> {
    families().into_iter().flat_map(move |density| {
        shapes().into_iter().map(move |(features, context, embedding)| Case::new(density.clone(), features, context, embedding, rows))
    })
}

/// Every family with this shape and no embedding.
pub(crate) fn of_shape(features: usize, context: usize, rows: usize) -> impl Iterator<Item = Case> {
    families().into_iter().map(move |density| Case::new(density, features, context, EmbeddingSpec::Identity, rows))
}

/// Each SIMD level of this machine on the calling thread.
pub(crate) fn levels() -> Vec<Compute> {
    Simd::all().into_iter().map(|simd| Compute { simd, threads: Threads::single() }).collect()
}

pub(crate) fn best() -> Compute {
    Compute::with_threads(1)
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn normals(rng: &mut Rng, count: usize, spread: f64) -> Vec<f32> {
    (0..count).map(|_| (spread * rng.normal()) as f32).collect()
}
