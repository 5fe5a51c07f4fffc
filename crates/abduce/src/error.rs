//! Errors as the user sees them: what is wrong, where in which file, and what to write instead.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    message: String,
    label: String,
    help: Option<String>,
    place: Option<Box<Place>>,
}

#[derive(Clone, Debug)]
struct Place {
    source: NamedSource<Arc<str>>,
    span: SourceSpan,
}

impl Problem {
    /// A problem that belongs to no place in a file.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), label: String::new(), help: None, place: None }
    }

    /// Points at `length` bytes from `start` of the text called `name`, with a short `label` underneath.
    pub fn at(mut self, name: &str, text: &Arc<str>, start: usize, length: usize, label: impl Into<String>) -> Self {
        let source = NamedSource::new(name, Arc::clone(text));
        self.place = Some(Box::new(Place { source, span: SourceSpan::new(start.into(), length) }));
        self.label = label.into();
        self
    }

    /// What to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message without place and help.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl Diagnostic for Problem {
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &place.source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some(self.label.clone()), place.span))))
    }
}

/// Everything wrong with a configuration: the problems are reported together, up to a screenful or two.
#[derive(Clone, Debug)]
pub struct ConfigError {
    subject: String,
    problems: Vec<Problem>,
    total: usize,
}

/// Problems of one file that are shown.
const MAX_PROBLEMS: usize = 20;

impl ConfigError {
    /// `subject` names the file; `problems` come in the order of the file.
    pub(crate) fn new(subject: impl Into<String>, mut problems: Vec<Problem>) -> Self {
        let total = problems.len();
        problems.truncate(MAX_PROBLEMS);
        Self { subject: subject.into(), problems, total }
    }

    /// The first problems, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => fmt::Display::fmt(only, f),
            all if all.len() < self.total => write!(f, "{} problems in {}, the first {}", self.total, self.subject, all.len()),
            _ => write!(f, "{} problems in {}", self.total, self.subject),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Diagnostic for ConfigError {
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        if let [only] = self.problems.as_slice() { Diagnostic::help(only) } else { None }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        if let [only] = self.problems.as_slice() { only.source_code() } else { None }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if let [only] = self.problems.as_slice() { only.labels() } else { None }
    }

    fn related(&self) -> Option<Box<dyn Iterator<Item = &dyn Diagnostic> + '_>> {
        if self.problems.len() < 2 {
            return None;
        }
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

/// What can stop a command.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// A request that cannot be met as written on the command line.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        #[help]
        help: String,
    },
    /// A result that cannot be shown.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Present(#[from] crate::present::PresentError),
    /// A file that cannot be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// "read", "write", …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl Error {
    /// The program's exit status: 2 for wrong usage or configuration, 1 for a run that failed.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage { .. } => 2,
            Self::Present(_) | Self::File { .. } => 1,
        }
    }
}

/// How a report is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportStyle {
    /// ASCII, no colour: pipes, logs, `NO_COLOR`.
    Plain,
    /// Unicode lines and colours: terminals.
    Colour,
}

/// The whole report as text, wrapped to `width` columns.
pub fn render(diagnostic: &dyn Diagnostic, style: ReportStyle, width: usize) -> String {
    let theme = match style {
        ReportStyle::Plain => GraphicalTheme::none(),
        ReportStyle::Colour => GraphicalTheme::unicode(),
    };
    let mut report = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
    match handler.render_report(&mut report, diagnostic) {
        Ok(()) => report,
        // Only a source that cannot be read at the label fails to render; the message itself still says what is wrong.
        Err(fmt::Error) => format!("{diagnostic}\n"),
    }
}
