//! `abduce explain KEY`: what a configuration key means.

use crate::config;
use crate::error::Error;
use std::io::Write;
use std::path::PathBuf;

/// Explain a configuration key: its type, default and meaning.
#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// The key, or the end of its dotted path: `num_bins`, `train_args.learning_rate`.
    pub key: String,
}

/// Writes the explanation to `out`.
pub fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<(), Error> {
    let text = config::explain(&args.key)?;
    out.write_all(text.as_bytes()).map_err(|source| Error::File { action: "write", path: PathBuf::from("standard output"), source })
}
