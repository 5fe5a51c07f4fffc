//! What `squeue` says, in JSON of two shapes or as text.
//!
//! Slurm 22.05 writes states as texts and numbers as numbers; from 23.11 on states are lists and numbers are
//! `{"set": true, "infinite": false, "number": 5}`. Only the fields that are used are read. Filters of `squeue --json` are ignored by
//! Slurm: it tells of all jobs, so callers choose.

use super::indices::expand;
use serde_json::Value;
use std::collections::BTreeMap;

/// A job, or a task of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The array's number, or the job's own outside arrays.
    pub job: u64,
    /// Place in the array.
    pub task: Option<u64>,
    /// `RUNNING`, `PENDING`, …
    pub state: String,
    /// Why it waits or failed; empty where Slurm says `None`.
    pub reason: String,
    /// How often it was started again; 0 where unknown.
    pub restarts: u64,
}

impl Task {
    /// Whether it may still do something.
    pub fn is_active(&self) -> bool {
        const ENDED: [&str; 9] =
            ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"];
        !ENDED.contains(&self.state.as_str())
    }
}

/// All jobs of the output of `squeue --json`; nothing where it is something else.
pub fn parse_json(text: &str) -> Option<Vec<Task>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut tasks = Vec::new();
    for job in value["jobs"].as_array()? {
        let state = match &job["job_state"] {
            Value::String(state) => state.clone(),
            Value::Array(states) => states.first().and_then(Value::as_str)?.to_string(),
            _ => return None,
        };
        let reason = job["state_reason"].as_str().filter(|reason| *reason != "None").unwrap_or_default().to_string();
        let array = number(&job["array_job_id"]).filter(|&id| id != 0);
        let own = number(&job["job_id"])?;
        let one = |task| Task {
            job: array.unwrap_or(own),
            task,
            state: state.clone(),
            reason: reason.clone(),
            restarts: number(&job["restart_cnt"]).unwrap_or(0),
        };
        // Tasks that still wait are one record with a list of indices.
        let waiting = job["array_task_string"].as_str().filter(|list| !list.is_empty()).and_then(expand);
        match (array, number(&job["array_task_id"]), waiting) {
            (Some(_), None, Some(indices)) => tasks.extend(indices.into_iter().map(|index| one(Some(index)))),
            (Some(_), task, _) => tasks.push(one(task)),
            (None, ..) => tasks.push(one(None)),
        }
    }
    Some(tasks)
}

/// A number of either shape; one that is not set is none.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Object(object) if object.get("set") == Some(&Value::Bool(false)) => None,
        Value::Object(object) => object.get("number")?.as_u64(),
        other => other.as_u64(),
    }
}

/// The lines of `squeue -h -r -o '%i %T %r'`; lines of another form are left out.
pub fn parse_text(text: &str) -> Vec<Task> {
    let line = |line: &str| {
        let mut words = line.trim().splitn(3, ' ');
        let (id, state, reason) = (words.next()?, words.next()?, words.next().unwrap_or("").trim());
        let (job, task) = match id.split_once('_') {
            Some((job, task)) => (job, Some(task.parse().ok()?)),
            None => (id, None),
        };
        let reason = if reason == "None" { "" } else { reason };
        Some(Task { job: job.parse().ok()?, task, state: state.to_string(), reason: reason.to_string(), restarts: 0 })
    };
    text.lines().filter_map(line).collect()
}

/// `2 running, 5 pending (Resources)`.
pub fn summary(tasks: &[&Task]) -> String {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for task in tasks {
        *counts.entry((task.state.to_lowercase(), &task.reason)).or_default() += 1;
    }
    let part = |((state, reason), count): (&(String, &str), &usize)| {
        if reason.is_empty() { format!("{count} {state}") } else { format!("{count} {state} ({reason})") }
    };
    counts.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut down to the fields around those that are read, from Slurm 22.05.8.
    const OLDER: &str = r#"{"meta": {"plugin": {"type": "openapi/v0.0.38"}}, "errors": [], "jobs": [
        {"account": "", "array_job_id": 6, "array_task_id": null, "array_task_string": "1-5%1", "job_id": 6, "job_state": "PENDING",
         "state_reason": "JobArrayTaskLimit", "restart_cnt": 0, "exit_code": 0, "dependency": ""},
        {"array_job_id": 6, "array_task_id": 0, "array_task_string": "", "job_id": 7, "job_state": "RUNNING", "state_reason": "None",
         "restart_cnt": 1, "exit_code": 0},
        {"array_job_id": 0, "array_task_id": null, "array_task_string": "", "job_id": 8, "job_state": "PENDING", "state_reason": "Dependency",
         "restart_cnt": 0, "dependency": "afterok:6_*(unfulfilled)"},
        {"array_job_id": 3, "array_task_id": 2, "array_task_string": "", "job_id": 5, "job_state": "FAILED",
         "state_reason": "NonZeroExitCode", "restart_cnt": 0, "exit_code": 256}]}"#;

    /// The shape of 23.11 and later.
    const NEWER: &str = r#"{"jobs": [
        {"array_job_id": {"set": true, "infinite": false, "number": 6}, "array_task_id": {"set": false, "infinite": false, "number": 0},
         "array_task_string": "1-5%1", "job_id": 6, "job_state": ["PENDING"], "state_reason": "JobArrayTaskLimit",
         "restart_cnt": 0, "exit_code": {"status": ["SUCCESS"], "return_code": {"set": true, "infinite": false, "number": 0}}},
        {"array_job_id": {"set": true, "infinite": false, "number": 6}, "array_task_id": {"set": true, "infinite": false, "number": 0},
         "array_task_string": "", "job_id": 7, "job_state": ["RUNNING"], "state_reason": "None", "restart_cnt": 1},
        {"array_job_id": {"set": true, "infinite": false, "number": 0}, "array_task_id": {"set": false, "infinite": false, "number": 0},
         "array_task_string": "", "job_id": 8, "job_state": ["PENDING"], "state_reason": "Dependency", "restart_cnt": 0},
        {"array_job_id": {"set": true, "infinite": false, "number": 3}, "array_task_id": {"set": true, "infinite": false, "number": 2},
         "array_task_string": "", "job_id": 5, "job_state": ["FAILED", "REQUEUED"], "state_reason": "NonZeroExitCode", "restart_cnt": 0}],
        "last_backfill": {"set": true, "infinite": false, "number": 0}, "warnings": []}"#;

    #[test]
    fn both_shapes_say_the_same() {
        let tasks = parse_json(OLDER).unwrap();
        assert_eq!(tasks, parse_json(NEWER).unwrap());
        assert_eq!(tasks.len(), 8);
        let waiting: Vec<Option<u64>> = tasks[..5].iter().map(|task| task.task).collect();
        assert_eq!(waiting, (1..=5).map(Some).collect::<Vec<_>>());
        let running = Task { job: 6, task: Some(0), state: "RUNNING".into(), reason: String::new(), restarts: 1 };
        assert_eq!(tasks[5], running);
        assert_eq!((tasks[6].job, tasks[6].task), (8, None));
        assert_eq!(tasks.iter().filter(|task| task.is_active()).count(), 7);
        let shown: Vec<&Task> = tasks.iter().filter(|task| task.is_active()).collect();
        assert_eq!(summary(&shown), "1 pending (Dependency), 5 pending (JobArrayTaskLimit), 1 running");
    }

    #[test]
    fn garbage_is_no_answer() {
        for text in ["", "slurm_load_jobs error: Unable to contact slurm controller", "{}", "{\"jobs\": 3}", "{\"jobs\": [{}]}", "[1]"] {
            assert_eq!(parse_json(text), None, "{text}");
        }
        let text = "6_0 RUNNING None\n6_1 PENDING JobArrayTaskLimit\n8 PENDING Dependency\nsqueue: error\n\n6_[2-5] PENDING x\n";
        let tasks = parse_text(text);
        assert_eq!(tasks.iter().map(|task| (task.job, task.task)).collect::<Vec<_>>(), [(6, Some(0)), (6, Some(1)), (8, None)]);
        assert_eq!((tasks[0].reason.as_str(), tasks[1].reason.as_str()), ("", "JobArrayTaskLimit"));
    }
}
