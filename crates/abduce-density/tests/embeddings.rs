//! Large embeddings in front of densities: the density's gradient goes through them, down to every pixel and every weight.

use abduce_data::Seed;
use abduce_density::{Architecture, By, DensitySpec, Estimator, Indexed, SplineSpec};
use abduce_kernels::Simd;
use abduce_nn::nets::{Cnn, Edge, SetTransformer};
use abduce_nn::{ActivationName, Compute, EmbeddingSpec, Step};

const FEATURES: usize = 2;
const ROWS: usize = 6;

fn embeddings() -> [(EmbeddingSpec, usize); 2] {
    let activation = ActivationName::SiLU;
    let cnn = Cnn {
        in_shape: vec![1, 6, 6],
        n_channels: vec![4, 6],
        kernel_sizes: vec![3, 3],
        strides: vec![1, 2],
        pool_sizes: vec![],
        n_hiddens: vec![8, 3],
        activation,
        edge: Edge::Periodic,
    };
    let set =
        SetTransformer { in_shape: [5, 2], width: 6, heads: 2, layers: 1, inner: 8, inducing: 0, seeds: 1, n_hiddens: vec![3], activation };
    [(EmbeddingSpec::Cnn(cnn), 36), (EmbeddingSpec::SetTransformer(set), 10)]
}

fn densities() -> [DensitySpec; 3] {
    let spline = SplineSpec { bins: 5, bound: 3.0 };
    [
        DensitySpec::Mdn { hidden: vec![8], components: 2 },
        DensitySpec::Maf { transforms: 2, hidden: vec![8] },
        DensitySpec::Nsf { transforms: 2, hidden: 8, blocks: 1, spline },
    ]
}

fn normals(purpose: &str, n: usize, scale: f64) -> Vec<f32> {
    let mut rng = Seed(31).stream(purpose, 0);
    (0..n).map(|_| (scale * rng.normal()) as f32).collect()
}

/// Slopes of log q along the gradient. A step of 0.005 leaves 1e-4 of rounding in f32 values of size 3 to 10; Richardson's rule takes the curvature off, but the
/// second derivative of a spline jumps at its knots: 1 %.
#[test]
fn gradients_by_data_and_weights_go_through_the_embedding() {
    for (embedding, context) in embeddings() {
        for density in densities() {
            let name = format!("{} behind {embedding:?}", density.family());
            let flow = Estimator::new(Architecture { density, embedding: embedding.clone(), features: FEATURES, context }).unwrap();
            let params: Vec<f32> = flow.layout().initialise(Seed(4));
            let (theta, x) = (normals("theta", ROWS * FEATURES, 0.7), normals("x", ROWS * context, 1.0));
            let compute = Compute::with_threads(1);
            let score = |params: &[f32], x: &[f32]| flow.log_prob(&compute, params, &theta, x, |r| r);
            let slope = |f: &dyn Fn(f32) -> f64| {
                let at = |h: f32| (f(h) - f(-h)) / (2.0 * f64::from(h));
                (4.0 * at(0.005) - at(0.01)) / 3.0
            };

            let table = |t| Indexed { table: t, row: |r: usize| r };
            let (_, by_x) = flow.gradient_indexed(&compute, &params, ROWS, table(&theta[..]), table(&x[..]), By::Context);
            for r in 0..ROWS {
                let gradient = &by_x[r * context..(r + 1) * context];
                let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                assert!(norm > 1e-5, "{name}: row {r} sees no data");
                let along = |h: f32| {
                    let mut moved = x.clone();
                    moved[r * context..(r + 1) * context].iter_mut().zip(gradient).for_each(|(x, g)| *x += h * g / norm as f32);
                    f64::from(score(&params, &moved)[r])
                };
                let slope = slope(&along);
                assert!((slope - norm).abs() < 0.01 * norm + 5e-4, "{name}, row {r}: slope {slope}, gradient {norm}");
            }

            let mut step = Step::new(flow.joint(), params.len(), flow.layout().gradient_mask(), Simd::best(), &compute.threads);
            let (_, norm) = step.fused(
                &params,
                ROWS,
                |rows, frame| {
                    frame.fill_input(0, &theta[rows.start * FEATURES..]);
                    frame.fill_input(1, &x[rows.start * context..]);
                },
                |rows, frame| {
                    frame.output_gradient_mut(0).fill(0.0);
                    frame.output_gradient_mut(0)[..rows.len()].fill(1.0);
                    frame.output(0)[..rows.len()].iter().map(|&v| f64::from(v)).sum()
                },
            );
            let gradient = step.gradient();
            let along = |h: f32| {
                let moved: Vec<f32> = params.iter().zip(gradient).map(|(p, g)| p + h * g / norm as f32).collect();
                score(&moved, &x).iter().map(|&s| f64::from(s)).sum()
            };
            let slope = slope(&along);
            assert!((slope - norm).abs() < 0.01 * norm, "{name}: slope {slope}, gradient {norm}");
            let of_embedding = flow.layout().parameters().iter().filter(|p| p.name.starts_with("embedding."));
            for parameter in of_embedding.filter(|p| !p.name.ends_with("key.bias")) {
                assert!(gradient[parameter.range.clone()].iter().any(|&g| g != 0.0), "{name}: `{}` has no gradient", parameter.name);
            }
        }
    }
}

#[test]
fn an_embedding_that_does_not_fit_is_an_error() {
    for (embedding, context) in embeddings() {
        let architecture = Architecture {
            density: DensitySpec::Maf { transforms: 1, hidden: vec![4] },
            embedding,
            features: FEATURES,
            context: context + 1,
        };
        let message = Estimator::new(architecture).unwrap_err().to_string();
        assert!(message.starts_with("embedding: the network takes"), "{message}");
    }
}
