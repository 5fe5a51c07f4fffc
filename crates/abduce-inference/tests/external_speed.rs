//! k workers are at least 0.8 k times as fast as one, for a simulation of 10 ms that sleeps.
//!
//! Called with `--simulate` this is the simulator itself.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, and a program that answers on standard output")]

use abduce_data::{ParameterInfo, Seed};
use abduce_inference::prior::{Bounds, Prior, PriorSpec};
use abduce_inference::simulator::external::{ExternalProgram, ProgramSpec};
use abduce_inference::simulator::{Theta, simulate_rows};
use std::io::{BufRead as _, Write as _};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--simulate") => simulate(),
        // Test runners ask what there is.
        Some("--list") => println!("workers_are_worth_their_number: test"),
        _ => workers_are_worth_their_number(),
    }
}

/// x = θ, after 10 ms.
fn simulate() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        writeln!(out, "{}", serde_json::json!({"id": request["id"], "x": request["theta"]})).unwrap();
        out.flush().unwrap();
    }
}

fn workers_are_worth_their_number() {
    let me = std::env::current_exe().unwrap();
    let seconds_per_item = |workers: usize, items: usize| {
        let spec = ProgramSpec {
            workers: NonZeroUsize::new(workers).unwrap(),
            data_shape: Some(vec![1]),
            ..ProgramSpec::json_lines(&[me.to_str().unwrap(), "--simulate"])
        };
        let prior = Prior::new(PriorSpec::Uniform(Bounds { low: [0.0].into(), high: [1.0].into() })).unwrap();
        let program = ExternalProgram::new(spec, prior, ParameterInfo::numbered(1)).unwrap();
        let stop = AtomicBool::new(false);
        // The workers are started first.
        simulate_rows(&program, Theta::Prior, 0, 4 * workers, Seed(1), &stop).unwrap();
        let begun = Instant::now();
        let rows = simulate_rows(&program, Theta::Prior, 0, items, Seed(1), &stop).unwrap();
        assert_eq!(rows.x.data(), rows.theta.data());
        begun.elapsed().as_secs_f64() / items as f64
    };
    for workers in [2, 8] {
        let enough = 0.8 * workers as f64;
        let mut speed_up = 0.0f64;
        // Other work on the machine only slows things down, so the best of three is the measurement.
        for _ in 0..3 {
            speed_up = speed_up.max(seconds_per_item(1, 60) / seconds_per_item(workers, 60 * workers));
            if speed_up >= enough {
                break;
            }
        }
        println!("{workers} workers: {speed_up:.2} times as fast as one");
        assert!(speed_up >= enough, "{workers} workers are only {speed_up:.2} times as fast as one");
    }
}
