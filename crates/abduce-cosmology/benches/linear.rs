//! Transforms of meshes, displacements of initial conditions, and the Boltzmann equations.

use abduce_cosmology::Cosmology;
use abduce_cosmology::fft::{Complex, MeshFft};
use abduce_cosmology::initial::{Derivative, LinearField, ModeCut, Order, WhiteNoise};
use abduce_cosmology::power::{LinearPower, Oscillations};
use abduce_data::Seed;
use abduce_kernels::Threads;
use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("linear");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for side in [128, 256] {
        let fft = MeshFft::<f32>::new([side; 3]).expect("a mesh");
        let mut modes = vec![Complex { re: 0.0, im: 0.0 }; fft.modes()];
        let mut mesh: Vec<f32> = (0..fft.cells()).map(|i| (i % 101) as f32).collect();
        for count in [1, 2] {
            let threads = Threads::new(count);
            group.bench_function(format!("fft-there-and-back-{side}^3-{count}threads"), |b| {
                b.iter(|| fft.filter(&mut mesh, &mut modes, &threads, |_, _, _| ()));
            });
        }
    }
    let power = LinearPower::eisenstein_hu(&Cosmology::QUIJOTE, Oscillations::Wiggles).expect("a model with a sigma8");
    let threads = Threads::new(2);
    group.bench_function("draw-and-2lpt-128^3-2threads", |b| {
        b.iter(|| {
            let noise = WhiteNoise::gaussian(Seed(1));
            LinearField::<f32>::draw(&power, 128, 500.0, &noise, ModeCut::Cube, &threads)
                .and_then(|field| field.perturbation(Order::Second, Derivative::Spectral, &threads))
        });
    });
    group.bench_function("boltzmann-1thread", |b| b.iter(|| LinearPower::boltzmann(&Cosmology::QUIJOTE, &Threads::single())));
    group.finish();
}

criterion_group!(linear, benches);
criterion_main!(linear);
