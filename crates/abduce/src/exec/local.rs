//! The local executor: worker processes on this machine, some at a time.

use super::files::ShardFolder;
use crate::error::Error;
use crate::session::Session;
use crate::stages::inputs::make_parent;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How workers are started.
#[derive(Clone, Debug)]
pub struct Local {
    /// The program itself.
    pub program: PathBuf,
    /// Processes at once.
    pub parallel: usize,
    /// Threads of each.
    pub threads: usize,
}

/// Time between two looks at the processes.
const POLL: Duration = Duration::from_millis(10);

/// Does `shards` of the plan beside `output` in worker processes, each with a log of its own. What they came to is in the files; a request to
/// stop is passed on to them.
///
/// # Errors
/// A process cannot be started.
pub fn run(session: &Session, local: &Local, output: &Path, shards: &[usize]) -> Result<(), Error> {
    let folder = ShardFolder::of(output);
    let mut waiting = shards.iter().copied();
    let mut running: Vec<(usize, Child)> = Vec::new();
    let mut ended = 0;
    let mut told_to_stop = false;
    loop {
        while running.len() < local.parallel.max(1) && !session.is_stopping() {
            let Some(shard) = waiting.next() else { break };
            running.push((shard, start(local, output, &folder, shard)?));
        }
        if running.is_empty() {
            return Ok(());
        }
        if session.is_stopping() && !told_to_stop {
            told_to_stop = true;
            running.iter().for_each(|(_, child)| terminate(child));
        }
        std::thread::sleep(POLL);
        let mut still = Vec::with_capacity(running.len());
        for (shard, mut child) in running {
            let status = child.try_wait().map_err(|source| Error::File { action: "wait for", path: local.program.clone(), source })?;
            match status {
                None => still.push((shard, child)),
                Some(status) => {
                    ended += 1;
                    let how = if status.success() { "done".to_string() } else { format!("ended with {status}") };
                    session.console.note(format_args!("shard {shard}: {how} ({ended} of {})", shards.len()));
                }
            }
        }
        running = still;
    }
}

fn start(local: &Local, output: &Path, folder: &ShardFolder, shard: usize) -> Result<Child, Error> {
    let log = folder.log(shard);
    make_parent(&log)?;
    let open = std::fs::OpenOptions::new().create(true).append(true).open(&log);
    let open = open.map_err(|source| Error::File { action: "write", path: log, source })?;
    let mut command = Command::new(&local.program);
    command.arg("worker").arg(output).arg("--shard").arg(shard.to_string()).arg("--threads").arg(local.threads.to_string());
    // A group of its own: Ctrl-C reaches this process alone, which passes it on once. Twice would end a worker before it has published.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(open);
    command.spawn().map_err(|source| Error::File { action: "start", path: local.program.clone(), source })
}

/// Asks a worker to stop after its current item.
fn terminate(child: &Child) {
    // It may have ended by itself.
    Command::new("kill").arg("-TERM").arg(child.id().to_string()).stderr(Stdio::null()).status().ok();
}
