//! `abduce completions SHELL`: completion scripts.

use crate::error::Error;
use clap_complete::{Shell, generate};
use std::io::Write;
use std::path::PathBuf;

/// Print the completion script of a shell.
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// Writes the script for `program` to `out`.
pub fn run(args: &CompletionsArgs, mut program: clap::Command, out: &mut dyn Write) -> Result<(), Error> {
    let name = program.get_name().to_string();
    let mut script = Vec::new();
    generate(args.shell, &mut program, name, &mut script);
    out.write_all(&script).map_err(|source| Error::File { action: "write", path: PathBuf::from("standard output"), source })
}
