//! Project chores: `cargo xtask verify NAME` runs one slow scientific check.
//!
//! A check is a grid of cells. Each cell writes one JSON file under `target/verify/NAME/`, so an interrupted check goes on where it
//! stopped; the table printed at the end is made from these files alone. Figures that we stand by are copied to VERIFICATION.md.
#![allow(clippy::print_stdout)] // a command-line tool whose output is its tables

mod cells;
mod cosmology;
mod dimension;
mod gflownet;
mod layers;
mod manifolds;
mod memory;
mod methods;
mod ordered;
mod peer;
mod published;
mod runs;
mod sbibm;
mod steps;
#[expect(dead_code, reason = "the narrow networks are for the tests of the crate")]
#[path = "../../crates/abduce-nn/tests/tensors/workloads.rs"]
mod workloads;

use clap::{Parser, Subcommand};
use std::error::Error;

/// What goes wrong is told and ends the command.
type Outcome = Result<(), Box<dyn Error>>;

#[derive(Parser)]
#[command(about = "Project chores")]
enum Command {
    /// Run a slow scientific check.
    #[command(subcommand)]
    Verify(Verify),
}

#[derive(Subcommand)]
enum Verify {
    /// C2ST of NPE posteriors against the reference draws of the sbi benchmark.
    Sbibm(sbibm::Options),
    /// Training steps against torch, alternating in one run.
    Steps(peer::Comparison),
    /// Training steps of large networks against torch, alternating in one run.
    Layers(layers::Options),
    /// A whole NPE run with sbi's settings, for comparison with `benches/peers/npe_run.py` on the same arrays.
    Run(runs::Options),
    /// NLE, NRE and SNPE with sbi's settings, for comparison with `benches/peers/methods_run.py`.
    Methods(methods::Options),
    /// Hypergrids by trajectory balance, against the exact distribution.
    Gflownet(gflownet::Options),
    /// Intrinsic dimension of known manifolds, and its times.
    Dimension(dimension::Options),
    /// Ordered against plain summaries of the same size: C2ST, and how many matter.
    Ordered(ordered::Options),
    /// Training on files larger than memory.
    Memory(memory::Options),
    /// Particle-mesh runs, haloes and estimators.
    Cosmology(cosmology::Options),
}

fn main() -> Outcome {
    match Command::parse() {
        Command::Verify(Verify::Sbibm(options)) => sbibm::run(&options),
        Command::Verify(Verify::Steps(options)) => steps::run(&options),
        Command::Verify(Verify::Layers(options)) => layers::run(&options),
        Command::Verify(Verify::Run(options)) => runs::run(&options),
        Command::Verify(Verify::Methods(options)) => methods::run(&options),
        Command::Verify(Verify::Gflownet(options)) => gflownet::run(&options),
        Command::Verify(Verify::Dimension(options)) => dimension::run(&options),
        Command::Verify(Verify::Ordered(options)) => ordered::run(&options),
        Command::Verify(Verify::Memory(options)) => memory::run(&options),
        Command::Verify(Verify::Cosmology(options)) => cosmology::run(&options),
    }
}
