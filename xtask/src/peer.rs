//! Another program that takes timed turns with ours.

use crate::cells::median;
use serde::Deserialize;
use std::error::Error;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A script that answers `run N` with one line of JSON.
pub(crate) struct Peer {
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
    pub(crate) fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
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
    pub(crate) fn compare(
        mut self,
        what: &str,
        pairs: usize,
        steps: usize,
        mut own: impl FnMut(usize) -> f64,
    ) -> Result<(), Box<dyn Error>> {
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
