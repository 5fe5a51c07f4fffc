//! Running a prover that may hang, flood, crash or eat memory: nothing it does lasts longer, or says more, than is allowed.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

/// How to start a prover.
#[derive(Clone, Debug, Default)]
pub struct ProverCommand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The folder in which it runs; the current one where `None`.
    pub folder: Option<PathBuf>,
    /// Variables added to its environment, such as `LEAN_PATH`.
    pub environment: Vec<(String, String)>,
}

/// Bounds on a prover.
#[derive(Clone, Copy, Debug)]
pub struct ProverLimits {
    /// Until it is ready, the statement of a theorem included.
    pub start: Duration,
    /// Until it answers a step.
    pub step: Duration,
    /// Until a whole file is checked.
    pub file: Duration,
    /// Bytes of one answer, or of all that it says about one file.
    pub reply_bytes: usize,
    /// Address space in MB; `None` for no limit.
    pub memory_mb: Option<u64>,
    /// Calls after which a process is replaced by a fresh one, since some never free memory.
    pub calls: usize,
}

impl Default for ProverLimits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            step: Duration::from_secs(10),
            file: Duration::from_secs(300),
            reply_bytes: 1 << 20,
            memory_mb: None,
            calls: 1000,
        }
    }
}

/// What went wrong with a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessFault {
    /// It could not be started.
    #[error("cannot start {program}: {reason}")]
    Start {
        /// The program.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// It did not answer in time.
    #[error("no answer within {seconds} s")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// It ended, or closed its output.
    #[error("the prover ended: {status}")]
    Crash {
        /// How, as far as known.
        status: String,
    },
    /// It said more than is allowed.
    #[error("more than {limit} bytes in one answer")]
    Flood {
        /// The limit.
        limit: usize,
    },
    /// What it said is not in the protocol.
    #[error("not in the protocol: {what}")]
    Protocol {
        /// The beginning of it.
        what: String,
    },
}

impl ProcessFault {
    /// A short name of the kind.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Timeout { .. } => "timeout",
            Self::Crash { .. } => "crash",
            Self::Flood { .. } => "flood",
            Self::Protocol { .. } => "protocol",
        }
    }
}

/// Most bytes kept of what a prover writes to standard error.
const MAX_STDERR: u64 = 1 << 14;

fn spawn(command: &ProverCommand, limits: &ProverLimits) -> Result<Child, ProcessFault> {
    let fault = |reason: &dyn std::fmt::Display| ProcessFault::Start {
        program: command.argv.first().cloned().unwrap_or_default(),
        reason: reason.to_string(),
    };
    let (program, arguments) = command.argv.split_first().ok_or_else(|| fault(&"no program is named"))?;
    let mut start = match limits.memory_mb {
        // A limit of the address space has no safe interface in the standard library; the shell is part of every Unix system.
        Some(megabytes) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &(megabytes * 1024).to_string(), program]);
            shell
        }
        None => Command::new(program),
    };
    start.args(arguments).envs(command.environment.iter().map(|(name, value)| (name, value)));
    if let Some(folder) = &command.folder {
        start.current_dir(folder);
    }
    start.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut start, 0);
    start.spawn().map_err(|error| fault(&error))
}

/// Kills a process and all that it has started. A signal to a group has no safe interface in the standard library, so the shell sends it; the process itself is killed
/// without the shell, too. Its number is not given to another as long as it is not waited for.
fn kill(child: &mut Child) {
    let mut signal = Command::new("/bin/sh");
    signal.args(["-c", "kill -s KILL -- \"-$0\"", &child.id().to_string()]);
    signal.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    child.kill().ok();
}

/// What a reader hears.
enum Heard {
    Line(Vec<u8>),
    Flood,
}

/// Passes on lines until the output ends, or one line, or what nobody has taken, is too long.
fn listen(mut output: impl std::io::Read + Send + 'static, limit: usize, lines: SyncSender<Heard>) {
    std::thread::spawn(move || {
        let mut block = [0u8; 1 << 14];
        let mut line = Vec::new();
        while let Ok(count @ 1..) = output.read(&mut block) {
            let mut rest = &block[..count];
            while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                line.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                if line.len() > limit || lines.send(Heard::Line(std::mem::take(&mut line))).is_err() {
                    lines.send(Heard::Flood).ok();
                    return;
                }
            }
            line.extend_from_slice(rest);
            if line.len() > limit {
                lines.send(Heard::Flood).ok();
                return;
            }
        }
        if !line.is_empty() {
            lines.send(Heard::Line(line)).ok();
        }
    });
}

/// A prover that answers lines with lines.
#[derive(Debug)]
pub struct Dialogue {
    child: Child,
    lines: Receiver<Heard>,
    requests: Option<Sender<Vec<u8>>>,
    limit: usize,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Line(_) => "Line",
            Self::Flood => "Flood",
        })
    }
}

impl Dialogue {
    /// Starts a prover.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(command: &ProverCommand, limits: &ProverLimits) -> Result<Self, ProcessFault> {
        let mut child = spawn(command, limits)?;
        let (sender, lines) = sync_channel(64);
        if let Some(output) = child.stdout.take() {
            listen(output, limits.reply_bytes, sender);
        }
        if let Some(mut errors) = child.stderr.take() {
            std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        }
        let (requests, queue) = channel::<Vec<u8>>();
        if let Some(mut input) = child.stdin.take() {
            // A prover that does not read blocks this thread alone, until it is killed.
            std::thread::spawn(move || {
                for request in queue {
                    if input.write_all(&request).and_then(|()| input.flush()).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { child, lines, requests: Some(requests), limit: limits.reply_bytes })
    }

    /// Sends bytes.
    pub fn send(&mut self, request: &[u8]) {
        if let Some(requests) = &self.requests {
            requests.send(request.to_vec()).ok();
        }
    }

    /// Takes lines until `complete` makes something of all of them together.
    ///
    /// # Errors
    /// The prover takes longer or says more than allowed, or ends.
    pub fn receive<T>(&mut self, time: Duration, mut complete: impl FnMut(&str) -> Option<T>) -> Result<T, ProcessFault> {
        let end = Instant::now() + time;
        let mut text = String::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Heard::Line(line)) => {
                    text.push_str(&String::from_utf8_lossy(&line));
                    text.push('\n');
                    if text.len() > self.limit {
                        return Err(ProcessFault::Flood { limit: self.limit });
                    }
                    if let Some(answer) = complete(&text) {
                        return Ok(answer);
                    }
                }
                Ok(Heard::Flood) => return Err(ProcessFault::Flood { limit: self.limit }),
                Err(RecvTimeoutError::Timeout) => return Err(ProcessFault::Timeout { seconds: time.as_secs() }),
                Err(RecvTimeoutError::Disconnected) => {
                    let status =
                        self.child.try_wait().ok().flatten().map_or_else(|| "it closed its output".to_owned(), |status| status.to_string());
                    return Err(ProcessFault::Crash { status });
                }
            }
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        kill(&mut self.child);
        self.requests = None;
        self.child.wait().ok();
    }
}

/// What a prover said about a file.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// The beginning of standard error.
    pub stderr: String,
    /// Exit code; `None` for a signal.
    pub code: Option<i32>,
}

/// Runs a prover once.
///
/// # Errors
/// It cannot be started, takes longer or says more than allowed.
pub fn run_once(command: &ProverCommand, input: &[u8], limits: &ProverLimits) -> Result<Finished, ProcessFault> {
    let mut child = spawn(command, limits)?;
    let input = input.to_vec();
    if let Some(mut stdin) = child.stdin.take() {
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let (sender, done) = channel();
    let limit = limits.reply_bytes as u64;
    let output = child.stdout.take();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(output) = output {
            output.take(limit + 1).read_to_end(&mut bytes).ok();
        }
        sender.send(bytes).ok();
    });
    let (errors_sender, errors_done) = channel();
    let errors = child.stderr.take();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut errors) = errors {
            errors.by_ref().take(MAX_STDERR).read_to_end(&mut bytes).ok();
            // What is beyond is read and forgotten, so that the prover does not block.
            std::io::copy(&mut errors, &mut std::io::sink()).ok();
        }
        errors_sender.send(bytes).ok();
    });
    let end = Instant::now() + limits.file;
    let timeout = ProcessFault::Timeout { seconds: limits.file.as_secs() };
    let result = match done.recv_timeout(limits.file) {
        Ok(stdout) if stdout.len() > limits.reply_bytes => Err(ProcessFault::Flood { limit: limits.reply_bytes }),
        Ok(stdout) => loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok((stdout, status.code())),
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(1)),
                _ => break Err(timeout),
            }
        },
        Err(_) => Err(timeout),
    };
    kill(&mut child);
    child.wait().ok();
    let (stdout, code) = result?;
    let stderr = errors_done.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    Ok(Finished { stdout, stderr: String::from_utf8_lossy(&stderr).into_owned(), code })
}
