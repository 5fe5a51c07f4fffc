//! From LaTeX-like source to runs of Unicode text.

use super::symbols::{accent, face, greek, is_operator, sign};
use super::{Origin, Run, Slant};

/// Braces nested deeper than this are no label; they are dropped, and recursion stays bounded.
const DEEPEST: usize = 12;
const SCRIPT_SCALE: f64 = 0.72;
const SUPERSCRIPT_RISE: f64 = 0.42;
const SUBSCRIPT_RISE: f64 = -0.22;
const THIN_SPACE: &str = "\u{2009}";

/// Spaces in mathematics: LaTeX drops them, but an author who wrote no `$` meant them.
#[derive(Clone, Copy, PartialEq)]
enum Spaces {
    Dropped,
    Kept,
}

/// What a group hands down to its contents.
#[derive(Clone, Copy)]
struct Style {
    face: Option<Slant>,
    scale: f64,
    rise: f64,
    /// Letters that stand together are one upright word, as in `M_{halo}`.
    words: bool,
    depth: usize,
}

pub(super) fn runs(source: &str) -> Vec<Run> {
    let mut parser = Parser { input: Vec::new(), at: 0, spaces: Spaces::Dropped, runs: Vec::new(), clear: false, after_operator: false };
    let body = Style { face: None, scale: 1.0, rise: 0.0, words: false, depth: 0 };
    let dollars = source.matches('$').count() - source.matches(r"\$").count();
    if dollars > 0 && dollars.is_multiple_of(2) {
        for (index, part) in source.replace(r"\$", "\u{1}").split('$').enumerate() {
            let part = part.replace('\u{1}', if index % 2 == 0 { "$" } else { r"\$" });
            if index % 2 == 0 {
                parser.emit(&part, Slant::Upright, body)
            } else {
                parser.mathematics(&part, Spaces::Dropped, body)
            }
            parser.after_operator = false;
        }
    } else if is_mathematics(source) {
        parser.mathematics(source, Spaces::Kept, body);
    } else if let Some(symbol) = symbol(source) {
        parser.mathematics(&symbol, Spaces::Kept, body);
    } else {
        parser.emit(source, Slant::Upright, body);
    }
    parser.runs
}

/// A known command or a braced script. An unknown command alone does not count: `C:\data` is text.
pub(super) fn is_mathematics(source: &str) -> bool {
    let known = |rest: &str| {
        let name: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        name.is_empty() || rest.starts_with(&format!("{name}_")) || rest.starts_with(&format!("{name}^")) || is_known(&name)
    };
    source.contains("_{") || source.contains("^{") || source.split('\\').skip(1).any(known)
}

fn is_known(name: &str) -> bool {
    greek(name).is_some()
        || sign(name).is_some()
        || accent(name).is_some()
        || face(name).is_some()
        || is_operator(name)
        || matches!(name, "frac" | "sqrt")
}

/// `theta_1` and `x_1` as mathematics; `None` for any other name.
pub(super) fn symbol(source: &str) -> Option<String> {
    let (base, script) = source.split_once('_').unwrap_or((source, ""));
    let single = base.chars().count() == 1 && base.chars().all(|c| c.is_ascii_alphabetic());
    let short = script.chars().count() <= 3 && script.chars().all(|c| c.is_ascii_alphanumeric());
    if !short || (script.is_empty() && source.contains('_')) || !(single || greek(base).is_some()) {
        return None;
    }
    let base = if single { base.to_owned() } else { format!("\\{base}") };
    Some(if script.is_empty() { base } else { format!("{base}_{{{script}}}") })
}

struct Parser {
    input: Vec<char>,
    at: usize,
    spaces: Spaces,
    runs: Vec<Run>,
    clear: bool,
    after_operator: bool,
}

impl Parser {
    fn mathematics(&mut self, source: &str, spaces: Spaces, style: Style) {
        self.input = source.chars().collect();
        self.at = 0;
        self.spaces = spaces;
        while self.at < self.input.len() {
            self.group_body(style);
            // A closing brace that nothing opened.
            self.at += 1;
        }
    }

    /// Atoms up to the closing brace of this group, which is left in place, or the end.
    fn group_body(&mut self, mut style: Style) {
        while let Some(&character) = self.input.get(self.at) {
            match character {
                '}' => return,
                '_' | '^' => self.scripts(style),
                '\\' => {
                    let name = self.command_name(self.at);
                    // `{\rm …}`: from here to the end of the group. `\mathrm{…}` is handled as an atom.
                    if let (Some(slant), false) = (face(&name), self.opens_brace(self.at + 1 + name.chars().count())) {
                        self.at += 1 + name.chars().count();
                        self.skip_spaces();
                        style.face = Some(slant);
                    } else {
                        self.atom(style);
                    }
                }
                _ => self.atom(style),
            }
        }
    }

    /// A subscript, a superscript, or both, which then share their left edge.
    fn scripts(&mut self, style: Style) {
        let first = self.runs.len();
        let opened = self.input[self.at];
        self.script(opened, style);
        let second = self.input.get(self.at).copied();
        if first < self.runs.len() && matches!((opened, second), ('_', Some('^')) | ('^', Some('_'))) {
            let begin = self.runs.len();
            self.script(if opened == '_' { '^' } else { '_' }, style);
            if let Some(run) = self.runs.get_mut(begin) {
                run.origin = Origin::Above(first);
                self.clear = true;
            }
        }
    }

    fn script(&mut self, kind: char, style: Style) {
        self.at += 1;
        let rise = if kind == '^' { SUPERSCRIPT_RISE } else { SUBSCRIPT_RISE };
        // Scripts of scripts stay readable: no smaller than half the label.
        let scale = (style.scale * SCRIPT_SCALE).max(0.5);
        let after_operator = std::mem::take(&mut self.after_operator);
        self.argument(Style { scale, rise: style.rise + rise * style.scale, words: false, ..style });
        self.after_operator = after_operator;
    }

    /// A braced group or one atom.
    fn argument(&mut self, style: Style) {
        self.skip_spaces();
        let style = Style { depth: style.depth + 1, ..style };
        match self.input.get(self.at) {
            Some(_) if style.depth > DEEPEST => self.at += 1,
            Some('{') => self.braced(style),
            Some('}') | None => {}
            Some(_) => self.atom(style),
        }
    }

    fn braced(&mut self, style: Style) {
        self.at += 1;
        if style.depth > DEEPEST {
            return;
        }
        self.group_body(Style { depth: style.depth + 1, words: style.words || style.rise != 0.0, ..style });
        self.at += 1;
    }

    fn atom(&mut self, style: Style) {
        let Some(&character) = self.input.get(self.at) else { return };
        match character {
            '{' => self.braced(style),
            '\\' => self.command(style),
            letter if letter.is_ascii_alphabetic() => {
                let mut end = self.at + 1;
                // Without `$` the author wrote prose around symbols; in mathematics proper each letter is a symbol of its own.
                let in_word = self.spaces == Spaces::Kept || style.words || style.face.is_some();
                while in_word && self.input.get(end).is_some_and(|c| c.is_ascii_alphabetic()) {
                    end += 1;
                }
                let word: String = self.input[self.at..end].iter().collect();
                self.at = end;
                let slant = style.face.unwrap_or(if word.len() > 1 { Slant::Upright } else { Slant::Italic });
                self.space_after_operator(style);
                self.emit(&word, slant, style);
            }
            _ => {
                self.at += 1;
                let plain;
                let text = match character {
                    ' ' | '~' if self.spaces == Spaces::Dropped && style.face.is_none() && character == ' ' => return,
                    ' ' | '~' => {
                        let thin = std::mem::take(&mut self.after_operator);
                        if thin { THIN_SPACE } else { "\u{a0}" }
                    }
                    '-' => "\u{2212}",
                    '\'' => "′",
                    '*' => "∗",
                    other => {
                        plain = other.to_string();
                        &plain
                    }
                };
                if character.is_ascii_digit() {
                    self.space_after_operator(style);
                } else {
                    self.after_operator = false;
                }
                self.emit(text, Slant::Upright, style);
            }
        }
    }

    fn command(&mut self, style: Style) {
        let name = self.command_name(self.at);
        self.at += 1 + name.chars().count();
        if let Some(letter) = greek(&name) {
            self.skip_spaces();
            self.space_after_operator(style);
            let slant = style.face.unwrap_or(if letter.is_lowercase() { Slant::Italic } else { Slant::Upright });
            self.emit(&letter.to_string(), slant, style);
        } else if is_operator(&name) {
            self.space_after_operator(style);
            self.emit(&name, Slant::Upright, style);
            self.after_operator = true;
        } else if let Some(text) = sign(&name) {
            self.emit(text, Slant::Upright, style);
        } else if let Some(combining) = accent(&name) {
            self.space_after_operator(style);
            let before: usize = self.runs.iter().map(|run| run.text.len()).sum();
            self.argument(style);
            let after: usize = self.runs.iter().map(|run| run.text.len()).sum();
            if after > before
                && let Some(run) = self.runs.last_mut()
            {
                run.text.push(combining);
            }
        } else if let Some(slant) = face(&name) {
            self.space_after_operator(style);
            self.argument(Style { face: Some(slant), ..style });
        } else if name == "frac" || name == "sqrt" {
            self.space_after_operator(style);
            if name == "sqrt" {
                self.emit("√", Slant::Upright, style);
            } else {
                self.argument(style);
                self.emit("/", Slant::Upright, style);
            }
            self.argument(style);
        } else {
            self.emit(&format!("\\{name}"), Slant::Upright, style);
        }
    }

    fn command_name(&self, backslash: usize) -> String {
        let rest = &self.input[backslash + 1..];
        let letters: String = rest.iter().take_while(|c| c.is_ascii_alphabetic()).collect();
        if letters.is_empty() { rest.first().map(char::to_string).unwrap_or_default() } else { letters }
    }

    fn opens_brace(&self, at: usize) -> bool {
        self.input[at.min(self.input.len())..].iter().find(|c| **c != ' ') == Some(&'{')
    }

    fn skip_spaces(&mut self) {
        while self.spaces == Spaces::Dropped && self.input.get(self.at) == Some(&' ') {
            self.at += 1;
        }
    }

    fn space_after_operator(&mut self, style: Style) {
        if std::mem::take(&mut self.after_operator) {
            self.emit(THIN_SPACE, Slant::Upright, style);
        }
    }

    fn emit(&mut self, text: &str, slant: Slant, style: Style) {
        if text.is_empty() {
            return;
        }
        let clear = std::mem::take(&mut self.clear);
        if !clear
            && let Some(last) = self.runs.last_mut()
            && last.slant == slant
            && last.scale == style.scale
            && last.rise == style.rise
        {
            last.text.push_str(text);
            return;
        }
        let origin = if clear { Origin::Clear } else { Origin::Next };
        self.runs.push(Run { text: text.to_owned(), slant, scale: style.scale, rise: style.rise, origin });
    }
}
