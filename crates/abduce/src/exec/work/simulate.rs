//! Shards of `abduce simulate`: ranges of rows. Row i comes from the stream of its index, so that where the table is cut makes no difference.

use super::Reached;
use crate::error::Error;
use crate::exec::files::ShardFolder;
use crate::exec::plan::Plan;
use crate::exec::worker::Worker;
use crate::session::Session;
use crate::stages::simulate::{failed_rows, simulator};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, ModelFile, Seed, npy};
use abduce_inference::simulator::{Simulator, simulate_range};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A table of simulations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulateWork {
    /// The task.
    pub task: String,
    /// Rows.
    pub n: usize,
    /// Seed.
    pub seed: u64,
}

/// Rows are drawn in blocks of about this time, between which the worker looks whether it is to stop.
const BLOCK_TIME: Duration = Duration::from_millis(200);

/// theta.npy and x.npy.
pub fn outputs(output: &Path) -> [PathBuf; 2] {
    ["theta.npy", "x.npy"].map(|name| output.join(name))
}

/// Rows so far, row-major.
#[derive(Default)]
struct Rows {
    theta: Vec<f32>,
    x: Vec<f32>,
    failed: Vec<usize>,
}

impl SimulateWork {
    /// Draws the rows of a shard.
    ///
    /// # Errors
    /// Files.
    pub(super) fn shard(&self, worker: &Worker<'_>, shard: usize) -> Result<Reached, Error> {
        let simulator = simulator(&self.task)?;
        let range = worker.plan.shards[shard].clone();
        let threads = NonZeroUsize::new(worker.session.compute.threads.count()).unwrap_or(NonZeroUsize::MIN);
        let (mut rows, mut next) = (Rows::default(), range.start);
        if let Some((head, file)) = worker.folder.read_part(shard, &worker.plan.config_sha256, range.start)? {
            let path = worker.folder.part(shard);
            rows = Rows {
                theta: file.tensor(&path, "theta")?.data().to_vec(),
                x: file.tensor(&path, "x")?.data().to_vec(),
                failed: head.failed,
            };
            next = head.end.min(range.end);
            worker.note(shard, format_args!("going on after {} of {}", next - range.start, range.len()));
        }
        let mut progress = worker.progress(shard, next);
        let mut block = threads.get();
        while next < range.end {
            if worker.session.is_stopping() {
                worker.folder.publish(&self.file(worker, simulator.as_ref(), range.start..next, rows)?, &worker.folder.part(shard))?;
                return Ok(Reached::Item(next));
            }
            let begun = Instant::now();
            let end = range.end.min(next + block);
            let table = simulate_range(simulator.as_ref(), next..end, Seed(self.seed), threads);
            rows.theta.extend(table.theta);
            rows.x.extend(table.x);
            rows.failed.extend(table.failed);
            next = end;
            progress.reached(next);
            if begun.elapsed() < BLOCK_TIME / 2 {
                block *= 2;
            } else if begun.elapsed() > BLOCK_TIME * 2 {
                block = (block / 2).max(threads.get());
            }
        }
        worker.folder.publish(&self.file(worker, simulator.as_ref(), range, rows)?, &worker.folder.shard(shard))?;
        Ok(Reached::End)
    }

    fn file(&self, worker: &Worker<'_>, simulator: &dyn Simulator, range: std::ops::Range<usize>, rows: Rows) -> Result<ModelFile, Error> {
        let metadata = super::head(worker, range.clone(), rows.failed)?;
        let shape = |tail: Vec<usize>| std::iter::once(range.len()).chain(tail).collect();
        let tensors = vec![
            ("theta".to_string(), Array::new(shape(vec![simulator.prior().parameters()]), rows.theta)?),
            ("x".to_string(), Array::new(shape(simulator.data_shape()), rows.x)?),
        ];
        Ok(ModelFile { metadata, tensors })
    }

    /// Writes theta.npy and x.npy, one shard in memory at a time.
    ///
    /// # Errors
    /// A shard does not hold its rows, or files.
    pub(super) fn merge(&self, session: &Session, output: &Path, plan: &Plan, folder: &ShardFolder) -> Result<(), Error> {
        let simulator = simulator(&self.task)?;
        let shapes = [vec![simulator.prior().parameters()], simulator.data_shape()];
        let (mut failed, mut makers) = (Vec::new(), Vec::new());
        for ((path, name), row) in outputs(output).iter().zip(["theta", "x"]).zip(shapes) {
            let shape: Vec<usize> = std::iter::once(self.n).chain(row.iter().copied()).collect();
            let mut trouble = None;
            failed.clear();
            makers.clear();
            let written = write_atomic(path, |out| {
                npy::write_header::<f32>(out, &shape)?;
                for (shard, range) in plan.shards.iter().enumerate() {
                    let file = folder.shard(shard);
                    let read = || -> Result<_, Error> {
                        let (head, model) = folder.read(&file, &plan.config_sha256, range.start)?;
                        let rows = model.tensor(&file, name)?;
                        if head.end != range.end || rows.rows() != range.len() || rows.row_shape() != row {
                            let help = "remove it and submit again";
                            return Err(Error::failed(format!("{} does not hold the rows {range:?} of {name}", file.display()), help));
                        }
                        Ok((head, rows.clone()))
                    };
                    match read() {
                        Ok((head, rows)) => {
                            npy::write_values(out, rows.data())?;
                            failed.extend(head.failed);
                            makers.push(head.maker);
                        }
                        Err(error) => {
                            trouble = Some(error);
                            return Err(std::io::Error::other("a shard cannot be used"));
                        }
                    }
                }
                Ok(())
            });
            match trouble {
                Some(error) => return Err(error),
                None => written?,
            }
        }
        if let Some(warning) = failed_rows(&failed, self.n) {
            session.console.warn(&warning);
        }
        crate::exec::worker::finish_merge(folder, plan, &makers)
    }
}
