//! Checkpoints of training: everything to go on from, written atomically.

use abduce_data::{Array, DataError, ModelFile};
use abduce_nn::trainer::{Progress, TrainState};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where the states of networks in training are kept.
pub trait Checkpoints: Sync {
    /// The state that network `net` reached, if any.
    ///
    /// # Errors
    /// There is one, but it can't be read.
    fn load(&self, net: usize) -> Result<Option<TrainState>, DataError>;

    /// Offered after each epoch; may be passed over.
    ///
    /// # Errors
    /// It can't be written.
    fn save(&self, net: usize, state: &TrainState) -> Result<(), DataError>;

    /// The state in which training ended or stopped; must be kept.
    ///
    /// # Errors
    /// It can't be written.
    fn keep(&self, net: usize, state: &TrainState) -> Result<(), DataError>;
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoCheckpoints;

impl Checkpoints for NoCheckpoints {
    fn load(&self, _net: usize) -> Result<Option<TrainState>, DataError> {
        Ok(None)
    }
    fn save(&self, _net: usize, _state: &TrainState) -> Result<(), DataError> {
        Ok(())
    }
    fn keep(&self, _net: usize, _state: &TrainState) -> Result<(), DataError> {
        Ok(())
    }
}

/// Files `net-K.safetensors` in a folder, each written at most once per interval. What is in a checkpoint depends on the epoch alone, so when
/// it is written makes no difference to the result.
#[derive(Debug)]
pub struct CheckpointFiles {
    folder: PathBuf,
    interval: Duration,
    written: Mutex<Vec<Option<Instant>>>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    kind: String,
    progress: Progress,
}

const KIND: &str = "checkpoint";

impl CheckpointFiles {
    /// In `folder`, which must exist.
    pub fn new(folder: &Path, interval: Duration) -> Self {
        Self { folder: folder.to_path_buf(), interval, written: Mutex::new(Vec::new()) }
    }

    /// The file of network `net`.
    pub fn path(&self, net: usize) -> PathBuf {
        self.folder.join(format!("net-{net}.safetensors"))
    }
}

impl Checkpoints for CheckpointFiles {
    fn load(&self, net: usize) -> Result<Option<TrainState>, DataError> {
        let path = self.path(net);
        if !path.exists() {
            return Ok(None);
        }
        let file = ModelFile::load(&path)?;
        let damaged = |reason: String| DataError::Model { path: path.clone(), problem: abduce_data::ModelProblem::Metadata(reason) };
        let document: Document = serde_json::from_value(file.metadata.clone()).map_err(|e| damaged(e.to_string()))?;
        if document.kind != KIND {
            return Err(damaged(format!("kind `{}`, expected `{KIND}`", document.kind)));
        }
        let tensor = |name: &str| file.tensor(&path, name).map(|a| a.data().to_vec());
        let state = TrainState {
            params: tensor("params")?,
            best: tensor("best")?,
            moments: (tensor("adam_m")?, tensor("adam_v")?),
            // Kept only where the training keeps one.
            average: if file.tensors.iter().any(|(name, _)| name == "average") { tensor("average")? } else { Vec::new() },
            progress: document.progress,
        };
        let lengths = [state.best.len(), state.moments.0.len(), state.moments.1.len()];
        let average_fits = state.average.is_empty() || state.average.len() == state.params.len();
        if !average_fits || lengths.iter().any(|&l| l != state.params.len()) {
            return Err(damaged("its tensors have different lengths".to_owned()));
        }
        Ok(Some(state))
    }

    fn save(&self, net: usize, state: &TrainState) -> Result<(), DataError> {
        {
            let mut written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if written.len() <= net {
                written.resize(net + 1, None);
            }
            if written[net].is_some_and(|at| at.elapsed() < self.interval) {
                return Ok(());
            }
            written[net] = Some(Instant::now());
        }
        self.keep(net, state)
    }

    fn keep(&self, net: usize, state: &TrainState) -> Result<(), DataError> {
        let path = self.path(net);
        let metadata = serde_json::to_value(Document { kind: KIND.to_owned(), progress: state.progress.clone() })
            .map_err(|e| DataError::Model { path: path.clone(), problem: abduce_data::ModelProblem::Metadata(e.to_string()) })?;
        let tensor = |name: &str, values: &[f32]| Ok::<_, DataError>((name.to_owned(), Array::new(vec![values.len()], values.to_vec())?));
        let mut tensors = vec![
            tensor("params", &state.params)?,
            tensor("best", &state.best)?,
            tensor("adam_m", &state.moments.0)?,
            tensor("adam_v", &state.moments.1)?,
        ];
        if !state.average.is_empty() {
            tensors.push(tensor("average", &state.average)?);
        }
        ModelFile { metadata, tensors }.save(&path)
    }
}
