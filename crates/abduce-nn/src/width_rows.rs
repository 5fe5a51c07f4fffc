//! Training rows with a width each, for networks whose code is ordered.

use crate::trainer::{RowSource, Rows};
use crate::widths::WidthLaw;
use abduce_data::Seed;

/// What widths depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WidthRole {
    /// On the epoch and the row's position in its pass: one width per row, fresh ones every epoch.
    Training,
    /// On the position alone, so that the score changes with the weights of the network only. Each row is repeated at `times` widths, one in each
    /// `1/times`-th of their law.
    Validation {
        /// Widths per row; at least one.
        times: usize,
    },
}

/// A source of rows with one more table: a width per row, k ~ ρ.
///
/// Within a pass, widths are the quantiles of a Kronecker sequence u_i = frac(u₀ + i (√5 - 1)/2): any run of consecutive rows covers ρ evenly, which
/// takes the variance of the widths out of a batch's gradient. They do not depend on the batches. Weights of rows are passed on; rows must not be
/// coupled by their loss.
#[derive(Debug)]
pub struct WidthRows<S> {
    source: S,
    law: WidthLaw,
    role: WidthRole,
    seed: Seed,
    pairs: Rows,
    offset: f64,
    position: u64,
}

/// (√5 - 1)/2
const GOLDEN: f64 = 0.618_033_988_749_894_9;

impl<S> WidthRows<S> {
    /// Adds widths of this law.
    pub fn new(source: S, law: WidthLaw, role: WidthRole, seed: Seed) -> Self {
        Self { source, law, role, seed, pairs: Rows::default(), offset: 0.0, position: 0 }
    }
}

impl<S: RowSource> RowSource for WidthRows<S> {
    type Error = S::Error;

    fn start(&mut self, epoch: u64) {
        self.source.start(epoch);
        self.position = 0;
        self.offset = match self.role {
            WidthRole::Training => self.seed.stream("widths", epoch).uniform(),
            WidthRole::Validation { .. } => 0.5,
        };
    }

    fn next(&mut self, rows: &mut Rows) -> Result<usize, S::Error> {
        let n = self.source.next(&mut self.pairs)?;
        if n == 0 {
            return Ok(0);
        }
        let times = match self.role {
            WidthRole::Training => 1,
            WidthRole::Validation { times } => times.max(1),
        };
        let tables = self.pairs.inputs.len();
        rows.inputs.resize_with(tables + 1, Vec::new);
        for (to, from) in rows.inputs.iter_mut().zip(&mut self.pairs.inputs) {
            if times == 1 {
                // The tables change hands; the source gets them back, with their memory, at the next call.
                std::mem::swap(to, from);
            } else {
                to.clear();
                from.chunks_exact(from.len() / n).for_each(|row| (0..times).for_each(|_| to.extend_from_slice(row)));
            }
        }
        rows.weights.clear();
        self.pairs.weights.iter().for_each(|&w| rows.weights.extend(std::iter::repeat_n(w, times)));
        let widths = &mut rows.inputs[tables];
        widths.clear();
        for _ in 0..n {
            let base = self.offset + self.position as f64 * GOLDEN;
            let base = base - base.floor();
            widths.extend((0..times).map(|t| self.law.quantile((t as f64 + base) / times as f64) as f32));
            self.position += 1;
        }
        Ok(n * times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::widths::Weights;

    /// Rows 0, 1, 2, … in batches.
    struct Count {
        rows: usize,
        batch: usize,
        next: usize,
    }

    impl RowSource for Count {
        type Error = std::convert::Infallible;
        fn start(&mut self, _epoch: u64) {
            self.next = 0;
        }
        fn next(&mut self, rows: &mut Rows) -> Result<usize, Self::Error> {
            let n = self.batch.min(self.rows - self.next);
            let values: Vec<f32> = (self.next..self.next + n).map(|r| r as f32).collect();
            rows.inputs = vec![values.clone(), values.iter().flat_map(|v| [*v, -v]).collect()];
            rows.weights = values;
            self.next += n;
            Ok(n)
        }
    }

    fn pass(batch: usize, role: WidthRole, epoch: u64) -> (Vec<Vec<f32>>, Vec<f32>) {
        let rho = Weights::Linear.rho(3, 0).unwrap();
        let mut source = WidthRows::new(Count { rows: 100, batch, next: 0 }, WidthLaw::above(&rho, 0), role, Seed(2));
        source.start(epoch);
        let (mut rows, mut all, mut weights) = (Rows::default(), vec![Vec::new(); 3], Vec::new());
        while source.next(&mut rows).unwrap() > 0 {
            all.iter_mut().zip(&rows.inputs).for_each(|(all, part)| all.extend_from_slice(part));
            weights.extend_from_slice(&rows.weights);
        }
        (all, weights)
    }

    #[test]
    fn widths_are_even_fresh_in_training_and_all_of_them_in_validation() {
        let validation = WidthRole::Validation { times: 4 };
        assert_eq!(pass(7, WidthRole::Training, 1), pass(100, WidthRole::Training, 1));
        assert_ne!(pass(7, WidthRole::Training, 1).0[2], pass(7, WidthRole::Training, 2).0[2]);
        assert_eq!(pass(7, validation, 1), pass(100, validation, 2));
        let (tables, _) = pass(7, WidthRole::Training, 1);
        for k in 0..4 {
            // The discrepancy of a Kronecker sequence of the golden ratio stays below 3/n for n of this size.
            let share = tables[2].iter().filter(|&&w| w == k as f32).count();
            assert!((22..=28).contains(&share), "{share} of 100 rows at width {k}");
        }
        let (tables, weights) = pass(7, validation, 1);
        assert_eq!((tables[0].len(), tables[1].len(), weights.len()), (400, 800, 400));
        for (row, widths) in tables[2].chunks(4).enumerate() {
            assert_eq!(widths, [0.0, 1.0, 2.0, 3.0]);
            assert_eq!((tables[0][4 * row + 3], tables[1][8 * row + 7], weights[4 * row + 2]), (row as f32, -(row as f32), row as f32));
        }
    }
}
