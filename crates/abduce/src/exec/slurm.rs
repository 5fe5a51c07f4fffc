//! Slurm: one array of workers and a dependent merge, as scripts that a user can read and run by hand.

use super::files::ShardFolder;
use super::indices::compact;
use super::squeue::{self, Task};
use crate::error::Error;
use crate::session::{Console, json};
use crate::stages::inputs::make_folder;
use abduce_data::artefact::write_atomic;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the jobs ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Slurm")]
pub struct SlurmOptions {
    /// Partition.
    #[arg(long)]
    pub partition: Option<String>,
    /// Time limit of a task, as sbatch reads it; workers are told to stop two minutes before it and go on at the next submission.
    #[arg(long, value_name = "HH:MM:SS")]
    pub time: Option<String>,
    /// Memory of a task: 8G.
    #[arg(long)]
    pub mem: Option<String>,
    /// Cores, and threads, of a task.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub cpus_per_task: u32,
    /// GPUs of a task.
    #[arg(long)]
    pub gpus: Option<u32>,
    /// Another option of sbatch: --sbatch=--account=abc.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
}

/// What one submission started: an entry of `slurm/jobs.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Number of the array.
    pub array: u64,
    /// Number of the merge, once it is submitted.
    pub merge: Option<u64>,
    /// How tasks and shards belong together.
    pub layout: Layout,
}

/// Which shards a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Task k does shard k; these are the tasks.
    One(Vec<usize>),
    /// Task r of so many does the shards r, r + tasks, … that are missing: there are more shards than an array may have tasks.
    Strided(usize),
}

impl Layout {
    /// For the shards `missing` of `shards`, where indices of an array are below `max_array_size`.
    pub fn new(missing: &[usize], shards: usize, max_array_size: usize) -> Self {
        if shards <= max_array_size {
            return Self::One(missing.to_vec());
        }
        let per_task = shards.div_ceil(max_array_size.max(1));
        Self::Strided(shards.div_ceil(per_task))
    }

    fn array(&self) -> String {
        match self {
            Self::One(shards) => compact(shards),
            Self::Strided(tasks) => format!("0-{}", tasks - 1),
        }
    }
}

/// `MaxArraySize` where a site does not say: Slurm's own default.
const DEFAULT_MAX_ARRAY_SIZE: usize = 1001;
/// Signal to the worker, which is the batch shell itself, so long before the limit.
const SIGNAL: &str = "B:USR1@120";
/// How long an answer of Slurm's programs is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The script of the array.
pub fn array_script(options: &SlurmOptions, program: &Path, output: &Path, verb: &str, layout: &Layout, parallel: usize) -> String {
    let logs = ShardFolder::of(output).slurm().join("%A_%a.log");
    let mut lines = vec![
        "#!/bin/bash".to_string(),
        "# Written by `abduce submit`; can be run by hand with sbatch.".to_string(),
        format!("#SBATCH --job-name=abduce-{verb}"),
        format!("#SBATCH --array={}%{parallel}", layout.array()),
        format!("#SBATCH --signal={SIGNAL}"),
        "#SBATCH --requeue --open-mode=append".to_string(),
        format!("#SBATCH --output=\"{}\"", logs.display()),
    ];
    lines.extend(directives(options));
    let which = match layout {
        Layout::One(_) => "--shard \"$SLURM_ARRAY_TASK_ID\"".to_string(),
        Layout::Strided(tasks) => format!("--rank \"$SLURM_ARRAY_TASK_ID\" --of {tasks}"),
    };
    // `exec`: the signal reaches the batch shell alone, so the worker must be it.
    lines.push(format!("exec {} worker {} {which}", quoted(program), quoted(output)));
    lines.join("\n") + "\n"
}

/// The script of the merge.
pub fn merge_script(options: &SlurmOptions, program: &Path, output: &Path, verb: &str) -> String {
    let log = ShardFolder::of(output).slurm().join("merge-%j.log");
    let one = SlurmOptions { gpus: None, ..options.clone() };
    let mut lines = vec![
        "#!/bin/bash".to_string(),
        "# Written by `abduce submit`; runs when all tasks of the array have ended well.".to_string(),
        format!("#SBATCH --job-name=abduce-{verb}-merge"),
        format!("#SBATCH --output=\"{}\"", log.display()),
    ];
    lines.extend(directives(&one));
    lines.push(format!("exec {} merge {} --threads \"$SLURM_CPUS_PER_TASK\"", quoted(program), quoted(output)));
    lines.join("\n") + "\n"
}

fn directives(options: &SlurmOptions) -> Vec<String> {
    // Without it SLURM_CPUS_PER_TASK is not set, and a worker could not know its threads.
    let mut lines = vec![format!("#SBATCH --cpus-per-task={}", options.cpus_per_task)];
    for (key, value) in [("partition", &options.partition), ("time", &options.time), ("mem", &options.mem)] {
        lines.extend(value.as_ref().map(|value| format!("#SBATCH --{key}={value}")));
    }
    lines.extend(options.gpus.map(|gpus| format!("#SBATCH --gpus={gpus}")));
    lines.extend(options.sbatch.iter().map(|option| format!("#SBATCH {option}")));
    lines
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Submits the array for `missing` shards and the merge that depends on it.
///
/// # Errors
/// Slurm is not there, or refuses.
pub fn submit(
    options: &SlurmOptions,
    (program, output): (&Path, &Path),
    verb: &str,
    (missing, shards): (&[usize], usize),
    parallel: usize,
) -> Result<Submission, Error> {
    let folder = ShardFolder::of(output).slurm();
    make_folder(&folder)?;
    let layout = Layout::new(missing, shards, max_array_size());
    let write = |name: &str, text: String| -> Result<PathBuf, Error> {
        let path = folder.join(name);
        write_atomic(&path, |out| out.write_all(text.as_bytes()))?;
        Ok(path)
    };
    let array_file = write("array.sh", array_script(options, program, output, verb, &layout, parallel))?;
    let merge_file = write("merge.sh", merge_script(options, program, output, verb))?;
    let array = sbatch(&[array_file.as_os_str().to_os_string()])?;
    let mut submission = Submission { array, merge: None, layout };
    let mut all = submissions(output);
    all.push(submission.clone());
    write("jobs.json", json(&all)?)?;
    // A merge that can never run is cancelled and not left waiting for ever.
    let depends = format!("--dependency=afterok:{array}");
    let merge = sbatch(&[depends.into(), "--kill-on-invalid-dep=yes".into(), merge_file.into_os_string()])?;
    submission.merge = Some(merge);
    if let Some(last) = all.last_mut() {
        *last = submission.clone();
    }
    write("jobs.json", json(&all)?)?;
    Ok(submission)
}

/// The submissions so far, oldest first; none where nothing can be read.
pub fn submissions(output: &Path) -> Vec<Submission> {
    let path = ShardFolder::of(output).slurm().join("jobs.json");
    std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn sbatch(args: &[std::ffi::OsString]) -> Result<u64, Error> {
    let failed =
        |reason: String| Error::failed(format!("sbatch: {reason}"), "without Slurm, `--local` runs the same shards on this machine");
    let mut command = Command::new("sbatch");
    command.arg("--parsable").args(args);
    let (status, out, err) = answer(command).map_err(|error| failed(error.to_string()))?;
    // `12` or `12;cluster`.
    let number = out.trim().split(';').next().and_then(|text| text.parse().ok());
    match number {
        Some(number) if status => Ok(number),
        _ => Err(failed(if err.trim().is_empty() { format!("unexpected answer {out:?}") } else { err.trim().to_string() })),
    }
}

/// `MaxArraySize` of the site: one more than the largest index.
fn max_array_size() -> usize {
    let mut command = Command::new("scontrol");
    command.args(["show", "config"]);
    let Ok((true, text, _)) = answer(command) else { return DEFAULT_MAX_ARRAY_SIZE };
    config_number(&text, "MaxArraySize").unwrap_or(DEFAULT_MAX_ARRAY_SIZE)
}

fn config_number(text: &str, key: &str) -> Option<usize> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().parse().ok()).flatten()
    })
}

/// The tasks of `jobs` that Slurm still knows: from `squeue --json`, or from its text where that cannot be read. `None` where Slurm does not
/// answer at all. Tasks that have ended are left out.
pub fn tasks(jobs: &[u64]) -> Option<Vec<Task>> {
    if jobs.is_empty() {
        return Some(Vec::new());
    }
    let mut command = Command::new("squeue");
    command.arg("--json");
    let from_json = match answer(command) {
        Ok((true, text, _)) => squeue::parse_json(&text),
        Ok(_) => None,
        Err(_) => return None,
    };
    let tasks = from_json.or_else(|| queue(jobs))?;
    Some(tasks.into_iter().filter(|task| jobs.contains(&task.job) && task.is_active()).collect())
}

/// The same from the cheap text form.
pub fn queue(jobs: &[u64]) -> Option<Vec<Task>> {
    let list = jobs.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let mut command = Command::new("squeue");
    command.args(["-h", "-r", "-o", "%i %T %r", "-j", &list]);
    match answer(command) {
        Ok((true, text, _)) => Some(squeue::parse_text(&text)),
        // Jobs that ended long ago are forgotten, which squeue calls an error.
        Ok((false, _, said)) if said.contains("Invalid job id") => Some(Vec::new()),
        _ => None,
    }
}

/// Waits until none of `jobs` is queued or running, or `stop` says so.
///
/// # Errors
/// Slurm has not answered for a long time.
pub fn wait(console: &Console, jobs: &[u64], stop: impl Fn() -> bool) -> Result<(), Error> {
    let (mut pause, mut silent) = (Duration::from_millis(500), 0);
    let mut said = String::new();
    while !stop() {
        match queue(jobs) {
            Some(tasks) => {
                silent = 0;
                let active: Vec<&Task> = tasks.iter().filter(|task| task.is_active()).collect();
                if active.is_empty() {
                    return Ok(());
                }
                let text = squeue::summary(&active);
                if text != said {
                    console.note(format_args!("slurm: {text}"));
                    said = text;
                }
            }
            None => {
                silent += 1;
                if silent > 20 {
                    return Err(Error::failed("Slurm does not answer", "the jobs may go on; `abduce status` tells what is done"));
                }
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_secs(10));
    }
    Ok(())
}

/// Runs a program of Slurm's: whether it succeeded, and what it said. One that hangs is killed.
fn answer(mut command: Command) -> std::io::Result<(bool, String, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was said before the pipe broke is good enough.
            pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)).transpose().ok();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(out.map(|pipe| Box::new(pipe) as _));
    let err = read(err.map(|pipe| Box::new(pipe) as _));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok((status.success(), text(out), text(err)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_larger_than_allowed_give_tasks_several_shards() {
        assert_eq!(Layout::new(&[1, 4], 10, 10), Layout::One(vec![1, 4]));
        let Layout::Strided(tasks) = Layout::new(&[1, 4], 25_000, 10_001) else { panic!("too many tasks") };
        // Three shards per task, the last one fewer; every shard has a task.
        assert_eq!(tasks, 8334);
        assert!(tasks <= 10_001 && tasks * 3 >= 25_000);
        assert_eq!(Layout::Strided(3).array(), "0-2");
    }

    #[test]
    fn scripts_say_what_was_asked_for() {
        let options = SlurmOptions {
            time: Some("02:00:00".into()),
            cpus_per_task: 4,
            sbatch: vec!["--account=abc".into()],
            ..SlurmOptions::default()
        };
        let (program, output) = (Path::new("/opt/a b/abduce"), Path::new("/data/it's"));
        let script = array_script(&options, program, output, "simulate", &Layout::One(vec![0, 1, 2, 7]), 16);
        for line in [
            "#SBATCH --array=0-2,7%16",
            "#SBATCH --cpus-per-task=4",
            "#SBATCH --time=02:00:00",
            "#SBATCH --signal=B:USR1@120",
            "#SBATCH --requeue --open-mode=append",
            "#SBATCH --account=abc",
            r#"exec '/opt/a b/abduce' worker '/data/it'\''s' --shard "$SLURM_ARRAY_TASK_ID""#,
        ] {
            assert!(script.lines().any(|found| found == line), "{line} is not in\n{script}");
        }
        let strided = array_script(&options, program, output, "simulate", &Layout::Strided(9), 16);
        assert!(strided.contains(r#"--rank "$SLURM_ARRAY_TASK_ID" --of 9"#), "{strided}");
        assert!(merge_script(&options, program, output, "simulate").contains(r"exec '/opt/a b/abduce' merge"));
    }

    #[test]
    fn the_sites_limit_is_read() {
        let text = "MaxArraySize            = 10001\nMaxDBDMsgs              = 20004\n";
        assert_eq!(config_number(text, "MaxArraySize"), Some(10_001));
        assert_eq!(config_number("slurm_load_ctl_conf error", "MaxArraySize"), None);
    }

    #[test]
    fn a_program_that_is_absent_is_an_error() {
        assert!(answer(Command::new("/no/such/program")).is_err());
        let (good, out, _) = answer(Command::new("pwd")).unwrap();
        assert!(good && out.starts_with('/'));
    }
}
