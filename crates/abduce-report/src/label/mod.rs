//! Labels: plain text, or the part of LaTeX mathematics that names parameters and units.
//!
//! `\Omega_m`, `\log_{10} M_{500}`, `$\sigma_8$ [Mpc]` become runs of Unicode text, upright or slanted, raised or lowered. Whatever is not
//! understood stays visible as it was written: labels come from users' files, and a wrong guess must be readable.

mod parse;
mod symbols;

use crate::escape::escape;

/// Upright or slanted letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slant {
    Upright,
    Italic,
}

/// Where a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Where the run before it ends.
    Next,
    /// Where run `0` began: the second of a subscript and a superscript on the same base.
    Above(usize),
    /// Behind everything so far: what follows such a pair.
    Clear,
}

/// A stretch of text of one face, size and height.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) text: String,
    pub(crate) slant: Slant,
    /// Size relative to the label's.
    pub(crate) scale: f64,
    /// Height of the baseline above the label's, in units of the label's size.
    pub(crate) rise: f64,
    pub(crate) origin: Origin,
}

/// A parsed label.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Label {
    pub(crate) runs: Vec<Run>,
}

impl Label {
    /// Reads a label as its author meant it:
    /// * between `$…$` is mathematics, the rest is text;
    /// * without `$`, a backslash command or a braced script (`M_{500}`) makes all of it mathematics in which spaces are kept;
    /// * a bare symbol name, `x_1`, `theta_1`, `sigma_8`, is that symbol;
    /// * anything else is text, underscores included.
    pub fn parse(source: &str) -> Self {
        Self { runs: parse::runs(source) }
    }

    /// A label as part of a sentence in a report, where mathematics stands between `$`.
    pub fn in_prose(source: &str) -> String {
        if source.contains('$') {
            return source.to_owned();
        }
        match parse::symbol(source) {
            Some(symbol) => format!("${symbol}$"),
            None if parse::is_mathematics(source) => format!("${source}$"),
            None => source.to_owned(),
        }
    }

    /// Text that is never mathematics.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { runs: vec![Run { text: text.into(), slant: Slant::Upright, scale: 1.0, rise: 0.0, origin: Origin::Next }] }
    }

    /// `median^{+upper}_{-lower}`, the three numbers already formatted.
    pub(crate) fn with_interval(median: &str, upper: &str, lower: &str) -> Self {
        let run = |text: String, scale, rise, origin| Run { text, slant: Slant::Upright, scale, rise, origin };
        Self {
            runs: vec![
                run(median.to_owned(), 1.0, 0.0, Origin::Next),
                run(format!("\u{200a}+{upper}"), 0.72, 0.42, Origin::Next),
                run(format!("\u{200a}\u{2212}{lower}"), 0.72, -0.24, Origin::Above(1)),
            ],
        }
    }

    /// This label followed by another one.
    pub(crate) fn then(mut self, other: Self) -> Self {
        let shift = self.runs.len();
        let stacked = self.runs.iter().any(|run| matches!(run.origin, Origin::Above(_)));
        self.runs.extend(other.runs.into_iter().enumerate().map(|(index, mut run)| {
            run.origin = match run.origin {
                Origin::Above(base) => Origin::Above(base + shift),
                Origin::Next if index == 0 && stacked => Origin::Clear,
                origin => origin,
            };
            run
        }));
        self
    }

    /// Unicode without markup, for titles, alternative texts and prose.
    pub fn plain(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }

    /// Escaped HTML with `<i>`, `<sub>` and `<sup>`.
    pub fn html(&self) -> String {
        let mut html = String::new();
        for run in &self.runs {
            let (open, close) = match run.rise {
                rise if rise > 0.0 => ("<sup>", "</sup>"),
                rise if rise < 0.0 => ("<sub>", "</sub>"),
                _ => ("", ""),
            };
            let (slant, upright) = if run.slant == Slant::Italic { ("<i>", "</i>") } else { ("", "") };
            html.push_str(&format!("{open}{slant}{}{upright}{close}", escape(&run.text)));
        }
        html
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| run.text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(source: &str) -> String {
        Label::parse(source).html()
    }

    #[test]
    fn parameters_of_the_field_read_as_in_a_paper() {
        assert_eq!(marks(r"\Omega_m"), "Ω<sub><i>m</i></sub>");
        assert_eq!(marks(r"$\sigma_8$"), "<i>σ</i><sub>8</sub>");
        assert_eq!(marks(r"\log_{10} M_{500}"), "log<sub>10</sub>\u{2009}<i>M</i><sub>500</sub>");
        assert_eq!(marks(r"M_\odot"), "<i>M</i><sub>⊙</sub>");
        assert_eq!(
            marks(r"$\log_{10}M_{\rm halo}$ [$h^{-1} M_\odot$]"),
            "log<sub>10</sub>\u{2009}<i>M</i><sub>halo</sub> [<i>h</i><sup>−1</sup><i>M</i><sub>⊙</sub>]"
        );
        assert_eq!(marks("theta_1"), "<i>θ</i><sub>1</sub>");
        assert_eq!(marks(r"\hat{\theta}"), "<i>θ\u{302}</i>");
        assert_eq!(marks(r"\frac{a}{b}"), "<i>a</i>/<i>b</i>");
    }

    #[test]
    fn names_of_columns_and_unknown_commands_stay_as_written() {
        assert_eq!(marks("log10_mass_msun_h"), "log10_mass_msun_h");
        assert_eq!(marks("5 $ a day"), "5 $ a day");
        assert_eq!(marks(r"\nonsense_1"), r"\nonsense<sub>1</sub>");
        assert_eq!(Label::parse(r"C:\data").plain(), r"C:\data");
    }

    #[test]
    fn a_label_in_a_sentence_looks_the_same() {
        for source in ["theta_1", r"\Omega_m", r"$\sigma_8$", "mass_msun"] {
            assert_eq!(marks(&format!("{} is low", Label::in_prose(source))), format!("{} is low", marks(source)));
        }
    }

    #[test]
    fn markup_in_a_label_is_text() {
        assert_eq!(marks("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;");
        assert!(!marks(r"x_{<b>}\Omega\text{</svg>}").contains("<b>"));
    }

    #[test]
    fn broken_and_deeply_nested_braces_end() {
        for source in ["x_", "x^", r"\", r"\frac{a", "{{{", "}}}", "$x", "x_{a^{b_{c^{d_{e}}}}}"] {
            assert!(!Label::parse(source).plain().contains('\0'), "{source}");
        }
        let deep = format!("\\alpha{}", "_{".repeat(100_000));
        assert!(Label::parse(&deep).plain().starts_with('α'));
    }
}
