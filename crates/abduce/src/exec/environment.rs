//! What the process's environment says to a worker: which shards are its own, and how many threads.

use crate::error::Error;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// Every variable that is looked at.
pub const VARIABLES: [&str; 12] = [
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_ID",
    "SLURM_CPUS_PER_TASK",
    "SLURM_RESTART_COUNT",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURMD_NODENAME",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "PMIX_RANK",
    "PMI_RANK",
    "PMI_SIZE",
];

/// A copy of the variables that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Takes [`VARIABLES`] from `lookup`.
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self(VARIABLES.iter().filter_map(|&name| Some((name.to_string(), lookup(name)?))).collect())
    }

    /// A variable's text, where it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| Error::Usage {
            message: format!("{name} is `{text}`, which is no number"),
            help: "give the shard with --shard".into(),
        })
    }

    /// The threads of a job: what Slurm gave it. The cores that a process sees are those of the whole node.
    ///
    /// # Errors
    /// The variable holds something else.
    pub fn threads(&self) -> Result<Option<NonZeroUsize>, Error> {
        Ok(self.number("SLURM_CPUS_PER_TASK")?.and_then(NonZeroUsize::new))
    }

    /// How often Slurm started this task again.
    pub fn restarts(&self) -> u64 {
        self.get("SLURM_RESTART_COUNT").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Place among the processes of an MPI launcher: (rank, number of processes).
    ///
    /// Open MPI's own variables come first. `SLURM_PROCID` is 0 in every rank of an `mpirun` inside a batch script, and in any plain batch
    /// script, so it counts only in a step of several tasks and where no launcher says more.
    fn rank(&self) -> Result<Option<(usize, usize)>, Error> {
        let tasks = self.number("SLURM_NTASKS")?;
        let size = match self.number("OMPI_COMM_WORLD_SIZE")? {
            Some(size) => Some(size),
            None => self.number("PMI_SIZE")?.or(tasks),
        };
        for name in ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"] {
            if let Some(rank) = self.number(name)? {
                let size = size.ok_or_else(|| Error::Usage {
                    message: format!("{name} is {rank}, but nothing says how many processes there are"),
                    help: "expected OMPI_COMM_WORLD_SIZE, PMI_SIZE or SLURM_NTASKS beside it; or give --rank and --of".into(),
                })?;
                return Ok(Some((rank, size)));
            }
        }
        match (tasks, self.number("SLURM_PROCID")?) {
            (Some(tasks), Some(rank)) if tasks > 1 => Ok(Some((rank, tasks))),
            _ => Ok(None),
        }
    }
}

/// Which shards a worker was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// This one.
    Shard(usize),
    /// Every `of`-th, from `rank` on.
    Rank {
        /// The first.
        rank: usize,
        /// The step.
        of: usize,
    },
    /// Nothing: the environment says.
    Nothing,
}

/// The shards of this worker, of `shards`: as told, else the task of a Slurm array, else by MPI rank.
///
/// # Errors
/// Nothing says which, or it says what cannot be.
pub fn assignment(told: Told, environment: &Environment, shards: usize) -> Result<Vec<usize>, Error> {
    let stride = |rank: usize, of: usize| {
        if of == 0 || rank >= of {
            return Err(Error::Usage {
                message: format!("rank {rank} of {of} is none"),
                help: "ranks count from 0 and are smaller than their number".into(),
            });
        }
        Ok((rank..shards).step_by(of).collect())
    };
    let one = |shard: usize| {
        if shard < shards {
            return Ok(vec![shard]);
        }
        Err(Error::Usage {
            message: format!("there is no shard {shard}"),
            help: format!("the plan has the shards 0 to {}", shards.saturating_sub(1)),
        })
    };
    match told {
        Told::Shard(shard) => one(shard),
        Told::Rank { rank, of } => stride(rank, of),
        Told::Nothing => match (environment.number("SLURM_ARRAY_TASK_ID")?, environment.rank()?) {
            (Some(shard), _) => one(shard),
            (None, Some((rank, of))) => stride(rank, of),
            (None, None) => Err(Error::Usage {
                message: "nothing says which shard to do".into(),
                help: "give --shard; or run as a task of a Slurm array (SLURM_ARRAY_TASK_ID), or under an MPI launcher (OMPI_COMM_WORLD_RANK, \
                       PMIX_RANK, PMI_RANK, SLURM_PROCID)"
                    .into(),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::new(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    fn found(pairs: &[(&str, &str)]) -> Option<Vec<usize>> {
        assignment(Told::Nothing, &environment(pairs), 7).ok()
    }

    /// The four combinations that were observed with Open MPI 4.1 and Slurm 22.05, and the array.
    #[test]
    fn ranks_are_found_where_launchers_put_them() {
        // srun --mpi=pmix
        assert_eq!(found(&[("PMIX_RANK", "1"), ("SLURM_PROCID", "1"), ("SLURM_NTASKS", "3")]), Some(vec![1, 4]));
        // mpirun in a batch script: SLURM_PROCID is that of the script.
        let mpirun = [
            ("OMPI_COMM_WORLD_RANK", "2"),
            ("OMPI_COMM_WORLD_SIZE", "3"),
            ("PMIX_RANK", "2"),
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "3"),
        ];
        assert_eq!(found(&mpirun), Some(vec![2, 5]));
        // A plain batch script is no rank.
        assert_eq!(found(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")]), None);
        // srun without MPI.
        assert_eq!(found(&[("SLURM_PROCID", "3"), ("SLURM_NTASKS", "4")]), Some(vec![3]));
        // An array task comes before ranks.
        assert_eq!(found(&[("SLURM_ARRAY_TASK_ID", "6"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")]), Some(vec![6]));
        assert_eq!(found(&[("PMI_RANK", "0"), ("PMI_SIZE", "7")]), Some(vec![0]));
    }

    #[test]
    fn what_is_told_wins_and_what_cannot_be_is_an_error() {
        let array = environment(&[("SLURM_ARRAY_TASK_ID", "6")]);
        assert_eq!(assignment(Told::Shard(2), &array, 7).unwrap(), [2]);
        assert_eq!(assignment(Told::Rank { rank: 1, of: 3 }, &array, 7).unwrap(), [1, 4]);
        assert_eq!(assignment(Told::Rank { rank: 1, of: 9 }, &array, 1).unwrap(), [0usize; 0]);
        for told in [Told::Shard(7), Told::Rank { rank: 3, of: 3 }, Told::Rank { rank: 0, of: 0 }] {
            assert_eq!(assignment(told, &array, 7).unwrap_err().exit_status(), 2);
        }
        assert!(assignment(Told::Nothing, &environment(&[("PMIX_RANK", "1")]), 7).is_err(), "a rank of unknown many");
        assert!(assignment(Told::Nothing, &environment(&[("SLURM_ARRAY_TASK_ID", "x")]), 7).is_err());
        let nothing = assignment(Told::Nothing, &environment(&[]), 7).unwrap_err();
        for name in ["--shard", "SLURM_ARRAY_TASK_ID", "OMPI_COMM_WORLD_RANK"] {
            assert!(format!("{nothing:?}").contains(name), "{nothing:?}");
        }
    }

    #[test]
    fn threads_are_those_of_the_job() {
        assert_eq!(environment(&[("SLURM_CPUS_PER_TASK", "4")]).threads().unwrap().map(NonZeroUsize::get), Some(4));
        assert_eq!(environment(&[]).threads().unwrap(), None);
    }
}
