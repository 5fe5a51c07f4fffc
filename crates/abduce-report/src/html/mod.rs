//! The report: one HTML file with inline figures and styles, which runs no script and requests nothing.
//!
//! The text comes in as plain strings. In prose, `` `code` `` and `$mathematics$` are set as such; names of parameters are [`Cell::Name`]s
//! and follow [`crate::Label`]. Whatever differs between two identical runs (times, hosts, paths) has no place here.

mod page;

use crate::error::FigureError;
use crate::figure::Figure;

/// How good something is. Shown as colour, sign and word, so that none of the three is needed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Good,
    /// Usable with care.
    Caution,
    /// Not to be relied on.
    Bad,
    /// Neither: not tested, or only a statement.
    Neutral,
}

/// The answer to "can I use this?", at the top of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Overall status.
    pub status: Status,
    /// One short sentence.
    pub headline: String,
    /// What it means for the user, in plain words.
    pub text: String,
}

/// A condition that was put to the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Name as in the configuration.
    pub name: String,
    /// Whether it held.
    pub status: Status,
    /// What was measured, formatted: `p = 0.31`.
    pub measured: String,
    /// What was required, formatted: `p > 0.01`.
    pub required: String,
    /// What it tests, in plain words.
    pub meaning: String,
}

/// How much a warning matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Results may suffer.
    Warning,
    /// Results are wrong or missing.
    Error,
}

/// Something the user should know, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// How much it matters.
    pub severity: Severity,
    /// What was found: `the posterior of theta_2 is too narrow`.
    pub text: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// Content of a table cell.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Cell {
    /// Prose.
    Text(String),
    /// A parameter or symbol, in the notation of [`crate::Label`].
    Name(String),
    /// A number with so many significant digits.
    Number(f64, usize),
    /// A whole number.
    Count(u64),
    /// A status with a word.
    Badge(Status, String),
    /// Nothing.
    Empty,
}

/// A table with a header row. Columns of numbers are set right.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Caption, may be empty.
    pub caption: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows, each with one cell per column; the first cell names the row.
    pub rows: Vec<Vec<Cell>>,
}

/// Room a figure takes on wide screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Width {
    /// All of it.
    #[default]
    Full,
    /// Half: it stands beside its neighbour if that is of half width too.
    Half,
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A figure with its caption.
    Figure {
        /// The figure.
        figure: Figure,
        /// What to see in it.
        caption: String,
        /// Its room.
        width: Width,
    },
    /// A table.
    Table(Table),
    /// Names and values.
    Pairs(Vec<(String, String)>),
    /// Text as it stands, in a fixed-width face.
    Verbatim(String),
    /// Parts shown on demand.
    Details {
        /// The line that is always shown.
        summary: String,
        /// What it hides.
        blocks: Vec<Self>,
    },
}

/// A titled part of the page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Section {
    /// Title, also in the table of contents.
    pub title: String,
    /// Contents.
    pub blocks: Vec<Block>,
}

/// The whole page.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Title of the page.
    pub title: String,
    /// A line under it; may be empty.
    pub subtitle: String,
    /// The answer at the top.
    pub verdict: Verdict,
    /// Conditions with traffic lights.
    pub gates: Vec<Gate>,
    /// Warnings, shown with the gravest first.
    pub warnings: Vec<Warning>,
    /// What was run: names and values.
    pub run: Vec<(String, String)>,
    /// Summary of the data.
    pub data: Option<Table>,
    /// Everything else.
    pub sections: Vec<Section>,
    /// Lines at the end: versions, how to cite.
    pub footer: Vec<String>,
}

impl Report {
    /// The page.
    pub fn html(&self) -> Result<String, FigureError> {
        page::page(self)
    }
}
