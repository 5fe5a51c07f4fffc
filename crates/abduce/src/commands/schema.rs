//! `abduce schema`: the JSON schemas of the configuration files and of `metrics.json`.

use crate::config::{SchemaKind, json_schema};
use crate::error::Error;
use std::io::Write;
use std::path::PathBuf;

/// Print the JSON schema of a configuration file, for editors and scripts.
#[derive(Clone, Debug, clap::Args)]
pub struct SchemaArgs {
    /// Which file: data, infer, val, pipeline, simulator, study, gflownet or metrics.
    #[arg(default_value = "pipeline", value_parser = kind)]
    pub kind: SchemaKind,
}

fn kind(name: &str) -> Result<SchemaKind, String> {
    let known = SchemaKind::ALL.iter().find(|kind| kind.name() == name).copied();
    known.ok_or_else(|| format!("expected one of {}", SchemaKind::ALL.map(SchemaKind::name).join(", ")))
}

/// Writes the schema to `out`.
pub fn run(args: &SchemaArgs, out: &mut dyn Write) -> Result<(), Error> {
    out.write_all(text(args.kind).as_bytes()).map_err(|source| Error::File {
        action: "write",
        path: PathBuf::from("standard output"),
        source,
    })
}

/// The text of `schema/NAME.json`.
pub fn text(kind: SchemaKind) -> String {
    format!("{:#}\n", json_schema(kind))
}
