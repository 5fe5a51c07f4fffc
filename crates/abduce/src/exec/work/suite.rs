//! Shards of `abduce cosmology suite`: ranges of universes. Universe i follows from the seed of the design and i, so that where the suite is cut makes
//! no difference.

use super::Reached;
use crate::config::{DesignConfig, UniverseConfig};
use crate::error::Error;
use crate::exec::files::ShardFolder;
use crate::exec::plan::Plan;
use crate::exec::worker::Worker;
use crate::session::{Session, json, warning};
use crate::stages::cosmology::suite::{item, parameters};
use crate::stages::cosmology::summary::{Estimators, SummaryColumn};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, ModelFile, npy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A suite of universes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteWork {
    /// What each universe is, with a design.
    pub universe: UniverseConfig,
    /// Which universes.
    pub design: DesignConfig,
    /// The table of the linear power spectrum, where one is used.
    pub table: Option<PathBuf>,
}

/// Time after which what a shard has so far is kept, so that a kill loses no more.
const KEEP_INTERVAL: Duration = Duration::from_secs(10);

/// theta.npy, x.npy, what they are, and the files that `abduce train` takes.
pub fn outputs(output: &Path) -> [PathBuf; 5] {
    ["theta.npy", "x.npy", "suite.json", "data.yaml", "infer.yaml"].map(|name| output.join(name))
}

#[derive(Default)]
struct Rows {
    theta: Vec<f32>,
    x: Vec<f32>,
    width: usize,
    failed: Vec<usize>,
    columns: Vec<SummaryColumn>,
}

impl SuiteWork {
    /// Simulates the universes of a shard.
    ///
    /// # Errors
    /// Files, or a configuration that no universe can be measured with.
    pub(super) fn shard(&self, worker: &Worker<'_>, shard: usize) -> Result<Reached, Error> {
        let range = worker.plan.shards[shard].clone();
        let threads = &worker.session.compute.threads;
        let s = &self.universe.simulation;
        let estimators = Estimators::new(&self.universe.summary, s.box_size, s.particles, threads)?;
        let points = parameters(&self.design, threads)?;
        let theta_of = |index: usize| &points[index * self.design.vary.len()..(index + 1) * self.design.vary.len()];
        let (mut rows, mut next) = (Rows::default(), range.start);
        if let Some((head, file)) = worker.folder.read_part(shard, &worker.plan.config_sha256, range.start)? {
            let path = worker.folder.part(shard);
            let x = file.tensor(&path, "x")?;
            rows = Rows {
                theta: file.tensor(&path, "theta")?.data().to_vec(),
                x: x.data().to_vec(),
                width: x.row_len(),
                failed: head.failed,
                columns: columns_of(&file)?,
            };
            next = head.end.min(range.end);
            worker.note(shard, format_args!("going on after {} of {}", next - range.start, range.len()));
        }
        let mut progress = worker.progress(shard, next);
        let mut kept = Instant::now();
        let stopping = || worker.session.is_stopping();
        while next < range.end {
            let theta = theta_of(next);
            let made = item(&self.universe, &self.design, (next, theta), (&estimators, self.table.as_deref()), threads, &stopping);
            match made {
                Ok(Some((x, columns))) => {
                    if rows.width == 0 {
                        // Universes before this one failed, and their rows had no width yet.
                        rows.x = vec![f32::NAN; x.len() * (next - range.start)];
                        rows.width = x.len();
                        rows.columns = columns;
                    }
                    rows.x.extend(x);
                }
                Ok(None) => {
                    worker.folder.publish(&self.file(worker, range.start..next, &rows)?, &worker.folder.part(shard))?;
                    return Ok(Reached::Item(next));
                }
                Err(error) => {
                    worker.note(shard, format_args!("universe {next}: {error}"));
                    rows.failed.push(next);
                    rows.x.extend(vec![f32::NAN; rows.width]);
                }
            }
            rows.theta.extend(theta);
            next += 1;
            progress.reached(next);
            if kept.elapsed() > KEEP_INTERVAL && next < range.end && rows.width > 0 {
                worker.folder.publish(&self.file(worker, range.start..next, &rows)?, &worker.folder.part(shard))?;
                kept = Instant::now();
            }
        }
        if rows.width == 0 {
            return Err(Error::failed(
                format!("none of the universes {} to {} could be simulated and measured", range.start, range.end),
                "the log of the shard tells why each of them failed",
            ));
        }
        worker.folder.publish(&self.file(worker, range, &rows)?, &worker.folder.shard(shard))?;
        Ok(Reached::End)
    }

    fn file(&self, worker: &Worker<'_>, range: std::ops::Range<usize>, rows: &Rows) -> Result<ModelFile, Error> {
        let mut metadata = super::head(worker, range.clone(), rows.failed.clone())?;
        metadata["columns"] = json!(rows.columns);
        let tensors = vec![
            ("theta".to_string(), Array::new(vec![range.len(), self.design.vary.len()], rows.theta.clone())?),
            ("x".to_string(), Array::new(vec![range.len(), rows.width], rows.x.clone())?),
        ];
        Ok(ModelFile { metadata, tensors })
    }

    /// Writes theta.npy and x.npy, what their columns are, and the files that `abduce train` takes.
    ///
    /// # Errors
    /// A shard does not hold its rows, or files.
    pub(super) fn merge(&self, session: &Session, output: &Path, plan: &Plan, folder: &ShardFolder) -> Result<(), Error> {
        let (mut theta, mut x) = (Vec::new(), Vec::new());
        let (mut failed, mut makers, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (shard, range) in plan.shards.iter().enumerate() {
            let path = folder.shard(shard);
            let (head, file) = folder.read(&path, &plan.config_sha256, range.start)?;
            let (some_theta, some_x) = (file.tensor(&path, "theta")?, file.tensor(&path, "x")?);
            let found = columns_of(&file)?;
            if head.end != range.end || some_x.rows() != range.len() || (shard > 0 && found.len() != columns.len()) {
                let help = "remove it and submit again";
                return Err(Error::failed(format!("{} does not hold the universes {range:?}", path.display()), help));
            }
            columns = found;
            theta.extend_from_slice(some_theta.data());
            x.extend_from_slice(some_x.data());
            failed.extend(head.failed);
            makers.push(head.maker);
        }
        let n = plan.items;
        let [theta_path, x_path, about, data, infer] = outputs(output);
        npy::write(&theta_path, &Array::new(vec![n, self.design.vary.len()], theta)?)?;
        npy::write(&x_path, &Array::new(vec![n, columns.len()], x)?)?;
        let write = |path: &Path, text: String| write_atomic(path, |out| out.write_all(text.as_bytes()));
        write(&about, json(&json!({"universe": self.universe, "design": self.design, "columns": columns, "failed": failed}))?)?;
        write(&data, "# The suite as `abduce train` takes it.\ntheta_file: theta.npy\nx_file: x.npy\n".into())?;
        let list = |pick: fn(&crate::config::RangeConfig) -> String| self.design.vary.iter().map(pick).collect::<Vec<_>>().join(", ");
        let names = list(|range| format!("{{name: {}}}", range.name));
        let (low, high) = (list(|range| format!("{:?}", range.low)), list(|range| format!("{:?}", range.high)));
        write(
            &infer,
            format!(
                "# The prior that the suite was drawn from; nets and training are the defaults: change them freely.\n\
                 prior: {{uniform: {{low: [{low}], high: [{high}]}}}}\nparameters: [{names}]\n"
            ),
        )?;
        if !failed.is_empty() {
            let text = format!("{} of {n} universes could not be simulated or measured; their rows are NaN", failed.len());
            session.console.warn(&warning(text, "training leaves them out; the logs of the shards tell why"));
        }
        crate::exec::worker::finish_merge(folder, plan, &makers)
    }
}

fn columns_of(file: &ModelFile) -> Result<Vec<SummaryColumn>, Error> {
    let columns = serde_json::from_value(file.metadata["columns"].clone());
    columns.map_err(|error| Error::failed(format!("a shard without its columns: {error}"), "remove the shard and submit again"))
}
