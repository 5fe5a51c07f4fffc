//! The committed schemas are the ones that the structs give.

use abduce::commands::{completions, schema};
use abduce::config::SchemaKind;
use std::path::Path;

#[test]
fn committed_schemas_are_current() {
    for kind in SchemaKind::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema").join(format!("{}.json", kind.name()));
        let current = schema::text(kind);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "{} is out of date: run this test with UPDATE_EXPECTED=1", path.display());
    }
}

#[test]
fn completions_are_written_for_every_shell() {
    use clap::{CommandFactory, Parser, ValueEnum};
    #[derive(Parser)]
    #[command(name = "abduce")]
    enum Program {
        Schema(schema::SchemaArgs),
        Completions(completions::CompletionsArgs),
    }
    for shell in clap_complete::Shell::value_variants() {
        let Program::Completions(args) = Program::parse_from(["abduce", "completions", &shell.to_string()]) else {
            panic!("parsed as another")
        };
        let mut script = Vec::new();
        completions::run(&args, Program::command(), &mut script).unwrap();
        assert!(String::from_utf8(script).unwrap().contains("completions"), "{shell}");
    }
    let Program::Schema(args) = Program::parse_from(["abduce", "schema", "metrics"]) else { panic!("parsed as another") };
    let mut text = Vec::new();
    schema::run(&args, &mut text).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), schema::text(SchemaKind::Metrics));
    assert!(Program::try_parse_from(["abduce", "schema", "nothing"]).is_err());
}
