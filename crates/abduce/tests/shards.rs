//! Sharded commands end with the bytes of the command itself, whatever happens on the way: on this machine, and on a private Slurm.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot be set up has failed")]

mod program;

use program::{Workplace, assert_same_bytes};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The files of a simulated set, to be compared byte by byte.
fn tables(place: &Workplace, folder: &str) -> [Vec<u8>; 2] {
    ["theta.npy", "x.npy"].map(|name| place.read(&format!("{folder}/{name}")))
}

fn submit<'a>(options: &[&'a str], command: &[&'a str], out: &'a str) -> Vec<&'a str> {
    ["submit"].iter().chain(options).chain(command).chain(&["-o", out]).copied().collect()
}

#[test]
fn shards_and_threads_change_no_byte() {
    let place = Workplace::new();
    let simulate = ["simulate", "slcp", "-n", "1001", "--seed", "5", "--quiet"];
    place.ok(&[&simulate[..], &["-o", "whole"]].concat());
    for (shards, threads) in [("1", "1"), ("3", "4"), ("8", "2")] {
        let command = [&simulate[..], &["--threads", threads]].concat();
        place.ok(&submit(&["--local", "--parallel", "2", "--shards", shards], &command, shards));
        assert!(tables(&place, shards) == tables(&place, "whole"), "{shards} shards");
        let left: Vec<_> = std::fs::read_dir(place.path(shards)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "nothing but theta, x and the hidden folder: {left:?}");
    }
    let again = place.run(&submit(&["--local"], &simulate[..6], "3"));
    assert!(again.status == 0 && again.stderr.contains("done before"), "{}", again.stderr);
    assert!(place.ok(&["status", "3"]).contains("1001 items in 3 shards, all done and merged"));
    // Ranks of an MPI launcher, by hand: 2 of 3 do it all, since the third has no shard.
    place.ok(&submit(&["--plan", "--shards", "2"], &simulate, "ranks"));
    for rank in ["0", "1", "2"] {
        let mut worker = place.command(&["worker", "ranks", "--quiet"]);
        assert!(worker.env("OMPI_COMM_WORLD_RANK", rank).env("OMPI_COMM_WORLD_SIZE", "3").status().unwrap().success());
    }
    place.ok(&["merge", "ranks", "--quiet"]);
    assert!(tables(&place, "ranks") == tables(&place, "whole"));
}

#[test]
fn a_changed_command_against_an_old_plan_is_refused() {
    let place = Workplace::new();
    place.ok(&submit(&["--local", "--shards", "2"], &["simulate", "slcp", "-n", "10", "--quiet"], "d"));
    place.fails(2, &submit(&["--local"], &["simulate", "two_moons", "-n", "12"], "d"), &["`n` was 10, now it is 12"]);
    let three = submit(&["--local", "--shards", "3"], &["simulate", "slcp", "-n", "10"], "d");
    place.fails(2, &three, &["the number of shards was 2, now it is 3"]);
    place.fails(2, &submit(&["--local"], &["simulate", "slpc", "-n", "10"], "e"), &["no built-in task `slpc`"]);
    place.fails(2, &["worker", "d", "--shard", "2"], &["there is no shard 2", "0 to 1"]);
    place.fails(2, &["worker", "d"], &["nothing says which shard to do", "SLURM_ARRAY_TASK_ID"]);
    for command in ["status", "merge"] {
        place.fails(2, &[command, "nowhere"], &["there is no plan in"]);
    }
}

/// A table whose three shards take the better part of a second each.
const SLOW: [&str; 7] = ["simulate", "sir", "-n", "90000", "--seed", "3", "--quiet"];
const THREE: [&str; 3] = ["--local", "--shards", "3"];

/// Starts the worker of a shard and waits until it is at work.
fn worker(place: &Workplace, out: &str, shard: &str) -> Child {
    let mut child = place.command(&["worker", out, "--shard", shard]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("shard {shard}: ")), "{line}");
    std::thread::spawn(move || said.lines().count());
    std::thread::sleep(Duration::from_millis(50));
    child
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn killed_and_stopped_workers_and_two_at_once() {
    let place = Workplace::new();
    place.ok(&[&SLOW[..], &["-o", "whole"]].concat());
    place.ok(&submit(&["--plan", "--shards", "3"], &SLOW, "d"));
    let shard = |name: &str| place.path(&format!("d/.shards/{name}"));

    // Killed: nothing is left, and a half-written file of a killed worker is no shard.
    let mut killed = worker(&place, "d", "0");
    signal(&killed, "-KILL");
    assert!(!killed.wait().unwrap().success());
    std::fs::write(shard(".00000.safetensors.n1-17.tmp"), "half").unwrap();
    assert!(!shard("00000.safetensors").exists());

    // Stopped: 75, and the part says how far it came.
    let mut stopped = worker(&place, "d", "1");
    signal(&stopped, "-USR1");
    assert_eq!(stopped.wait().unwrap().code(), Some(75));
    assert!(shard("00001.part.safetensors").exists() && !shard("00001.safetensors").exists());
    let status = place.ok(&["status", "d"]);
    assert!(status.contains("partial      1  (1)") && status.contains("missing      2  (0,2)"), "{status}");
    place.fails(1, &["merge", "d"], &["not all shards are done, missing: 0-2"]);

    // Two copies of one shard, as after a node that was only cut off.
    let (mut one, mut two) = (worker(&place, "d", "2"), worker(&place, "d", "2"));
    assert!(one.wait().unwrap().success() && two.wait().unwrap().success());
    assert!(shard("00002.safetensors").exists());

    let resumed = place.run(&submit(&THREE, &SLOW[..6], "d"));
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("2 of 3 shards"), "{}", resumed.stderr);
    let log = String::from_utf8(place.read("d/.shards/log/00001.log")).unwrap();
    assert!(log.contains("going on after"), "{log}");
    assert!(tables(&place, "d") == tables(&place, "whole"));
    let left: Vec<String> = std::fs::read_dir(shard("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.ends_with(".tmp") && !name.ends_with(".safetensors")), "{left:?}");
}

#[test]
fn a_submission_that_is_interrupted_is_75_and_goes_on() {
    let place = Workplace::new();
    let child = place.command(&submit(&["--local", "--shards", "2", "--parallel", "2"], &SLOW, "d")).spawn().unwrap();
    let begun = Instant::now();
    while !["00000", "00001"].iter().all(|k| place.path(&format!("d/.shards/log/{k}.log")).metadata().is_ok_and(|m| m.len() > 0)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no worker began");
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&child, "-TERM");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(75));
    place.ok(&submit(&["--local"], &SLOW, "d"));
    place.ok(&[&SLOW[..], &["-o", "whole"]].concat());
    assert!(tables(&place, "d") == tables(&place, "whole"));
}

/// A folder that holds something, where a shard's file should be: its worker fails at the end.
fn block(place: &Workplace, out: &str, shard: usize) {
    std::fs::create_dir_all(place.path(&format!("{out}/.shards/{shard:05}.safetensors/in-the-way"))).unwrap();
}

fn unblock(place: &Workplace, out: &str, shard: usize) {
    std::fs::remove_dir_all(place.path(&format!("{out}/.shards/{shard:05}.safetensors"))).unwrap();
}

#[test]
fn a_failed_shard_is_named_and_done_alone_the_next_time() {
    let place = Workplace::new();
    let simulate = ["simulate", "slcp", "-n", "40", "--seed", "1"];
    block(&place, "d", 1);
    let three = submit(&THREE, &simulate, "d");
    place.fails(1, &three, &["not all shards are done, missing: 1", "shard 1 failed at item 13", "00001.safetensors", "submit again"]);
    place.fails(1, &three, &["not all shards are done, missing: 1"]);
    let status: serde_json::Value = serde_json::from_str(&place.ok(&["status", "d", "--json"])).unwrap();
    assert_eq!(
        (&status["failed"][0]["shard"], &status["failed"][0]["attempt"], &status["done"]),
        (&1.into(), &2.into(), &serde_json::json!([0, 2]))
    );
    unblock(&place, "d", 1);
    let third = place.run(&three);
    assert!(third.status == 0 && third.stderr.contains("1 of 3 shards"), "{}", third.stderr);
    assert!(!place.path("d/.shards/00001.error.json").exists());
    place.ok(&[&simulate[..], &["-o", "whole"]].concat());
    assert!(tables(&place, "d") == tables(&place, "whole"));

    // A shard of other work among ours is not merged.
    place.ok(&submit(&["--plan", "--shards", "2"], &simulate, "e"));
    place.ok(&submit(&["--plan", "--shards", "2"], &["simulate", "slcp", "-n", "40", "--seed", "2"], "f"));
    place.ok(&["worker", "e", "--shard", "0"]);
    place.ok(&["worker", "f", "--shard", "1"]);
    std::fs::copy(place.path("f/.shards/00001.safetensors"), place.path("e/.shards/00001.safetensors")).unwrap();
    place.fails(1, &["merge", "e"], &["00001.safetensors", "belongs to another plan"]);
    assert!(!place.path("e/theta.npy").exists());
}

/// Networks trained one by one, in different processes and in any order, are the ensemble that is trained at once.
#[test]
fn networks_in_shards_are_the_same_ensemble() {
    let place = Workplace::simulated();
    let train = ["train", "infer.yaml", "--data", "data.yaml", "--quiet", "--set", "model.nets.1.repeats=2"];
    place.ok(&[&train[..], &["-o", "whole"]].concat());
    place.ok(&submit(&["--plan", "--shards", "3"], &train, "run"));
    assert!(place.ok(&["status", "run"]).contains("3 items in 3 shards"));
    for shard in ["2", "0"] {
        place.ok(&["worker", "run", "--shard", shard, "--quiet"]);
    }
    place.fails(1, &["merge", "run"], &["not all shards are done, missing: 1"]);
    place.ok(&submit(&["--local", "--parallel", "2"], &train, "run"));
    std::fs::remove_dir_all(place.path("run/.shards")).unwrap();
    assert_same_bytes(&place.path("whole"), &place.path("run"));

    // A worker that is stopped keeps its checkpoint, and one whose files have changed refuses.
    let long = [&train[..5], &["--set", "train_args.max_num_epochs=1500", "--set", "train_args.stop_after_epochs=1500"]].concat();
    place.ok(&submit(&["--plan", "--shards", "2"], &long, "long"));
    let stopped = worker(&place, "long", "1");
    while !place.path("long/checkpoints/net-1.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&stopped, "-USR1");
    let code = stopped.wait_with_output().unwrap().status.code();
    assert_eq!(code, Some(75));
    place.ok(&submit(&["--local", "--parallel", "2"], &long, "long"));
    place.ok(&[&long[..], &["-o", "long-whole"]].concat());
    std::fs::remove_dir_all(place.path("long/.shards")).unwrap();
    assert_same_bytes(&place.path("long-whole"), &place.path("long"));

    place.ok(&submit(&["--plan"], &train, "changed"));
    place.write("infer.yaml", program::INFER.replace("hidden_features: 8", "hidden_features: 9"));
    place.fails(2, &["worker", "changed", "--shard", "0"], &["not what the plan was made for"]);
}

/// Test pairs measured in blocks, in different processes and in any order, give the metrics and plots of the whole; a gate that does not hold
/// is told at the end.
#[test]
fn a_validation_in_shards_is_the_same_validation() {
    let place = Workplace::simulated();
    place.ok(&["train", "infer.yaml", "--data", "data.yaml", "-o", "npe", "--quiet"]);
    let likelihood = ["--set", "model.engine=NLE", "--set", "model.nets=[{model: maf, hidden_features: 8, num_transforms: 2}]"];
    place.ok(&[&["train", "infer.yaml", "--data", "data.yaml", "-o", "nle", "--quiet"][..], &likelihood].concat());
    // 500 pairs are 8 blocks; chains are slow, so fewer of them.
    for (run, n, blocks) in [("npe", "500", 8), ("nle", "130", 3)] {
        let n = format!("n_data={n}");
        let few = "metrics={cover: {class: PosteriorCoverage, module: ili.validation, args: {num_samples: 60, plot_list: [coverage]}}}";
        let validate = ["validate", run, "--data", "data.yaml", "--seed", "4", "--quiet", "--set", &n, "--set", few];
        let (whole, cut) = (format!("{run}-whole"), format!("{run}-cut"));
        place.ok(&[&validate[..], &["-o", &whole]].concat());
        place.ok(&submit(&["--plan", "--shards", "3"], &validate, &cut));
        assert!(place.ok(&["status", &cut]).contains(&format!("{blocks} items in 3 shards")));
        place.ok(&["worker", &cut, "--shard", "2", "--quiet"]);
        place.fails(1, &["merge", &cut], &["missing: 0-1"]);
        place.ok(&submit(&["--local", "--parallel", "2"], &validate, &cut));
        std::fs::remove_dir_all(place.path(&cut).join(".shards")).unwrap();
        assert_same_bytes(&place.path(&whole), &place.path(&cut));
    }
    // Five epochs of small nets are no posterior to rely on.
    let strict = ["validate", "npe", "--data", "data.yaml", "--seed", "4", "--quiet", "--gate", "coverage"];
    place.fails(3, &submit(&["--local", "--parallel", "2"], &strict, "gate"), &["gate coverage does not hold"]);
    place.fails(3, &submit(&["--local"], &strict, "gate"), &["gate coverage does not hold"]);
}

/// A private Slurm, stopped at the end of the test.
struct Slurm {
    scripts: PathBuf,
    folder: PathBuf,
    port: u32,
    nodes: &'static str,
    conf: String,
}

impl Slurm {
    /// Started by the project's scripts, where they and Slurm are; otherwise the reason is printed.
    fn up(nodes: &'static str) -> Option<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/slurm");
        let daemon = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"].iter().any(|bin| Path::new(bin).join("slurmctld").exists());
        if !scripts.join("up.sh").exists() || !daemon {
            eprintln!("skipped: no Slurm here (scripts in {}: {}, slurmctld: {daemon})", scripts.display(), scripts.exists());
            return None;
        }
        // A short path: a socket's name has at most 107 characters. Ports of their own for tests at the same time.
        let folder = std::env::temp_dir().join(format!("abduce-{}-{nodes}", std::process::id()));
        let mut slurm = Self {
            scripts,
            folder,
            port: 20_000 + 20 * (std::process::id() % 1000) + 5 * nodes.parse::<u32>().unwrap(),
            nodes,
            conf: String::new(),
        };
        let out = slurm.script("up.sh").output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        slurm.conf = text.trim().strip_prefix("export SLURM_CONF='").unwrap().trim_end_matches('\'').to_string();
        Some(slurm)
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg(self.scripts.join(name)).env("ABDUCE_SLURM_DIR", &self.folder).env("ABDUCE_SLURM_PORT", self.port.to_string());
        command.env("ABDUCE_SLURM_NODES", self.nodes).env("ABDUCE_SLURM_CPUS", "2").env("SLURM_CONF", &self.conf);
        command
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let out = Command::new(program).args(args).env("SLURM_CONF", &self.conf).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    /// Runs the program with this Slurm; gives status and standard error.
    fn abduce(&self, place: &Workplace, args: &[&str]) -> (i32, String, String) {
        let out = place.command(args).env("SLURM_CONF", &self.conf).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let out = self.script("down.sh").output().unwrap();
        if !out.status.success() {
            eprintln!("down.sh: {}", String::from_utf8_lossy(&out.stderr));
        }
    }
}

#[test]
fn a_slurm_array_ends_with_the_same_bytes() {
    let Some(slurm) = Slurm::up("1") else { return };
    let place = Workplace::new();
    let simulate = ["simulate", "slcp", "-n", "3000", "--seed", "5"];
    place.ok(&[&simulate[..], &["-o", "whole", "--quiet"]].concat());

    // An array of four shards of which one cannot be written: the merge is cancelled and not left waiting.
    block(&place, "d", 2);
    let args = submit(&["--wait", "--shards", "4", "--parallel", "2", "--time", "10"], &simulate, "d");
    let (status, array, said) = slurm.abduce(&place, &args);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("not all shards are done, missing: 2") && said.contains("shard 2 failed at item 1500"), "{said}");
    let merge = array.trim().parse::<u64>().unwrap() + 1;
    let job = slurm.run("scontrol", &["-o", "show", "job", &merge.to_string()]);
    assert!(job.contains("JobState=CANCELLED"), "{job}");
    let (_, text, _) = slurm.abduce(&place, &["status", "d"]);
    assert!(text.contains("done         3  (0-1,3)") && text.contains("slurm: no job is left"), "{text}");

    // Submitting again does the one shard and merges.
    unblock(&place, "d", 2);
    let (status, _, said) = slurm.abduce(&place, &args);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("array ") && said.contains(" of 1 shards"), "{said}");
    assert!(tables(&place, "d") == tables(&place, "whole"));
    let script = String::from_utf8(place.read("d/.shards/slurm/array.sh")).unwrap();
    assert!(script.contains("#SBATCH --array=2%2"), "{script}");
    let merged: serde_json::Value = serde_json::from_slice(&place.read("d/.shards/merged.json")).unwrap();
    assert!(merged["shards"].as_array().unwrap().iter().all(|shard| shard["host"] == "n1" && shard["threads"] == 1), "{merged}");
}

#[test]
fn a_slurm_array_of_networks_and_one_of_study_workers() {
    let Some(slurm) = Slurm::up("2") else { return };
    let place = Workplace::simulated();
    let train = ["train", "infer.yaml", "--data", "data.yaml", "--quiet"];
    place.ok(&[&train[..], &["-o", "whole"]].concat());
    let (status, _, said) = slurm.abduce(&place, &submit(&["--wait", "--shards", "2", "--cpus-per-task", "2"], &train, "run"));
    assert_eq!(status, 0, "{said}");
    let merged: serde_json::Value = serde_json::from_slice(&place.read("run/.shards/merged.json")).unwrap();
    assert!(merged["shards"].as_array().unwrap().iter().all(|shard| shard["threads"] == 2), "{merged}");
    std::fs::remove_dir_all(place.path("run/.shards")).unwrap();
    assert_same_bytes(&place.path("whole"), &place.path("run"));

    place.write("study.yaml", "{base: infer.yaml, data: data.yaml, search: {model.nets.0.hidden_features: {int: [4, 16]}}}");
    let search = ["search", "study.yaml", "--trials", "4"];
    let (status, _, said) = slurm.abduce(&place, &submit(&["--wait", "--shards", "2"], &search, "study"));
    assert_eq!(status, 0, "{said}");
    let results: serde_json::Value = serde_json::from_slice(&place.read("study/study.json")).unwrap();
    assert_eq!(results["complete"], 4, "{results}");
}

/// The processes of a virtual node, and their step daemons.
fn processes_of(node: &str) -> Vec<String> {
    let mark = format!("SLURMD_NODENAME={node}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if !environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()) {
            continue;
        }
        found.push(entry.file_name().into_string().unwrap());
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(|pid| pid.trim().to_string());
        let daemon = |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "slurmstepd");
        found.extend(parent.filter(daemon));
    }
    found
}

#[test]
#[ignore = "slow: 1 min, needs Slurm"]
fn a_lost_node_costs_only_time() {
    let Some(slurm) = Slurm::up("3") else { return };
    let place = Workplace::new();
    let simulate = ["simulate", "sir", "-n", "1500000", "--seed", "3", "--quiet"];
    let (status, array, said) = slurm.abduce(&place, &submit(&["--shards", "6"], &simulate, "d"));
    assert_eq!(status, 0, "{said}");
    let queue = || slurm.run("squeue", &["-h", "-r", "-o", "%i %T %r %N", "-j", array.trim()]);
    let until = |what: &str, done: &dyn Fn(&str) -> bool| {
        let begun = Instant::now();
        while !done(&queue()) {
            assert!(begun.elapsed() < Duration::from_secs(120), "{what}: {}", queue());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until("no task on n3", &|text| text.lines().any(|line| line.contains("RUNNING") && line.ends_with("n3")));
    std::thread::sleep(Duration::from_millis(500));
    let daemon = std::fs::read_to_string(slurm.folder.join("pid/slurmd.n3")).unwrap();
    for pid in [vec![daemon.trim().to_string()], processes_of("n3")].concat() {
        Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    }
    // Slurm notices, puts the tasks back, and lets them wait for two minutes, which we do not.
    until("the tasks of n3 did not come back", &|text| text.contains("BeginTime"));
    for line in queue().lines().filter(|line| line.contains("BeginTime")) {
        slurm.run("scontrol", &["update", &format!("JobId={}", line.split(' ').next().unwrap()), "StartTime=now"]);
    }
    let (status, _, said) = slurm.abduce(&place, &submit(&["--wait"], &simulate[..6], "d"));
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("queued or running already") || said.contains("done before"), "{said}");
    let merged: serde_json::Value = serde_json::from_slice(&place.read("d/.shards/merged.json")).unwrap();
    assert!(merged["shards"].as_array().unwrap().iter().any(|shard| shard["restarts"] == 1), "{merged}");
    place.ok(&[&simulate[..], &["-o", "whole"]].concat());
    assert!(tables(&place, "d") == tables(&place, "whole"));
}
