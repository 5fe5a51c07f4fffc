//! The plan of a sharded command: what is to be done, and how it is cut.

use super::files::ShardFolder;
use super::work::Work;
use crate::error::Error;
use crate::pipeline::VERSION;
use crate::stages::run::fingerprint;
use abduce_data::artefact::write_atomic;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

/// Version of plans that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// A sharded command: `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this file.
    pub format_version: u32,
    /// Version of the program; workers of another refuse.
    pub program_version: String,
    /// What is to be done.
    pub work: Work,
    /// SHA-256 of the program's version and the work; every shard carries it.
    pub config_sha256: String,
    /// Number of items: simulations, networks, workers.
    pub items: usize,
    /// The items [first, last) of each shard, in order and without gaps.
    pub shards: Vec<Range<usize>>,
}

impl Plan {
    /// Cuts `items` into `shards` contiguous ranges whose lengths differ by at most one; no more shards than items.
    ///
    /// # Errors
    /// The work cannot be written as JSON.
    pub fn new(work: Work, items: usize, shards: usize) -> Result<Self, Error> {
        let shards = shards.clamp(1, items.max(1));
        let cut = |k: usize| (k as u128 * items as u128 / shards as u128) as usize;
        let config_sha256 = fingerprint(&(VERSION, &work))?;
        let shards = (0..shards).map(|k| cut(k)..cut(k + 1)).collect();
        Ok(Self { format_version: FORMAT_VERSION, program_version: VERSION.to_string(), work, config_sha256, items, shards })
    }

    /// Writes the plan into the shard folder of `output`, or takes the one that is there: planning twice is the same as planning once.
    /// Where `shards` was not asked for, an existing plan keeps its own.
    ///
    /// # Errors
    /// There is a plan of something else; the error names the first difference.
    pub fn settle(self, output: &Path, asked: Option<usize>) -> Result<Self, Error> {
        let folder = ShardFolder::of(output);
        let Some(existing) = Self::find(output)? else {
            folder.make()?;
            let text = crate::session::json(&self)?;
            write_atomic(&folder.plan(), |out| out.write_all(text.as_bytes()))?;
            return Ok(self);
        };
        let differs = |what: &str, before: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            Err(Error::Usage {
                message: format!("{} holds the plan of other work: {what} was {before}, now it is {now}", folder.path().display()),
                help: format!("submit what was planned, choose another folder, or remove {} to plan anew", folder.path().display()),
            })
        };
        if existing.program_version != VERSION {
            return differs("the program's version", &existing.program_version, &VERSION);
        }
        if let Some((key, before, now)) = first_difference("", &json_value(&existing.work)?, &json_value(&self.work)?) {
            return differs(&format!("`{key}`"), &before, &now);
        }
        if asked.is_some() && existing.shards != self.shards {
            return differs("the number of shards", &existing.shards.len(), &self.shards.len());
        }
        Ok(existing)
    }

    /// The plan beside `output`, if any.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find(output: &Path) -> Result<Option<Self>, Error> {
        let path = ShardFolder::of(output).plan();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { action: "read", path, source }),
        };
        let bad = |reason: String| Error::Usage {
            message: format!("{}: {reason}", path.display()),
            help: "submit the command again with the program that is installed now, into another folder".into(),
        };
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let Version { format_version } = serde_json::from_str(&text).map_err(|error| bad(format!("damaged plan: {error}")))?;
        if format_version > FORMAT_VERSION {
            return Err(bad(format!("a plan of version {format_version}; this program reads up to {FORMAT_VERSION}")));
        }
        serde_json::from_str(&text).map(Some).map_err(|error| bad(format!("damaged plan: {error}")))
    }

    /// The plan that must be beside `output`, made by this version of the program.
    ///
    /// # Errors
    /// There is none, or it cannot be used: status 2, since trying again changes nothing.
    pub fn load(output: &Path) -> Result<Self, Error> {
        let plan = Self::find(output)?.ok_or_else(|| Error::Usage {
            message: format!("there is no plan in {}", output.display()),
            help: "give the folder that `abduce submit` wrote to".into(),
        })?;
        if plan.program_version != VERSION {
            return Err(Error::Usage {
                message: format!("the plan was made by version {} of the program, this is {VERSION}", plan.program_version),
                help: "workers and plan must be of one version: their results are put together".into(),
            });
        }
        Ok(plan)
    }
}

fn json_value(value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Failed { message: format!("cannot write JSON: {error}"), help: None })
}

/// The first key, in alphabetical order, whose value differs, with both values.
fn first_difference(path: &str, before: &Value, now: &Value) -> Option<(String, Value, Value)> {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let null = Value::Null;
            keys.into_iter().find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                first_difference(&path, a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null))
            })
        }
        (before, now) if before != now => Some((path.to_string(), before.clone(), now.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::work::simulate::SimulateWork;

    fn plan(n: usize, seed: u64, shards: usize) -> Plan {
        let work = Work::Simulate(SimulateWork { task: "slcp".into(), n, seed });
        Plan::new(work, n, shards).unwrap()
    }

    #[test]
    fn shards_cover_every_item_once_and_are_about_equal() {
        for (items, shards) in [(10, 3), (1, 8), (1000, 7), (5, 5), (64, 1)] {
            let plan = plan(items, 0, shards);
            assert_eq!(plan.shards.len(), shards.min(items));
            assert_eq!((plan.shards[0].start, plan.shards.last().unwrap().end), (0, items));
            assert!(plan.shards.windows(2).all(|pair| pair[0].end == pair[1].start));
            let lengths: Vec<usize> = plan.shards.iter().map(|range| range.len()).collect();
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{lengths:?}");
        }
    }

    #[test]
    fn planning_again_is_nothing_and_planning_otherwise_names_the_difference() {
        let dir = tempfile::tempdir().unwrap();
        let first = plan(100, 1, 4).settle(dir.path(), Some(4)).unwrap();
        assert_eq!(plan(100, 1, 4).settle(dir.path(), Some(4)).unwrap(), first);
        assert_eq!(plan(100, 1, 9).settle(dir.path(), None).unwrap(), first, "the plan keeps its shards");
        assert_eq!(Plan::load(dir.path()).unwrap(), first);
        for (other, asked, words) in [
            (plan(100, 2, 4), None, "`seed` was 1, now it is 2"),
            (plan(120, 1, 4), None, "`n` was 100, now it is 120"),
            (plan(100, 1, 5), Some(5), "the number of shards was 4, now it is 5"),
        ] {
            let error = other.settle(dir.path(), asked).unwrap_err();
            assert!(error.to_string().contains(words) && error.exit_status() == 2, "{error}");
        }
    }

    #[test]
    fn damaged_newer_and_missing_plans_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Plan::load(dir.path()).unwrap_err().to_string().contains("there is no plan"));
        let folder = ShardFolder::of(dir.path());
        folder.make().unwrap();
        for (text, words) in [("{\"format_version\": 7}", "version 7"), ("{", "damaged plan"), ("{\"format_version\": 1}", "damaged plan")]
        {
            std::fs::write(folder.plan(), text).unwrap();
            let error = Plan::load(dir.path()).unwrap_err();
            assert!(error.to_string().contains(words) && error.exit_status() == 2, "{error}");
        }
    }
}
