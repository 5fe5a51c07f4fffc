//! Training as TensorBoard shows it: one event file per net.

use crate::session::{Console, warning};
use abduce_inference::training::Observer;
use abduce_nn::events::EventWriter;
use abduce_nn::trainer::TrainState;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the file in each net's folder: TensorBoard looks for `tfevents`.
const FILE: &str = "events.out.tfevents.abduce";

/// Writes the epochs of net K to `DIR/net-K/`. A training that is resumed goes on in the same files. Where a file can't be written a warning says so
/// once, and training goes on without.
#[derive(Debug)]
pub struct EventFiles {
    folder: PathBuf,
    console: Console,
    nets: Mutex<Vec<Slot>>,
}

#[derive(Debug)]
enum Slot {
    Closed,
    Open(EventWriter<File>),
    Failed,
}

impl EventFiles {
    /// In `folder`, which is made when the first epoch ends.
    pub fn new(folder: PathBuf, console: Console) -> Self {
        Self { folder, console, nets: Mutex::new(Vec::new()) }
    }

    fn write(&self, slot: &mut Slot, net: usize, state: &TrainState) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        if matches!(slot, Slot::Closed) {
            let path = self.folder.join(format!("net-{net}")).join(FILE);
            *slot = Slot::Open(open(&path, state.progress.history.len() > 1, time)?);
        }
        match slot {
            Slot::Open(writer) => writer.epoch(state, time),
            _ => Ok(()),
        }
    }
}

fn open(path: &Path, resumed: bool, time: f64) -> io::Result<EventWriter<File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if resumed && path.exists() {
        return Ok(EventWriter::append(OpenOptions::new().append(true).open(path)?));
    }
    EventWriter::new(File::create(path)?, time)
}

impl Observer for EventFiles {
    fn epoch(&self, net: usize, state: &TrainState) -> ControlFlow<()> {
        let mut nets = self.nets.lock().unwrap_or_else(PoisonError::into_inner);
        while nets.len() <= net {
            nets.push(Slot::Closed);
        }
        if let Err(error) = self.write(&mut nets[net], net, state) {
            nets[net] = Slot::Failed;
            let text = format!("no events of net {} are written to `{}`: {error}", net + 1, self.folder.display());
            self.console.warn(&warning(text, "training goes on; check the folder given with --tensorboard"));
        }
        ControlFlow::Continue(())
    }
}
