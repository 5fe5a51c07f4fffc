//! The command line: what can be asked for, and how the answer becomes an exit status.

use crate::commands::{
    ComputeArgs, completions, compress, cosmology, dimension, estimate, evidence, explain, gflownet, log_prob, merge, models, predict,
    prove, report, run, sample, schema, search, simulate, status, submit, train, validate, worker,
};
use crate::error::{Error, ReportStyle, render};
use crate::exec::environment::Environment;
use crate::pipeline::Ending;
use crate::session::{Console, Session, Talk};
use abduce_kernels::Simd;
use clap::{CommandFactory as _, Parser};
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Amortised inference with generative models in science.
#[derive(Clone, Debug, Parser)]
#[command(name = "abduce", version, about, max_term_width = 120, after_help = AFTER_HELP)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 a gate asked for does not hold, 75 stopped and can be resumed.
Environment: ABDUCE_SIMD=avx512|avx2|portable chooses the instruction set, NO_COLOR turns colours off.";

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Run(run::RunArgs),
    Simulate(simulate::SimulateArgs),
    Train(train::TrainArgs),
    Sample(sample::SampleArgs),
    LogProb(log_prob::LogProbArgs),
    Evidence(evidence::EvidenceArgs),
    Estimate(estimate::EstimateArgs),
    Models(models::ModelsArgs),
    Predict(predict::PredictArgs),
    Validate(validate::ValidateArgs),
    Report(report::ReportArgs),
    Compress(compress::CompressArgs),
    Search(search::SearchArgs),
    Prove(prove::ProveArgs),
    Dimension(dimension::DimensionArgs),
    Submit(submit::SubmitArgs),
    Worker(worker::WorkerArgs),
    Merge(merge::MergeArgs),
    Status(status::StatusArgs),
    #[command(subcommand)]
    Gflownet(gflownet::GflownetCommand),
    Cosmology(cosmology::CosmologyArgs),
    Explain(explain::ExplainArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// The status of a gate that does not hold.
const GATE_FAILED: u8 = 3;
/// The status of a process that was told to stop at once: 128 + SIGINT.
const KILLED: i32 = 130;
/// Columns of a message where the terminal does not say.
const WIDTH: usize = 120;

/// The whole program.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// The program with these arguments, of which the first is its name; gives the exit status.
pub fn run<T: Into<std::ffi::OsString> + Clone>(arguments: impl IntoIterator<Item = T>) -> u8 {
    let program = match Program::try_parse_from(arguments) {
        Ok(program) => program,
        Err(error) => {
            // Help goes to standard output, complaints to standard error; where nobody listens there is nobody to tell.
            error.print().ok();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    match execute(&program.command) {
        Ok(Ending::Done) => 0,
        Ok(Ending::GateFailed) => GATE_FAILED,
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => {
            let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal();
            let style = if colour { ReportStyle::Colour } else { ReportStyle::Plain };
            Console::new(Talk::Quiet).line(&render(&error, style, WIDTH).trim_end());
            error.exit_status()
        }
    }
}

fn execute(command: &Command) -> Result<Ending, Error> {
    let out = &mut std::io::stdout();
    match command {
        Command::Run(args) => run::run(&session(args.compute)?, args),
        Command::Simulate(args) => simulate::run(&session(args.compute)?, args),
        Command::Train(args) => train::run(&session(args.compute)?, args),
        Command::Sample(args) => sample::run(&session(args.compute)?, args),
        Command::Predict(args) => predict::run(&session(args.compute)?, args),
        Command::LogProb(args) => log_prob::run(&session(args.compute)?, args),
        Command::Evidence(args) => evidence::run(&session(args.compute)?, args),
        Command::Estimate(args) => estimate::run(&session(args.compute)?, args),
        Command::Models(args) => models::run(&session(args.compute)?, args),
        Command::Validate(args) => validate::run(&session(args.compute)?, args),
        Command::Report(args) => report::run(&session(ComputeArgs::default())?, args),
        Command::Compress(args) => compress::run(&session(args.compute())?, args),
        Command::Search(args) => search::run(&session(args.compute)?, args),
        Command::Prove(args) => prove::run(&session(args.compute)?, args),
        Command::Dimension(args) => dimension::run(&session(args.compute)?, args),
        Command::Submit(args) => submit::run(&session(args.command.compute())?, args),
        Command::Worker(args) => work(args),
        Command::Merge(args) => merge::run(&session(args.compute)?, args),
        Command::Status(args) => status::run(&session(ComputeArgs::default())?, args),
        Command::Gflownet(command) => gflownet::run(&session(command.compute())?, command),
        Command::Cosmology(args) => cosmology::run(&session(args.compute())?, args),
        Command::Explain(args) => explain::run(args, out).map(|()| Ending::Done),
        Command::Schema(args) => schema::run(args, out).map(|()| Ending::Done),
        Command::Completions(args) => completions::run(args, Program::command(), out).map(|()| Ending::Done),
    }
}

/// A worker: one thread unless it is told otherwise, since a process in a job sees all cores of its node; and USR1, which Slurm sends before
/// the time limit, means stop.
fn work(args: &worker::WorkerArgs) -> Result<Ending, Error> {
    let environment = Environment::new(|name| std::env::var(name).ok());
    let threads = args.compute.threads.or(environment.threads()?).unwrap_or(NonZeroUsize::MIN);
    let session = session(ComputeArgs { threads: Some(threads), ..args.compute })?;
    // Without a handler the signal kills the process, which loses only what the shard had not published.
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&session.stop)).ok();
    worker::run(&session, args, &environment)
}

/// The process's environment, read here and nowhere else.
fn session(args: ComputeArgs) -> Result<Session, Error> {
    let simd = match std::env::var("ABDUCE_SIMD").ok().filter(|name| !name.is_empty()) {
        Some(name) => name.parse().map_err(|error: abduce_kernels::simd::SimdError| Error::Usage {
            message: format!("ABDUCE_SIMD: {error}"),
            help: format!("this processor supports {}", Simd::all().iter().map(|level| level.name()).collect::<Vec<_>>().join(", ")),
        })?,
        None => Simd::best(),
    };
    let working = std::env::current_dir();
    let working = working.map_err(|source| Error::File { action: "find", path: "the working directory".into(), source })?;
    let console = Console::new(if args.quiet { Talk::Quiet } else { Talk::Normal });
    let session = Session::new(working, simd, args.threads.map(NonZeroUsize::get), console);
    stop_on_request(&session);
    Ok(session)
}

/// Ctrl-C and SIGTERM end the run after the current epoch or item; a second one ends it at once.
fn stop_on_request(session: &Session) {
    let (stop, console) = (session.stop.clone(), session.console);
    let handler = move || {
        #[expect(clippy::exit, reason = "the user asked twice; files are atomic and checkpoints on disk")]
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(KILLED);
        }
        console.line(&"stopping at the next safe point; once more stops at once");
    };
    // Without a handler the signal kills the process, which is a stop too.
    ctrlc::set_handler(handler).ok();
}
