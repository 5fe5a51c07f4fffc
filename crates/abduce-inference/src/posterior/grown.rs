//! Chains that go on until they have converged, or as far as they may.

use super::ChainOptions;
use super::whitened::Whitened;
use crate::sampler::{Chains, Choice, Convergence, Method, Proposal, SamplerError, Schedule, StartOptions, Target, convergence, starts};
use abduce_data::Seed;
use std::sync::{Mutex, PoisonError};

/// A million times the length asked for.
const MOST_EXTENSIONS: usize = 20;

/// `draws` draws of every target, (targets, draws, d), neighbouring ones from different chains, and what is known about the chains.
///
/// A short run from the best of the proposal's points shows each target's correlations, and the long one is spared them. Targets whose chains have
/// not converged then go on for as long again, up to `options.extensions` times, with correlations taken from all that was drawn so far; the others
/// are left alone. What is handed out is spread evenly over the whole chains, and the report is of the whole chains.
pub(super) fn run(
    target: &dyn Target,
    proposal: &dyn Proposal,
    draws: usize,
    options: &ChainOptions,
    seed: Seed,
) -> Result<(Vec<f32>, Vec<Convergence>), SamplerError> {
    if options.extensions > MOST_EXTENSIONS {
        return Err(SamplerError::Option { option: "extensions", value: options.extensions as f64, expected: "at most 20" });
    }
    let num_chains = options.num_chains(draws);
    let schedule =
        Schedule { num_chains, warmup_steps: options.warmup_steps, thin: options.thin, draws: draws.div_ceil(num_chains.max(1)) };
    let start = StartOptions { num_chains, num_batches: options.start_batches, choice: Choice::Resample, ..StartOptions::default() };
    let starts = starts(target, proposal, &start, seed.derive("starts", 0))?;
    let short = options.warmup_steps.div_ceil(4);
    let pilot = Schedule { warmup_steps: short, thin: 1, draws: short.max(10), ..schedule };
    let pilot = options.method.sample(target, &starts, &pilot, seed.derive("pilot", 0))?;
    let main = Schedule { warmup_steps: options.warmup_steps.div_ceil(2), ..schedule };
    let first = go_on(&options.method, target, &pilot, &main, seed.derive("chains", 0))?;
    let mut grown: Vec<Grown> = (0..target.count()).map(|t| Grown::new(&first, t, pilot.report[t].evaluations)).collect();
    for extension in 1..=options.extensions {
        let missed: Vec<usize> = (0..grown.len()).filter(|&t| !grown[t].report.has_converged()).collect();
        if missed.is_empty() {
            break;
        }
        let so_far = together(&grown, &missed, num_chains, target.dimension());
        let subset = Subset { target, chosen: missed, of: Mutex::default() };
        let again = Schedule { warmup_steps: short, draws: so_far.length, ..schedule };
        let further = go_on(&options.method, &subset, &so_far, &again, seed.derive("chains", extension as u64))?;
        for (i, &t) in subset.chosen.iter().enumerate() {
            grown[t].append(&further, i);
        }
    }
    let mut all = Vec::with_capacity(target.count() * draws * target.dimension());
    for own in &grown {
        own.hand_out(draws, schedule.draws, &mut all);
    }
    Ok((all, grown.into_iter().map(|own| own.report).collect()))
}

/// Chains from where `before`, in z, ended, in coordinates without its correlations; their draws are in z.
fn go_on(method: &Method, target: &dyn Target, before: &Chains, schedule: &Schedule, seed: Seed) -> Result<Chains, SamplerError> {
    let whitened = Whitened::new(target, before);
    let mut chains = method.sample(&whitened, &whitened.starts(before), schedule, seed)?;
    let per_target = chains.draws.len() / chains.targets;
    for (t, own) in chains.draws.chunks_exact_mut(per_target).enumerate() {
        whitened.unwhiten(t, own);
    }
    Ok(chains)
}

/// All that the chains of one target have drawn.
struct Grown {
    /// z (chains, length, d).
    draws: Vec<f64>,
    num_chains: usize,
    dimension: usize,
    report: Convergence,
}

impl Grown {
    fn new(chains: &Chains, t: usize, evaluations: u64) -> Self {
        let mut report = chains.report[t].clone();
        report.evaluations += evaluations;
        let mut own = Self { draws: chains.of_target(t).to_vec(), num_chains: chains.chains, dimension: chains.dimension, report };
        own.judge();
        own
    }

    fn length(&self) -> usize {
        self.draws.len() / (self.num_chains * self.dimension)
    }

    /// Every chain of target `t` of `further` behind the same chain here.
    fn append(&mut self, further: &Chains, t: usize) {
        let (old, new) = (self.length() * self.dimension, further.length * self.dimension);
        let mut draws = Vec::with_capacity(self.num_chains * (old + new));
        for (before, after) in self.draws.chunks_exact(old).zip(further.of_target(t).chunks_exact(new)) {
            draws.extend_from_slice(before);
            draws.extend_from_slice(after);
        }
        let share = new as f64 / (old + new) as f64;
        let (own, added) = (&mut self.report, &further.report[t]);
        own.acceptance_rate = own.acceptance_rate.zip(added.acceptance_rate).map(|(a, b)| a + share * (b - a));
        own.divergences += added.divergences;
        own.evaluations += added.evaluations;
        own.non_finite += added.non_finite;
        self.draws = draws;
        self.judge();
    }

    /// What the draws say, on the scale of z.
    fn judge(&mut self) {
        let n = self.num_chains;
        let mut column = Vec::with_capacity(n * self.length());
        for j in 0..self.dimension {
            column.clear();
            column.extend(self.draws.iter().skip(j).step_by(self.dimension));
            self.report.r_hat[j] = convergence::r_hat(&column, n);
            self.report.ess_bulk[j] = convergence::ess_bulk(&column, n);
            self.report.ess_tail[j] = convergence::ess_tail(&column, n);
        }
        self.report.draws = n * self.length();
    }

    /// `draws` of them: of the chains, which are a multiple of `asked` long, every so many-th, and the k-th of all chains together.
    fn hand_out(&self, draws: usize, asked: usize, out: &mut Vec<f32>) {
        let (d, length) = (self.dimension, self.length());
        let stride = length / asked;
        out.extend((0..draws).flat_map(|i| {
            let at = ((i % self.num_chains) * length + (i / self.num_chains + 1) * stride - 1) * d;
            self.draws[at..at + d].iter().map(|&v| v as f32)
        }));
    }
}

/// The chains of the targets `chosen`, which have the same length.
fn together(grown: &[Grown], chosen: &[usize], chains: usize, dimension: usize) -> Chains {
    let draws: Vec<f64> = chosen.iter().flat_map(|&t| grown[t].draws.iter().copied()).collect();
    let length = chosen.first().map_or(0, |&t| grown[t].length());
    Chains { targets: chosen.len(), chains, length, dimension, draws, log_density: Vec::new(), report: Vec::new() }
}

/// Some of the targets, with the streams that they have among all.
struct Subset<'a> {
    target: &'a dyn Target,
    chosen: Vec<usize>,
    /// Of one call, kept for the next: samplers make one at a time.
    of: Mutex<Vec<usize>>,
}

impl Subset<'_> {
    fn with_targets(&self, of: &[usize], then: impl FnOnce(&[usize])) {
        let mut own = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        own.clear();
        own.extend(of.iter().map(|&t| self.chosen[t]));
        then(&own);
    }
}

impl Target for Subset<'_> {
    fn dimension(&self) -> usize {
        self.target.dimension()
    }

    fn count(&self) -> usize {
        self.chosen.len()
    }

    fn stream(&self, target: usize) -> u64 {
        self.target.stream(self.chosen[target])
    }

    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
        self.with_targets(of, |of| self.target.log_density(points, of, out));
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        self.with_targets(of, |of| self.target.log_density_gradient(points, of, out, gradient));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::SliceOptions;

    /// Per target N(0, 1)², or two such bumps 3 apart on both axes, between which slices cross now and then.
    struct Bumps(Vec<f64>);

    impl Target for Bumps {
        fn dimension(&self) -> usize {
            2
        }
        fn count(&self) -> usize {
            self.0.len()
        }
        fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
            for ((p, &t), out) in points.chunks_exact(2).zip(of).zip(out) {
                let bump = |at: f64| (-0.5 * p.iter().map(|x| (x - at).powi(2)).sum::<f64>()).exp();
                *out = (bump(-self.0[t]) + bump(self.0[t])).ln();
            }
        }
        fn log_density_gradient(&self, _: &[f64], _: &[usize], _: &mut [f64], _: &mut [f64]) {
            unreachable!("slices need no gradient")
        }
    }

    /// N(0, 5²)².
    struct Wide;

    impl Proposal for Wide {
        fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
            for (i, &t) in targets.iter().enumerate() {
                let mut rng = seed.stream("wide", t as u64);
                for r in i * draws..(i + 1) * draws {
                    let z = [rng.normal(), rng.normal()];
                    points[2 * r..2 * r + 2].copy_from_slice(&z.map(|z| 5.0 * z));
                    log_density[r] = -0.5 * z.iter().map(|z| z * z).sum::<f64>();
                }
            }
        }
    }

    fn options(extensions: usize) -> ChainOptions {
        ChainOptions { method: Method::Slice(SliceOptions::default()), num_chains: Some(5), thin: 1, extensions, ..ChainOptions::default() }
    }

    /// Exact per axis: mean 0, variance 1 + a². Targets that fall short get longer chains, by doubling and within the limit; the others keep the draws that they
    /// have without extensions. (R̂ of a thousand draws scatters by nearly 0.01, so some of the easy targets go on, too.)
    #[test]
    fn what_has_not_converged_goes_on_and_nothing_else_does() {
        let target = Bumps(vec![0.0, 2.0, 0.0, 0.0, 0.0]);
        let draws = 1000;
        let (short, before) = run(&target, &Wide, draws, &options(0), Seed(1)).unwrap();
        let (long, after) = run(&target, &Wide, draws, &options(5), Seed(1)).unwrap();
        assert!(before.iter().any(Convergence::has_converged) && !before[1].has_converged(), "{before:?}");
        assert_eq!(long.len(), 5 * 2 * draws);
        for (t, (before, after)) in before.iter().zip(&after).enumerate() {
            let own = t * 2 * draws..(t + 1) * 2 * draws;
            assert_eq!(before.draws, draws);
            if before.has_converged() {
                assert_eq!((&long[own.clone()], after), (&short[own], before));
                continue;
            }
            let factor = after.draws / draws;
            assert!(factor > 1 && factor.is_power_of_two() && factor <= 32, "{after:?}");
            assert!(after.has_converged() && after.evaluations > before.evaluations && after.min_ess() > before.min_ess(), "{after:?}");
        }
        for j in 0..2 {
            let values: Vec<f64> = long[2 * draws..4 * draws].iter().skip(j).step_by(2).map(|&z| f64::from(z)).collect();
            let mean = values.iter().sum::<f64>() / draws as f64;
            let variance = values.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / draws as f64;
            // At least 400 effective draws: standard error √5/20 = 0.11 of the mean; the square of such a two-sided variable scatters less than its mean.
            assert!(mean.abs() < 0.4 && (variance / 5.0 - 1.0).abs() < 0.25, "{mean}, {variance}");
        }
        // Alone or beside others, a target's chains are the same.
        let both = Bumps(vec![2.0, 2.0]);
        let (twins, _) = run(&both, &Wide, draws, &options(5), Seed(1)).unwrap();
        assert_eq!(twins[2 * draws..], long[2 * draws..4 * draws]);
    }

    /// Bumps too far apart for any slice: at the limit chains stop, and the report says that they have not converged.
    #[test]
    fn what_can_not_converge_stops_at_the_limit_and_says_so() {
        let (theta, report) = run(&Bumps(vec![8.0]), &Wide, 200, &options(2), Seed(3)).unwrap();
        assert_eq!((theta.len(), report[0].draws), (400, 800));
        assert!(!report[0].has_converged() && report[0].worst().1 > 1.2, "{report:?}");
    }

    /// What is handed out stands at the ends of equal stretches of the chains, chain after chain.
    #[test]
    fn draws_are_spread_evenly_over_the_chains() {
        let convergence = Convergence {
            r_hat: vec![1.0],
            ess_bulk: vec![1.0],
            ess_tail: vec![1.0],
            draws: 0,
            acceptance_rate: None,
            divergences: 0,
            evaluations: 0,
            non_finite: 0,
        };
        // Two chains of eight draws, four wanted of each.
        let own = Grown { draws: (0..16).map(f64::from).collect(), num_chains: 2, dimension: 1, report: convergence };
        let mut out = Vec::new();
        own.hand_out(7, 4, &mut out);
        assert_eq!(out, [1.0, 9.0, 3.0, 11.0, 5.0, 13.0, 7.0]);
    }
}
