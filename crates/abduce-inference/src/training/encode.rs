//! From stored pairs to what networks see.

use super::{Drawn, Engine, TrainingError, TrainingTask};
use crate::posterior::FeatureRange;
use crate::prior::{Prior, UnconstrainedTransform};
use abduce_data::{Array, Batch, Batches, DataError, Moments, PairSource, Rng, RowSet, Scaling, Seed, Standardiser};
use abduce_density::Space;
use abduce_nn::trainer::{RowSource, Rows};

/// θ → z and x → network input, fitted on the training rows, and the weights of a proposal.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    pub(super) transform: UnconstrainedTransform,
    pub(super) theta_scale: Standardiser,
    pub(super) x_scale: Standardiser,
    pub(super) x_range: FeatureRange,
    /// For a likelihood: of each feature that counts something, the distance of neighbouring counts in network input, and 0 of the others.
    cells: Vec<f32>,
    importance: Option<Importance>,
    prior: Prior,
}

/// p(θ)/p̃(θ), up to a constant factor.
#[derive(Clone, Debug)]
enum Ratio {
    /// Of the prior and a proposal that has a density.
    Densities(Box<[Prior; 2]>),
    /// Row by row.
    Rows(Vec<f64>),
}

#[derive(Clone, Debug)]
struct Importance {
    ratio: Ratio,
    /// Its mean over the training rows.
    mean: f64,
}

impl Importance {
    fn new(task: &TrainingTask<'_>) -> Result<Option<Self>, TrainingError> {
        let ratio = match task.proposal {
            None => return Ok(None),
            Some(Drawn::From(proposal)) => Ratio::Densities(Box::new([task.prior.clone(), proposal.clone()])),
            Some(Drawn::Weighted(weights)) if weights.len() == task.source.rows() => Ratio::Rows(weights.to_vec()),
            Some(Drawn::Weighted(weights)) => {
                return Err(TrainingError::Weights { found: weights.len(), rows: task.source.rows() });
            }
        };
        Ok(Some(Self { ratio, mean: 1.0 }))
    }

    fn ratio(&self, row: usize, theta: &[f64]) -> f64 {
        match &self.ratio {
            Ratio::Densities(densities) => {
                let [prior, proposal] = &**densities;
                (prior.log_prob(theta) - proposal.log_prob(theta)).exp()
            }
            Ratio::Rows(weights) => weights[row],
        }
    }
}

impl Encoder {
    /// Two passes over the source: θ against the prior and the moments of u and x; then the range of x.
    pub(super) fn fit(task: &TrainingTask<'_>) -> Result<Self, TrainingError> {
        let (source, prior) = (task.source, task.prior);
        let (d, width) = (source.theta_len(), source.x_len());
        if d != prior.parameters() {
            return Err(TrainingError::Dimension { theta: d, prior: prior.parameters() });
        }
        let space = space_of(task)?;
        let transform = match space {
            Space::Reals => prior.transform(),
            Space::Angles => UnconstrainedTransform::angles(prior.support())
                .map_err(|j| TrainingError::NotPeriodic(task.parameters.get(j).map_or_else(String::new, |p| p.name.clone())))?,
        };
        let mut outside: Option<(usize, usize, usize, f32)> = None;
        let (mut moments, mut u_row) = (Moments::new(d), vec![0.0f32; d]);
        let mut ratios = (0.0, 0usize);
        let mut failed = None;
        let (mut theta64, mut u) = (vec![0.0; d], vec![0.0; d]);
        let mut importance = Importance::new(task)?;
        source.for_each_chunk(|first, theta, _| {
            for (at, row) in theta.chunks_exact(d).enumerate() {
                if !source.kept().contains(first + at) {
                    continue;
                }
                let bad = row.iter().zip(prior.support()).position(|(&t, s)| !s.contains_rounded(t));
                if let Some(j) = bad {
                    let (count, ..) = *outside.get_or_insert((0, first + at, j, row[j]));
                    outside = outside.map(|(_, r, j, v)| (count + 1, r, j, v));
                    continue;
                }
                if task.split.train.contains(first + at) {
                    theta64.iter_mut().zip(row).for_each(|(a, &b)| *a = f64::from(b));
                    transform.unconstrained_from_theta(&theta64, &mut u);
                    u_row.iter_mut().zip(&u).for_each(|(a, &b)| *a = b as f32);
                    failed = moments.push(&u_row).err().or(failed.take());
                    if let Some(importance) = &importance {
                        ratios.0 += importance.ratio(first + at, &theta64);
                        ratios.1 += 1;
                    }
                }
            }
        })?;
        if let Some((count, row, j, value)) = outside {
            let support = prior.support()[j];
            let parameter = task.parameters[j].name.clone();
            return Err(TrainingError::OutsidePrior {
                count,
                rows: source.rows(),
                row,
                parameter,
                value,
                low: support.low,
                high: support.high,
            });
        }
        if let Some(importance) = &mut importance {
            importance.mean = ratios.0 / ratios.1.max(1) as f64;
        }
        // Angles stay as they are.
        let fitted = moments.finish(if space == Space::Angles { Scaling::None } else { Scaling::Independent });
        if let Some(&j) = fitted.constant().first() {
            return Err(TrainingError::ConstantParameter(task.parameters[j].name.clone()));
        }
        // Networks that go on from earlier weights keep the scales that those were trained with.
        let (theta_scale, x_scale) = match task.start {
            Some(start) => (start.theta_scale.clone(), start.x_scale.clone()),
            None => (fitted, Standardiser::fit_pairs(source, &task.split.train, Scaling::None, task.x_scaling)?.1),
        };
        let mut x_range = FeatureRange::empty(width);
        let mut scaled = Vec::new();
        let mut counts = vec![task.engine == Engine::Nle; width];
        source.for_each_chunk(|first, _, x| {
            scaled.clear();
            for at in task.split.train.iter_in(first..first + x.len() / width) {
                scaled.extend_from_slice(&x[(at - first) * width..(at - first + 1) * width]);
            }
            scaled.chunks_exact(width).for_each(|row| counts.iter_mut().zip(row).for_each(|(count, v)| *count &= v.fract() == 0.0));
            match x_scale.forward(&mut scaled) {
                Ok(()) => x_range.merge(&FeatureRange::of(&scaled, width)),
                Err(error) => failed = Some(error),
            }
        })?;
        match failed {
            Some(error) => Err(error.into()),
            None => {
                let cells = counts.iter().zip(x_scale.std()).map(|(&count, std)| if count { (1.0 / std) as f32 } else { 0.0 }).collect();
                Ok(Self { transform, theta_scale, x_scale, x_range, cells, importance, prior: prior.clone() })
            }
        }
    }

    /// Encodes a source that lies in memory once and for all; `None` for one in files, whose rows are encoded as they are read.
    pub(super) fn encode_in_memory(&self, source: &PairSource) -> Result<Option<PairSource>, DataError> {
        let Some((theta, x)) = source.arrays() else { return Ok(None) };
        let (mut theta, mut x): (Array, Array) = (theta.clone(), x.clone());
        self.encode(theta.data_mut(), x.data_mut())?;
        PairSource::from_arrays(theta, x).map(Some)
    }

    /// θ → z and x → network input in place.
    pub(super) fn encode(&self, theta: &mut [f32], x: &mut [f32]) -> Result<(), DataError> {
        let d = self.transform.parameters.len();
        let (mut theta64, mut u) = (vec![0.0; d], vec![0.0; d]);
        for row in theta.chunks_exact_mut(d) {
            theta64.iter_mut().zip(&*row).for_each(|(a, &b)| *a = f64::from(b));
            self.transform.unconstrained_from_theta(&theta64, &mut u);
            for (j, value) in row.iter_mut().enumerate() {
                *value = ((u[j] - self.theta_scale.mean()[j]) / self.theta_scale.std()[j]) as f32;
            }
        }
        self.x_scale.forward(x)
    }

    /// Adds uniform noise on ±½ to the features of encoded x (n, …) that are counts: the density of the sum at a count is then its probability, while that of the
    /// counts themselves has no bound, and its fit no end (Theis et al. 2016, arXiv:1511.01844).
    fn spread_counts(&self, x: &mut [f32], rng: &mut Rng) {
        if self.cells.iter().all(|cell| *cell == 0.0) {
            return;
        }
        for row in x.chunks_exact_mut(self.cells.len()) {
            for (x, cell) in row.iter_mut().zip(&self.cells).filter(|(_, cell)| **cell > 0.0) {
                *x += cell * (rng.uniform() - 0.5) as f32;
            }
        }
    }

    /// ln p(z) of an encoded row, up to a constant.
    pub(super) fn log_prior(&self, z: &[f32]) -> f32 {
        let scales = self.theta_scale.mean().iter().zip(self.theta_scale.std());
        let u: Vec<f64> = z.iter().zip(scales).map(|(&z, (m, s))| f64::from(z) * s + m).collect();
        let mut theta = vec![0.0; u.len()];
        let log_det = self.transform.theta_with_log_abs_det(&u, &mut theta);
        (self.prior.log_prob(&theta) + log_det) as f32
    }

    /// p/p̃ of encoded rows with these numbers in the source, over its mean; nothing where there is no proposal.
    fn weights(&self, rows: &[usize], z: &[f32], weights: &mut Vec<f32>) {
        weights.clear();
        let Some(importance) = &self.importance else { return };
        let d = self.transform.parameters.len();
        let (mut u, mut theta) = (vec![0.0; d], vec![0.0; d]);
        for (&number, row) in rows.iter().zip(z.chunks_exact(d)) {
            for j in 0..d {
                u[j] = f64::from(row[j]) * self.theta_scale.std()[j] + self.theta_scale.mean()[j];
            }
            self.transform.theta_from_unconstrained(&u, &mut theta);
            weights.push((importance.ratio(number, &theta) / importance.mean) as f32);
        }
    }
}

/// Where the densities of all networks live: they see one and the same z.
fn space_of(task: &TrainingTask<'_>) -> Result<Space, TrainingError> {
    let mut spaces = task.nets.iter().map(|net| net.network.space());
    let first = spaces.next().unwrap_or(Space::Reals);
    if spaces.all(|space| space == first) { Ok(first) } else { Err(TrainingError::MixedSpaces) }
}

impl FeatureRange {
    fn merge(&mut self, other: &Self) {
        self.add(&other.low);
        self.add(&other.high);
    }
}

/// Mini-batches of encoded pairs.
pub(super) struct PairRows<'a> {
    batches: Batches<'a>,
    batch: Batch,
    seed: Option<Seed>,
    /// For sources whose rows are not encoded yet.
    converter: Option<&'a Encoder>,
    encoder: &'a Encoder,
}

impl<'a> PairRows<'a> {
    pub(super) fn new(
        source: &'a PairSource,
        rows: &'a RowSet,
        batch_size: usize,
        buffer_bytes: usize,
        seed: Seed,
        converter: Option<&'a Encoder>,
        encoder: &'a Encoder,
    ) -> Result<Self, DataError> {
        Ok(Self {
            batches: Batches::new(source, rows, batch_size, buffer_bytes)?,
            batch: Batch::default(),
            seed: Some(seed),
            converter,
            encoder,
        })
    }

    /// Rows come in the order of the source.
    pub(super) fn in_order(self) -> Self {
        Self { seed: None, ..self }
    }
}

impl RowSource for PairRows<'_> {
    type Error = DataError;

    fn start(&mut self, epoch: u64) {
        match self.seed {
            Some(seed) => self.batches.start_shuffled(seed, epoch),
            None => self.batches.start_in_order(),
        }
    }

    fn next(&mut self, rows: &mut Rows) -> Result<usize, DataError> {
        let n = self.batches.next_batch(&mut self.batch)?;
        if let Some(converter) = self.converter {
            converter.encode(&mut self.batch.theta, &mut self.batch.x)?;
        }
        rows.inputs.resize_with(2, Vec::new);
        // The tables change hands; the batch gets them back, with their memory, at the next call.
        std::mem::swap(&mut rows.inputs[0], &mut self.batch.theta);
        std::mem::swap(&mut rows.inputs[1], &mut self.batch.x);
        self.encoder.weights(&self.batch.rows, &rows.inputs[0], &mut rows.weights);
        Ok(n)
    }
}

/// Rows for the network of an engine: pairs as they are, swapped, or each with θ of others.
pub(super) struct EngineRows<'a> {
    engine: Engine,
    pairs: PairRows<'a>,
    batch: Rows,
    seed: Seed,
    epoch: u64,
    number: u64,
    others: Vec<usize>,
}

impl<'a> EngineRows<'a> {
    pub(super) fn new(engine: Engine, pairs: PairRows<'a>, seed: Seed) -> Self {
        Self { engine, pairs, batch: Rows::default(), seed, epoch: 0, number: 0, others: Vec::new() }
    }
}

impl RowSource for EngineRows<'_> {
    type Error = DataError;

    fn start(&mut self, epoch: u64) {
        (self.epoch, self.number) = (epoch, 0);
        self.pairs.start(epoch);
    }

    fn next(&mut self, rows: &mut Rows) -> Result<usize, DataError> {
        if matches!(self.engine, Engine::Npe | Engine::Field) {
            return self.pairs.next(rows);
        }
        let n = self.pairs.next(&mut self.batch)?;
        if n == 0 {
            return Ok(0);
        }
        self.number += 1;
        rows.inputs.resize_with(2, Vec::new);
        std::mem::swap(&mut rows.weights, &mut self.batch.weights);
        if let Engine::Atomic { prior_rows, .. } = self.engine {
            rows.weights.clear();
            rows.weights.extend(self.pairs.batch.rows.iter().map(|&row| f32::from(u8::from(row < prior_rows))));
        }
        if matches!(self.engine, Engine::Nle) {
            for (to, from) in [(0, 1), (1, 0)] {
                std::mem::swap(&mut rows.inputs[to], &mut self.batch.inputs[from]);
            }
            // Validation rows, which come in the order of the source, have the same noise in every epoch.
            let epoch = if self.pairs.seed.is_some() { self.epoch } else { 0 };
            self.pairs.encoder.spread_counts(&mut rows.inputs[0], &mut self.seed.stream("counts", (epoch << 32) | self.number));
            return Ok(n);
        }
        let (theta, x) = (&self.batch.inputs[0], &self.batch.inputs[1]);
        let (d, width) = (theta.len() / n, x.len() / n);
        let mut rng = self.seed.stream("atoms", (self.epoch << 32) | self.number);
        rows.group = self.engine.group(n);
        rows.inputs.iter_mut().for_each(Vec::clear);
        rows.offsets.clear();
        let of_atoms: Vec<f32> = match self.engine {
            Engine::Atomic { .. } => theta.chunks_exact(d).map(|z| self.pairs.encoder.log_prior(z)).collect(),
            _ => Vec::new(),
        };
        for i in 0..n {
            self.others.clear();
            self.others.push(i);
            while self.others.len() < rows.group {
                // Few among many: drawing again where one is there already is cheap.
                let other = rng.below(n);
                if !self.others.contains(&other) {
                    self.others.push(other);
                }
            }
            for &atom in &self.others {
                rows.inputs[0].extend_from_slice(&theta[atom * d..(atom + 1) * d]);
                rows.inputs[1].extend_from_slice(&x[i * width..(i + 1) * width]);
                rows.offsets.extend(of_atoms.get(atom));
            }
        }
        Ok(n * rows.group)
    }
}
