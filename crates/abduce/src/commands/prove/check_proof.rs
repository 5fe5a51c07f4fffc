//! `abduce prove check-proof FILE.mm LABEL`: one proof, given as Metamath text or as tactics.

use super::{environment, open, read_text};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, print};
use abduce_proof::metamath::{Kernel, KernelLimits, Prover, StateLimits, StatementKind, distinct};
use std::path::PathBuf;
use std::sync::Arc;

/// Check one proof of a theorem of a Metamath database: status 0 only when it is valid.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("given").required(true).args(["proof", "script"])))]
pub struct CheckProofArgs {
    /// The database.
    #[arg(value_name = "FILE.mm")]
    pub database: PathBuf,
    /// The theorem. Its proof may cite what stands before it.
    pub label: String,
    /// A proof as it stands between `$=` and `$.`, compressed or not.
    #[arg(long, value_name = "PROOF.txt")]
    pub proof: Option<PathBuf>,
    /// Tactics, one a line: `LABEL` or `LABEL { v := expression ; w := expression }`. The proof is printed.
    #[arg(long, value_name = "TACTICS.txt")]
    pub script: Option<PathBuf>,
}

/// Runs the command.
pub fn run(session: &Session, args: &CheckProofArgs) -> Result<Ending, Error> {
    let db = open(session, &args.database)?;
    let theorem = db.find(&args.label).filter(|&id| db.kind(id) == StatementKind::Theorem).ok_or_else(|| Error::Usage {
        message: format!("`{}` is not a theorem of {}", args.label, args.database.display()),
        help: "give the label of a `$p` statement".to_owned(),
    })?;
    let invalid = |reason: &dyn std::fmt::Display| print(&format!("{}: {reason}\n", args.label)).map(|()| Ending::GateFailed);
    if let Some(path) = &args.proof {
        let text = read_text(session, path)?;
        return match Kernel::new(&db, KernelLimits::default()).check(theorem, &[], &text) {
            Ok(()) => print(&format!("{}: valid\n", args.label)).map(|()| Ending::Done),
            Err(fault) => invalid(&fault),
        };
    }
    let Some(path) = &args.script else { return Ok(Ending::GateFailed) };
    let text = read_text(session, path)?;
    let env = environment(&db)?;
    let mut prover = Prover::new(&env, StateLimits::default());
    let problem = env.problem(theorem, Arc::default());
    let mut state = prover.start(&problem);
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let applied = prover.parse_tactic(&problem, line).and_then(|tactic| prover.apply(&problem, &mut state, &tactic));
        if let Err(error) = applied {
            return invalid(&format_args!("line {}: {error}\nthe state was\n{}", number + 1, prover.render_state(&problem, &state)));
        }
    }
    match prover.finish(&problem, &state) {
        Ok(proof) => {
            let axioms: Vec<&str> = proof.cites.iter().filter(|&&id| db.kind(id) == StatementKind::Axiom).map(|&id| db.label(id)).collect();
            session.console.note(format_args!("axioms and definitions cited: {}", axioms.join(" ")));
            let dummies = if proof.dummies.is_empty() { String::new() } else { format!("{}\n", distinct(&db, &proof.dummies)) };
            print(&format!("{}: valid\n{dummies}{}\n", args.label, proof.text)).map(|()| Ending::Done)
        }
        Err(error) => invalid(&format_args!("{error}\nthe state is\n{}", prover.render_state(&problem, &state))),
    }
}
