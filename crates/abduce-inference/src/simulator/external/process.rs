//! Processes that can be ended whatever they do, and whose last words are kept.

use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of standard error that are kept: the last ones, where a traceback ends with its message.
const TAIL_BYTES: usize = 2000;
/// How long the last words of an ended process are waited for; a grandchild that left the group may hold the pipe for ever.
const TAIL_WAIT: Duration = Duration::from_millis(300);

/// A process in a group of its own, so that what it has started ends with it.
///
/// The group is killed by the shell's built-in `kill`: a signal to a group has no safe interface in the standard library, and the shell is
/// part of every Unix system. The process itself is killed without it, too. As long as it is not reaped its number is not given to another,
/// so the signal reaches nobody else.
pub(super) struct Process {
    child: Child,
    tail: Arc<Mutex<Vec<u8>>>,
    tail_ended: Receiver<()>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; its standard error is read on a thread of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).stderr(Stdio::piped()).spawn()?;
        let tail = Arc::new(Mutex::new(Vec::new()));
        let (sender, tail_ended) = channel();
        if let Some(stderr) = child.stderr.take() {
            let tail = Arc::clone(&tail);
            std::thread::spawn(move || keep_tail(stderr, &tail, &sender));
        }
        Ok(Self { child, tail, tail_ended, ended: None })
    }

    /// The child's pipes.
    pub(super) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it has ended, without waiting.
    pub(super) fn poll(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Gives it `grace` to end by itself, then kills it and its group.
    pub(super) fn end(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline && self.ended.is_none() {
            if !matches!(self.poll(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }

    /// Kills the process and its group, and reaps it.
    pub(super) fn kill(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -s KILL -- \"-$0\"", &self.child.id().to_string()]);
        // Where this fails the process itself still ends below.
        kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
        self.child.kill().ok();
        self.ended = self.child.wait().ok();
    }

    /// How it ended and what it said last: `exit status: 1; it said: …`. Kills it first.
    pub(super) fn last_words(&mut self) -> String {
        // A process that has closed its output is given a moment to end with a status of its own.
        self.end(TAIL_WAIT);
        let status = self.ended.map_or_else(|| "ended".to_owned(), |status| status.to_string());
        match self.tail() {
            tail if tail.is_empty() => status,
            tail => format!("{status}; it said: {tail}"),
        }
    }

    /// The last words on standard error.
    pub(super) fn tail(&self) -> String {
        self.tail_ended.recv_timeout(TAIL_WAIT).ok();
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&tail).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn keep_tail(mut stderr: impl Read, tail: &Mutex<Vec<u8>>, ended: &Sender<()>) {
    let mut buffer = [0u8; 4096];
    loop {
        match stderr.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                tail.extend_from_slice(&buffer[..count]);
                let surplus = tail.len().saturating_sub(TAIL_BYTES);
                tail.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    ended.send(()).ok();
}

/// A piece of a process's output.
#[derive(Debug)]
pub(super) enum Output {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line longer than allowed; nothing follows.
    TooLong,
}

/// Passes lines on until the output or the receiver ends, or a line is longer than `limit` bytes: no more than that is ever kept.
pub(super) fn read_lines(output: impl Read, limit: usize, sender: &SyncSender<Output>) {
    use std::io::BufRead as _;
    let mut output = io::BufReader::with_capacity(1 << 16, output);
    loop {
        let mut line = Vec::new();
        let read = output.by_ref().take(limit as u64 + 1).read_until(b'\n', &mut line);
        match read {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() > limit => {
                sender.send(Output::TooLong).ok();
                return;
            }
            Ok(_) => {}
        }
        while line.last().is_some_and(u8::is_ascii_whitespace) {
            line.pop();
        }
        if !line.is_empty() && sender.send(Output::Line(line)).is_err() {
            return;
        }
    }
}
