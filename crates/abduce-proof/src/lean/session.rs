//! A process that is asked step by step, replaced when it hangs, floods, crashes or has answered often enough.

use super::process::{Dialogue, ProcessFault, ProverCommand, ProverLimits};
use crate::env::StepError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// One exchange, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What was sent.
    pub request: String,
    /// What came back, or the fault.
    pub answer: Result<String, ProcessFault>,
}

/// A process and what is known about it.
#[derive(Debug)]
pub struct Session {
    command: ProverCommand,
    limits: ProverLimits,
    dialogue: Option<Dialogue>,
    /// Counts processes: states of an earlier one mean nothing to a later one.
    generation: u64,
    calls: usize,
    /// Faults by kind, over all processes.
    faults: BTreeMap<&'static str, usize>,
    /// The last exchanges.
    transcript: Vec<Exchange>,
}

/// Exchanges kept for the transcript, and bytes of each side.
const TRANSCRIPT: usize = 1000;
const TRANSCRIPT_BYTES: usize = 4000;

impl Session {
    pub(super) fn new(command: ProverCommand, limits: ProverLimits) -> Self {
        Self { command, limits, dialogue: None, generation: 0, calls: 0, faults: BTreeMap::new(), transcript: Vec::new() }
    }

    /// Bounds.
    pub fn limits(&self) -> &ProverLimits {
        &self.limits
    }

    /// How many processes there were.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Faults by kind, over all processes.
    pub fn faults(&self) -> &BTreeMap<&'static str, usize> {
        &self.faults
    }

    /// The last exchanges, at most 1 000, each side shortened to 4 000 bytes.
    pub fn transcript(&self) -> &[Exchange] {
        &self.transcript
    }

    /// Whether a process is alive that may be asked again.
    pub(super) fn is_fresh(&self) -> bool {
        self.dialogue.is_some() && self.calls < self.limits.calls
    }

    /// A new process; `greeting` waits for what it says by itself.
    pub(super) fn restart(&mut self, greeting: Option<&str>) -> Result<(), ProcessFault> {
        self.dialogue = None;
        self.generation += 1;
        self.calls = 0;
        let started = Dialogue::start(&self.command, &self.limits);
        let mut dialogue = started.inspect_err(|fault| *self.faults.entry(fault.class()).or_default() += 1)?;
        if let Some(greeting) = greeting {
            let heard = dialogue.receive(self.limits.start, |text| text.contains(greeting).then_some(()));
            heard.inspect_err(|fault| *self.faults.entry(fault.class()).or_default() += 1)?;
        }
        self.dialogue = Some(dialogue);
        Ok(())
    }

    /// Sends a request and takes a JSON object. After a fault the process is gone.
    pub(super) fn ask(&mut self, request: &str, end: &str, time: Duration) -> Result<Value, ProcessFault> {
        let Some(dialogue) = &mut self.dialogue else { return Err(ProcessFault::Crash { status: "it is not running".to_owned() }) };
        self.calls += 1;
        dialogue.send(format!("{request}{end}").as_bytes());
        let answer = dialogue.receive(time, |text| {
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('{') {
                return Some(Err(ProcessFault::Protocol { what: text.chars().take(300).collect() }));
            }
            // An object may span lines: it is complete when it parses. What can't is cut off by the limits.
            if text.ends_with('}') { serde_json::from_str::<Value>(text).ok().map(|value| Ok((value, text.to_owned()))) } else { None }
        });
        let answer = answer.and_then(|inner| inner);
        let shorten = |text: &str| text.chars().take(TRANSCRIPT_BYTES).collect::<String>();
        if self.transcript.len() >= TRANSCRIPT {
            self.transcript.remove(0);
        }
        let told = answer.as_ref().map(|(_, text)| shorten(text)).map_err(Clone::clone);
        self.transcript.push(Exchange { request: shorten(request), answer: told });
        match answer {
            Ok((value, _)) => Ok(value),
            Err(fault) => {
                *self.faults.entry(fault.class()).or_default() += 1;
                self.dialogue = None;
                Err(fault)
            }
        }
    }
}

pub(super) fn step_error(fault: &ProcessFault) -> StepError {
    StepError { class: fault.class(), message: fault.to_string() }
}

/// The texts of messages of severity `error`.
pub(super) fn errors(reply: &Value) -> Option<String> {
    let messages = reply.get("messages")?.as_array()?;
    let errors = messages.iter().filter(|message| message.get("severity").and_then(Value::as_str) == Some("error"));
    let text: Vec<&str> = errors.filter_map(|message| message.get("data").and_then(Value::as_str)).collect();
    (!text.is_empty()).then(|| text.join("\n"))
}
