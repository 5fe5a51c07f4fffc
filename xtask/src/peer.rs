//! Another program that takes timed turns with ours.

use crate::Outcome;
use crate::cells::median;
use serde::Deserialize;
use std::error::Error;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// A training step that is timed, ours beside a peer's.
#[derive(clap::Args)]
pub(crate) struct Comparison {
    /// The network: W1 (MAF) or W2 (coupling NSF) of `steps`; CNN, W3, W4, W5 or CONV512 of `layers`.
    #[arg(long)]
    pub(crate) workload: String,
    /// Inputs and weights, made by the script in benches/peers that belongs to it.
    #[arg(long)]
    pub(crate) fixture: PathBuf,
    /// The Python that has torch (and sbi); without it only our own step is timed.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Threads on both sides.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Compare with torch.compile instead of eager torch.
    #[arg(long)]
    pub(crate) compile: bool,
    /// Alternating pairs.
    #[arg(long)]
    pairs: Option<usize>,
    /// Steps per turn.
    #[arg(long)]
    steps: Option<usize>,
}

impl Comparison {
    /// Prints the time of `turn(steps)`, alternating with `script` where there is a Python, by default in `pairs` turns of `steps` steps.
    pub(crate) fn run(
        &self,
        script: &str,
        arguments: impl FnOnce(&mut Command),
        (pairs, steps): (usize, usize),
        mut turn: impl FnMut(usize) -> f64,
    ) -> Outcome {
        let (pairs, steps) = (self.pairs.unwrap_or(pairs), self.steps.unwrap_or(steps));
        let mode = if self.compile { "torch.compile" } else { "eager" };
        let what = format!("{} {} threads, {mode}", self.workload, self.threads);
        turn(steps);
        let Some(python) = &self.python else {
            println!("{what}: {:.3} ms", median((0..pairs).map(|_| turn(steps))));
            return Ok(());
        };
        let mut command = Command::new(python);
        command.arg(script).args(["--workload", &self.workload, "--threads", &self.threads.to_string()]);
        arguments(&mut command);
        Peer::start(&mut command)?.compare(&what, pairs, steps, turn)
    }
}

/// Median milliseconds of `steps` calls.
pub(crate) fn median_ms(steps: usize, mut call: impl FnMut()) -> f64 {
    median((0..steps).map(|_| {
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64() * 1e3
    }))
}

/// A script that answers `run N` with one line of JSON.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answer: Lines<BufReader<ChildStdout>>,
}

#[derive(Deserialize)]
struct Turn {
    median_ms: f64,
}

impl Peer {
    /// Starts the script and prints its first line.
    fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (ask, answer) = (child.stdin.take().ok_or("no stdin")?, child.stdout.take().ok_or("no stdout")?);
        let mut answer = BufReader::new(answer).lines();
        println!("{}", answer.next().ok_or("the peer did not start")??);
        Ok(Self { child, ask, answer })
    }

    fn turn(&mut self, steps: usize) -> Result<f64, Box<dyn Error>> {
        writeln!(self.ask, "run {steps}")?;
        let line = self.answer.next().ok_or("the peer ended")??;
        Ok(serde_json::from_str::<Turn>(&line)?.median_ms)
    }

    /// Alternates `pairs` turns of `steps` steps and prints medians, the ratio of medians and the spread of the pairs' ratios.
    fn compare(mut self, what: &str, pairs: usize, steps: usize, mut own: impl FnMut(usize) -> f64) -> Result<(), Box<dyn Error>> {
        self.turn(steps)?;
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..pairs {
            let (a, b) = (own(steps), self.turn(steps)?);
            ours.push(a);
            theirs.push(b);
            ratios.push(b / a);
        }
        let (low, high) = ratios.iter().fold((f64::INFINITY, 0.0f64), |(l, h), &r| (l.min(r), h.max(r)));
        let (a, b) = (median(ours), median(theirs));
        println!(
            "{what}: torch {b:.3} ms, abduce {a:.3} ms, ratio of medians {:.2}, pairs {:.2} [{low:.2} .. {high:.2}]",
            b / a,
            median(ratios)
        );
        drop(self.ask);
        self.child.wait()?;
        Ok(())
    }
}
