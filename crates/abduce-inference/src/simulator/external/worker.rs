//! A process that stays, and answers lines of JSON with lines of JSON.

use super::answer::{parse, shortened};
use super::exchange::{Answered, Break, Clock, Task};
use super::process::{Output, Process, read_lines};
use crate::simulator::rows::FailureKind;
use serde_json::json;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel, sync_channel};
use std::time::Duration;

/// Time for a worker to end after its standard input was closed.
const GRACE: Duration = Duration::from_millis(500);
/// Characters of an unreadable line that are shown.
const EXCERPT: usize = 120;

/// A running worker. Its input and output are served by threads of their own, so a worker that does not read, or never stops writing, blocks
/// nobody; these threads end with its pipes.
pub(super) struct Worker {
    /// Closed, it tells the worker to end.
    requests: Option<Sender<Vec<u8>>>,
    lines: Receiver<Output>,
    process: Process,
    answers: u64,
}

impl Worker {
    /// Starts a worker that may answer lines of `limit` bytes.
    pub(super) fn start(command: &mut Command, limit: usize) -> std::io::Result<Self> {
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let (requests, requested) = channel::<Vec<u8>>();
        // Two lines wait at most: what a worker says unasked is not collected.
        let (sender, lines) = sync_channel(2);
        let child = process.child_mut();
        if let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) {
            std::thread::spawn(move || {
                for request in requested {
                    if stdin.write_all(&request).and_then(|()| stdin.flush()).is_err() {
                        break;
                    }
                }
            });
            std::thread::spawn(move || read_lines(stdout, limit, &sender));
        }
        Ok(Self { requests: Some(requests), lines, process, answers: 0 })
    }

    /// Whether it has not answered anything yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.answers == 0
    }

    /// Whether it is silent and running, as between two exchanges it should be.
    pub(super) fn is_at_rest(&mut self) -> bool {
        matches!(self.lines.try_recv(), Err(TryRecvError::Empty)) && matches!(self.process.poll(), Ok(None))
    }

    /// Sends `tasks` and hands over the answers, by place in `tasks`, until all are there.
    pub(super) fn exchange(
        &mut self,
        tasks: &[Task],
        clock: &mut Clock<'_>,
        answered: &mut dyn FnMut(usize, Answered),
    ) -> Result<(), Break> {
        for task in tasks {
            let theta: Vec<f64> = task.theta.iter().copied().map(f64::from).collect();
            let line = format!("{}\n", json!({"id": task.index, "theta": theta, "seed": task.seed}));
            // A worker that has ended closes its output as well, which is noticed below.
            self.requests.as_ref().map(|requests| requests.send(line.into_bytes()));
        }
        let mut open: Vec<usize> = (0..tasks.len()).collect();
        while !open.is_empty() {
            let line = match self.lines.recv_timeout(clock.slice()?) {
                Ok(Output::Line(line)) => line,
                Ok(Output::TooLong) => {
                    return Err(Break::Broken(FailureKind::TooLarge, "the answer is longer than allowed".into()));
                }
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Err(Break::Broken(FailureKind::Crashed, self.process.last_words())),
            };
            let unreadable = |reason: String| Break::Broken(FailureKind::Unreadable, reason);
            let answer = parse(&line).map_err(|reason| unreadable(format!("{reason}, in the line {}", excerpt(&line))))?;
            let Some(place) = open.iter().position(|&task| tasks[task].index == answer.id) else {
                return Err(unreadable(format!("it answered for id {}, which it was not asked for", answer.id)));
            };
            self.answers += 1;
            clock.progress();
            answered(open.swap_remove(place), answer.content);
        }
        Ok(())
    }

    /// The last words on standard error, for a worker that is given up.
    pub(super) fn give_up(mut self) -> String {
        self.process.kill();
        self.process.tail()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.requests = None;
        self.process.end(GRACE);
    }
}

fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * EXCERPT)]);
    let text: String = shortened(&text).chars().take(EXCERPT).collect();
    format!("{text:?}")
}
