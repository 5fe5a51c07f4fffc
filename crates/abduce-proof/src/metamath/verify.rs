//! Checking every proof of a database, on any number of threads.

use super::database::{Database, StatementId};
use super::kernel::{Kernel, KernelLimits, ProofFault};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What checking a database found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// How many proofs were checked.
    pub checked: usize,
    /// Steps of all proofs, re-used ones counted each time.
    pub steps: u64,
    /// The proofs that are not valid, in database order.
    pub faults: Vec<(StatementId, ProofFault)>,
}

/// Theorems that a thread takes at a time: small against a database, large against the cost of taking.
const PORTION: usize = 64;

/// Checks the proofs of all `$p` statements. The report does not depend on the number of threads.
pub fn verify(db: &Database, limits: KernelLimits, threads: NonZeroUsize) -> VerifyReport {
    let theorems: Vec<StatementId> = db.theorems().collect();
    let taken = AtomicUsize::new(0);
    let work = || {
        let mut kernel = Kernel::new(db, limits);
        let mut report = VerifyReport::default();
        loop {
            let start = taken.fetch_add(PORTION, Ordering::Relaxed);
            let Some(portion) = theorems.get(start..theorems.len().min(start + PORTION)) else { return report };
            for &theorem in portion {
                if let Err(fault) = kernel.check_stored(theorem) {
                    report.faults.push((theorem, fault));
                }
                report.steps += kernel.steps() as u64;
            }
            report.checked += portion.len();
        }
    };
    let reports: Vec<VerifyReport> = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.get()).map(|_| scope.spawn(work)).collect();
        let own = work();
        // A panic of a helper is a defect of the kernel: it goes on here.
        std::iter::once(own)
            .chain(helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
            .collect()
    });
    let mut total = VerifyReport::default();
    for report in reports {
        total.checked += report.checked;
        total.steps += report.steps;
        total.faults.extend(report.faults);
    }
    total.faults.sort_by_key(|&(theorem, _)| theorem);
    total
}
