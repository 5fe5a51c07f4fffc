//! `--set model.nets.0.hidden_features=64`: changes to a file from the command line, merged before anything is checked.

use super::node::{self, Entry, Node, Sources, Span, Yaml};
use crate::error::Problem;

/// Merges one override, written `KEY.KEY=VALUE` with a YAML scalar or flow value, into `root`. A section merges into an existing section
/// key by key, anything else replaces what was there; numbers in the path count the items of a list from 0.
pub(crate) fn apply(root: &mut Node, text: &str, sources: &mut Sources) -> Result<(), Problem> {
    let source = sources.add("--set", text);
    let whole = Span { source, start: 0, length: text.len() };
    let Some((path, value)) = text.split_once('=') else {
        return Err(sources.problem(whole, "an override needs a value", "expected KEY.KEY=VALUE").help("for example --set seed=1"));
    };
    // Spaces in place of the key keep the positions of the value.
    let padded = format!("{}{value}", " ".repeat(path.len() + 1));
    let value = node::parse(&padded, source, sources)?;
    let mut target = root;
    let mut start = 0;
    for step in path.split('.') {
        let span = Span { source, start, length: step.len() };
        start += step.len() + 1;
        if step.trim() != step || step.is_empty() {
            return Err(sources.problem(span, "a key in an override is empty or has spaces around it", "here"));
        }
        if matches!(target.value, Yaml::Null) {
            target.value = Yaml::Map(Vec::new());
        }
        let found = target.describe();
        target = match &mut target.value {
            Yaml::List(items) => {
                let count = items.len();
                let item = step.parse::<usize>().ok().and_then(|index| items.get_mut(index));
                item.ok_or_else(|| no_such_item(step, span, count, sources))?
            }
            Yaml::Map(entries) => child(entries, step, span),
            _ => {
                let before = &path[..span.start.saturating_sub(1)];
                let message = format!("`{before}` is {found} and has no key `{step}`");
                return Err(sources.problem(span, message, "does not exist"));
            }
        };
    }
    merge(target, value);
    Ok(())
}

fn no_such_item(step: &str, span: Span, count: usize, sources: &Sources) -> Problem {
    let problem = sources.problem(span, format!("the list has no item `{step}`"), "no such item");
    problem.help(match count {
        0 => "the list is empty".to_string(),
        1 => "its only item is 0".to_string(),
        _ => format!("its items are 0 to {}", count - 1),
    })
}

/// The value at `key`, created empty where it does not exist.
fn child<'a>(entries: &'a mut Vec<Entry>, key: &str, span: Span) -> &'a mut Node {
    let at = entries.iter().position(|entry| entry.key == key).unwrap_or(entries.len());
    if at == entries.len() {
        entries.push(Entry { key: key.to_string(), span, value: Node { span, value: Yaml::Null } });
    }
    &mut entries[at].value
}

fn merge(target: &mut Node, value: Node) {
    match (&mut target.value, value.value) {
        (Yaml::Map(into), Yaml::Map(entries)) => {
            for entry in entries {
                merge(child(into, &entry.key, entry.span), entry.value);
            }
        }
        (_, replacement) => *target = Node { span: value.span, value: replacement },
    }
}
