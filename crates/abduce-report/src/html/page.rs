//! Writing the page.

use super::{Block, Cell, Gate, Report, Section, Severity, Status, Table, Verdict, Warning, Width};
use crate::draw::font::Fonts;
use crate::draw::svg::dark_rules;
use crate::error::FigureError;
use crate::escape::escape;
use crate::label::Label;
use crate::ticks::significant;

const STYLE: &str = include_str!("style.css");

/// The page may not load anything, whatever a label says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

pub(super) fn page(report: &Report) -> Result<String, FigureError> {
    let fonts = Fonts::embedded()?;
    let title = Label::parse(&report.title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{}</title>\n\
         <style>\n{STYLE}@media screen and (prefers-color-scheme:dark){{{}}}\n</style>\n</head>\n<body>\n<header class=\"top\">\n<h1>{}</h1>\n",
        escape(&title.plain()),
        dark_rules(),
        title.html()
    );
    if !report.subtitle.is_empty() {
        html.push_str(&format!("<p class=\"subtitle\">{}</p>\n", prose(&report.subtitle)));
    }
    html.push_str("</header>\n<main>\n");
    verdict(&mut html, &report.verdict);
    if !report.gates.is_empty() {
        gates(&mut html, &report.gates);
    }
    warnings(&mut html, &report.warnings);
    if report.sections.len() > 2 {
        contents(&mut html, report);
    }
    if !report.run.is_empty() || report.data.is_some() {
        html.push_str("<section id=\"run\">\n<h2>What was run</h2>\n");
        pairs(&mut html, &report.run);
        if let Some(data) = &report.data {
            table(&mut html, data);
        }
        html.push_str("</section>\n");
    }
    for (index, section) in report.sections.iter().enumerate() {
        html.push_str(&format!("<section id=\"{}\">\n<h2>{}</h2>\n", anchor(index), prose(&section.title)));
        blocks(&mut html, &section.blocks, &fonts);
        html.push_str("</section>\n");
    }
    html.push_str("</main>\n");
    if !report.footer.is_empty() {
        html.push_str("<footer>\n");
        for line in &report.footer {
            html.push_str(&format!("<p>{}</p>\n", prose(line)));
        }
        html.push_str("</footer>\n");
    }
    html.push_str("</body>\n</html>\n");
    Ok(html)
}

/// Escaped text with `` `code` `` and `$mathematics$`.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        // An unpaired backtick is a character.
        return mathematics(text);
    }
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { mathematics(part) })
        .collect()
}

fn mathematics(text: &str) -> String {
    if text.contains('$') { Label::parse(text).html() } else { escape(text) }
}

fn class(status: Status) -> &'static str {
    match status {
        Status::Good => "good",
        Status::Caution => "caution",
        Status::Bad => "bad",
        Status::Neutral => "neutral",
    }
}

/// Sign and the word a screen reader says for it.
fn light(status: Status) -> String {
    let (sign, word) = match status {
        Status::Good => ("✓", "good"),
        Status::Caution => ("!", "caution"),
        Status::Bad => ("✕", "bad"),
        Status::Neutral => ("–", "not judged"),
    };
    format!("<span class=\"light {}\" role=\"img\" aria-label=\"{word}\">{sign}</span>", class(status))
}

fn verdict(html: &mut String, verdict: &Verdict) {
    html.push_str(&format!(
        "<section class=\"verdict {}\" aria-label=\"Verdict\">\n{}<div>\n<p class=\"headline\">{}</p>\n<p>{}</p>\n</div>\n</section>\n",
        class(verdict.status),
        light(verdict.status),
        prose(&verdict.headline),
        prose(&verdict.text)
    ));
}

fn gates(html: &mut String, gates: &[Gate]) {
    html.push_str("<section class=\"gates\" aria-label=\"Gates\">\n");
    for gate in gates {
        html.push_str(&format!(
            "<div class=\"gate {}\">\n<p class=\"name\">{}{}</p>\n<p class=\"measured\">{}</p>\n<p class=\"required\">required: {}</p>\n<p class=\"meaning\">{}</p>\n</div>\n",
            class(gate.status),
            light(gate.status),
            prose(&gate.name),
            prose(&gate.measured),
            prose(&gate.required),
            prose(&gate.meaning)
        ));
    }
    html.push_str("</section>\n");
}

fn warnings(html: &mut String, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    let mut sorted: Vec<&Warning> = warnings.iter().collect();
    sorted.sort_by_key(|warning| std::cmp::Reverse(warning.severity));
    html.push_str("<section class=\"warnings\" aria-label=\"Warnings\">\n<h2>Please note</h2>\n<ul>\n");
    for warning in sorted {
        let (status, word) = match warning.severity {
            Severity::Error => (Status::Bad, "error"),
            Severity::Warning => (Status::Caution, "warning"),
            Severity::Notice => (Status::Neutral, "notice"),
        };
        html.push_str(&format!("<li class=\"{}\"><span class=\"tag\">{word}</span><div><p>{}</p>", class(status), prose(&warning.text)));
        if !warning.hint.is_empty() {
            html.push_str(&format!("<p class=\"hint\">{}</p>", prose(&warning.hint)));
        }
        html.push_str("</div></li>\n");
    }
    html.push_str("</ul>\n</section>\n");
}

fn anchor(index: usize) -> String {
    format!("section-{}", index + 1)
}

fn contents(html: &mut String, report: &Report) {
    html.push_str("<nav aria-label=\"Contents\">\n");
    if !report.run.is_empty() || report.data.is_some() {
        html.push_str("<a href=\"#run\">What was run</a>\n");
    }
    for (index, Section { title, .. }) in report.sections.iter().enumerate() {
        html.push_str(&format!("<a href=\"#{}\">{}</a>\n", anchor(index), prose(title)));
    }
    html.push_str("</nav>\n");
}

fn pairs(html: &mut String, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    html.push_str("<dl>\n");
    for (name, value) in pairs {
        html.push_str(&format!("<div><dt>{}</dt><dd>{}</dd></div>\n", prose(name), prose(value)));
    }
    html.push_str("</dl>\n");
}

fn table(html: &mut String, table: &Table) {
    html.push_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table\"><table>\n");
    if !table.caption.is_empty() {
        html.push_str(&format!("<caption>{}</caption>\n", prose(&table.caption)));
    }
    let numeric = |column: usize| {
        let mut cells = table.rows.iter().filter_map(|row| row.get(column)).filter(|cell| **cell != Cell::Empty).peekable();
        cells.peek().is_some() && cells.all(|cell| matches!(cell, Cell::Number(..) | Cell::Count(_)))
    };
    let classes: Vec<&str> = (0..table.columns.len()).map(|column| if numeric(column) { " class=\"number\"" } else { "" }).collect();
    html.push_str("<thead><tr>");
    for (name, class) in table.columns.iter().zip(&classes) {
        html.push_str(&format!("<th scope=\"col\"{class}>{}</th>", prose(name)));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let class = classes.get(column).copied().unwrap_or("");
            let content = match cell {
                Cell::Text(text) => prose(text),
                Cell::Name(name) => Label::parse(name).html(),
                Cell::Number(value, digits) => escape(&significant(*value, *digits)),
                Cell::Count(count) => grouped(*count),
                Cell::Badge(status, text) => {
                    format!("<span class=\"badge {}\">{}{}</span>", self::class(*status), light(*status), prose(text))
                }
                Cell::Empty => String::new(),
            };
            let (tag, scope) = if column == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            html.push_str(&format!("<{tag}{scope}{class}>{content}</{tag}>"));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

/// Thousands set apart by narrow spaces, from 10 000 up.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let head = digits.len() % 3;
    digits.char_indices().fold(String::new(), |mut text, (index, digit)| {
        if index > 0 && index % 3 == head {
            text.push('\u{202f}');
        }
        text.push(digit);
        text
    })
}

fn blocks(html: &mut String, blocks: &[Block], fonts: &Fonts) {
    let mut row = false;
    for block in blocks {
        let half = matches!(block, Block::Figure { width: Width::Half, .. });
        match (row, half) {
            (false, true) => html.push_str("<div class=\"row\">\n"),
            (true, false) => html.push_str("</div>\n"),
            _ => {}
        }
        row = half;
        match block {
            Block::Text(text) => html.push_str(&format!("<p>{}</p>\n", prose(text))),
            Block::Figure { figure, caption, .. } => {
                html.push_str(&format!("<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n", figure.inline(fonts), prose(caption)));
            }
            Block::Table(content) => table(html, content),
            Block::Pairs(content) => pairs(html, content),
            Block::Verbatim(text) => html.push_str(&format!("<pre>{}</pre>\n", text.lines().map(escape).collect::<Vec<_>>().join("\n"))),
            Block::Details { summary, blocks: hidden } => {
                html.push_str(&format!("<details>\n<summary>{}</summary>\n", prose(summary)));
                self::blocks(html, hidden, fonts);
                html.push_str("</details>\n");
            }
        }
    }
    if row {
        html.push_str("</div>\n");
    }
}
