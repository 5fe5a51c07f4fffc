//! A simulator: a built-in task, or a program of the user's.

use super::infer::{Parameter, check_names, dimension_of};
use super::{Findings, Section};
use abduce_inference::prior::PriorSpec;
use abduce_inference::simulator::{self, external};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// What makes x from θ: `task`, or `command` with its `prior`. `abduce simulate` reads a file of these keys, the sections `simulate` of a pipeline
/// and `simulator` of a data file have them, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SimulatorConfig {
    /// A built-in simulator; it brings its own prior.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = simulator::names(), "x-kind" = "task"))]
    pub task: Option<String>,
    /// A program and its arguments, run without a shell in the folder of this file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// How the program is given θ and gives x back.
    pub exchange: ExchangeConfig,
    /// Processes at once; `--threads`, or all cores, where not given. Results do not depend on it.
    #[schemars(range(min = 1, max = 4096))]
    pub workers: Option<usize>,
    /// Simulations per exchange: lines sent ahead of the answers, or rows of a file. Results do not depend on it.
    #[schemars(range(min = 1, max = 1000000))]
    pub batch: usize,
    /// Longest time for one simulation in seconds; null for no limit.
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1e9))]
    pub timeout_s: Option<f64>,
    /// Additional time for the first answer of a process, which includes its start, in seconds.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub start_s: f64,
    /// How often a simulation is tried again that crashed, took too long or gave nonsense. Then it is a row of NaN.
    #[schemars(range(max = 1000))]
    pub retries: u32,
    /// Largest answer of one simulation in MiB.
    #[schemars(range(min = 1, max = 65536))]
    pub max_answer_mib: usize,
    /// What you call this version of the program: simulations of another version are not taken for its own.
    pub version: String,
    /// Shape of one datum; the first simulation tells it where it is not given.
    #[schemars(length(min = 1, max = 8))]
    pub x_shape: Option<Vec<usize>>,
    /// What the program's parameters are drawn from; in a data file that is for the infer file to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<PriorSpec>,
    /// Names of the program's parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
}

/// How a program is given θ and gives x back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "exchange"))]
pub enum ExchangeConfig {
    /// The program stays and answers each line `{"id": 17, "theta": [0.1, 2.0], "seed": 123}` on standard input with a line
    /// `{"id": 17, "x": [1.0, 2.0]}` on standard output, or `{"id": 17, "error": "…"}`.
    #[default]
    JsonLines,
    /// The program runs once per simulation. `{theta}`, `{x}`, `{seed}`, `{id}` and `{dir}` in its arguments are filled in: it reads θ (d,) from one
    /// npy file and writes x to another. With `batch` above 1: θ (n, d), x (n, …), and `{seeds}` in place of `{seed}` and `{id}`.
    NpyFiles,
}

impl From<ExchangeConfig> for external::Exchange {
    fn from(config: ExchangeConfig) -> Self {
        match config {
            ExchangeConfig::JsonLines => Self::JsonLines,
            ExchangeConfig::NpyFiles => Self::NpyFiles,
        }
    }
}

/// Where the prior of a program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PriorPlace {
    /// In the section itself.
    Here,
    /// In the infer file.
    InferFile,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            task: None,
            command: Vec::new(),
            exchange: ExchangeConfig::JsonLines,
            workers: None,
            batch: 1,
            timeout_s: None,
            start_s: 30.0,
            retries: 1,
            max_answer_mib: 64,
            version: String::new(),
            x_shape: None,
            prior: None,
            parameters: Vec::new(),
        }
    }
}

impl SimulatorConfig {
    /// What it is called in messages and titles: the task, or the program.
    pub fn name(&self) -> &str {
        let program = || self.command.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program));
        self.task.as_deref().unwrap_or_else(program)
    }

    /// The prior that θ is drawn from. None for a program in a data file.
    pub fn prior(&self) -> Option<PriorSpec> {
        match &self.task {
            Some(task) => simulator::named(task).map(|task| task.prior().spec().clone()),
            None => self.prior.clone(),
        }
    }

    /// The checks of a section whose path begins with `at`: empty, or ending in a dot.
    pub(crate) fn check_at(&self, at: &str, place: PriorPlace, findings: &mut Findings) {
        let section = at.trim_end_matches('.');
        let key = |name: &str| format!("{at}{name}");
        match (&self.task, self.command.as_slice()) {
            (None, []) => {
                findings.error(section, "there is nothing to simulate with", "name a `task`, or give a `command` with its `prior`")
            }
            (Some(_), [_, ..]) => findings.error(&key("command"), "both `task` and `command` are given", "keep one of the two"),
            (Some(_), []) => self.check_task(at, findings),
            (None, command) => self.check_command(command, at, place, findings),
        }
    }

    /// A task has no use for what belongs to a program.
    fn check_task(&self, at: &str, findings: &mut Findings) {
        let plain = Self { task: self.task.clone(), ..Self::default() };
        let program_keys = [
            ("prior", self.prior != plain.prior),
            ("parameters", self.parameters != plain.parameters),
            ("exchange", self.exchange != plain.exchange),
            ("workers", self.workers != plain.workers),
            ("batch", self.batch != plain.batch),
            ("timeout_s", self.timeout_s != plain.timeout_s),
            ("start_s", self.start_s != plain.start_s),
            ("retries", self.retries != plain.retries),
            ("max_answer_mib", self.max_answer_mib != plain.max_answer_mib),
            ("version", self.version != plain.version),
            ("x_shape", self.x_shape != plain.x_shape),
        ];
        for (key, _) in program_keys.into_iter().filter(|(_, given)| *given) {
            findings.error(
                &format!("{at}{key}"),
                &format!("`{key}` belongs to a `command`, here is a `task`"),
                &format!("leave `{key}` out"),
            );
        }
    }

    fn check_command(&self, command: &[String], at: &str, place: PriorPlace, findings: &mut Findings) {
        let key = |name: &str| format!("{at}{name}");
        if command[0].is_empty() {
            findings.error(&key("command.0"), "the program has no name", "begin with the program, then its arguments");
        }
        match &self.prior {
            None if place == PriorPlace::InferFile => {}
            Some(_) if place == PriorPlace::InferFile => {
                findings.error(&key("prior"), "the prior of a data file's simulator is that of the infer file", "leave `prior` out");
            }
            None => {
                findings.error(&key("command"), "a program does not tell what its parameters are drawn from", "add `prior` to this section")
            }
            Some(prior) => {
                if let Some(d) = dimension_of(prior, &key("prior"), findings)
                    && !self.parameters.is_empty()
                    && self.parameters.len() != d
                {
                    let message = format!("the numbers of parameters differ: {d} in the prior, {} named here", self.parameters.len());
                    findings.error(&key("parameters"), &message, "name every parameter of the prior");
                }
            }
        }
        check_names(&self.parameters, &key("parameters"), findings);
        if self.x_shape.as_ref().is_some_and(|shape| shape.contains(&0)) {
            findings.error(&key("x_shape"), "a datum of this shape has no values", "every axis must be at least 1");
        }
        let batch = NonZeroUsize::new(self.batch).unwrap_or(NonZeroUsize::MIN);
        match self.exchange {
            ExchangeConfig::NpyFiles => match external::placeholders(command, batch) {
                (Some(missing), _) => {
                    let message = format!("with `exchange: npy_files` the command must say where `{missing}` goes");
                    findings.error(&key("command"), &message, "for example: [./simulate, --in, '{theta}', --out, '{x}', --seed, '{seed}']");
                }
                (_, Some(surplus)) => {
                    let message = format!("`{surplus}` belongs to a single simulation, but `batch` is {batch}");
                    findings.error(&key("command"), &message, "`{seeds}` is a file with one seed per row");
                }
                (None, None) => {}
            },
            ExchangeConfig::JsonLines => {
                let file = ["{theta}", "{x}", "{seed}", "{id}", "{dir}", "{seeds}"]
                    .into_iter()
                    .find(|name| command.iter().any(|part| part == name));
                if let Some(name) = file {
                    let message = format!("`{name}` is filled in with `exchange: npy_files` alone");
                    findings.error(&key("command"), &message, "add `exchange: npy_files`, or read lines of JSON from standard input");
                }
            }
        }
    }
}

impl Section for SimulatorConfig {
    const KIND: &'static str = "simulator";

    fn check(&self, findings: &mut Findings) {
        self.check_at("", PriorPlace::Here, findings);
    }
}
