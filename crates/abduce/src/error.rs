//! Errors as the user sees them: what is wrong, where in which file, and what to write instead.

use abduce_bottleneck::BottleneckError;
use abduce_cosmology::CosmologyError;
use abduce_data::{DataError, ModelProblem, NpyProblem};
use abduce_dimension::DimensionError;
use abduce_inference::abc::AbcError;
use abduce_inference::diagnostics::DiagnosticsError;
use abduce_inference::estimate::EstimateError;
use abduce_inference::posterior::{ChainError, PosteriorError, VariationalError};
use abduce_inference::simulator::SimulationError;
use abduce_inference::simulator::store::StoreError;
use abduce_inference::study::StudyError;
use abduce_inference::training::TrainingError;
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
    /// A library refused: data, model or numbers.
    #[error("{message}")]
    Failed {
        /// What is wrong, with file and numbers.
        message: String,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
    /// Stopped before the end, on request; the run can be resumed.
    #[error("stopped; what was reached is kept in {run}", run = run.display())]
    #[diagnostic(help("the same command with --resume goes on from there, to the same result"))]
    Interrupted {
        /// The run directory.
        run: PathBuf,
    },
    /// Stopped before the end, on request, outside of a run directory.
    #[error("{message}")]
    Unfinished {
        /// What was reached.
        message: String,
        /// How to go on.
        #[help]
        help: String,
    },
    /// A part of the work was stopped before its end, on request; the next attempt goes on there.
    #[error("{message}")]
    #[diagnostic(help("submit again: what is done is kept, and the rest goes on from there"))]
    Partial {
        /// How far it came.
        message: String,
    },
    /// Another process is writing to the run.
    #[error("{run}: another process is working on this run", run = run.display())]
    #[diagnostic(help("wait for it, or use another folder with -o"))]
    InUse {
        /// The run directory.
        run: PathBuf,
    },
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
    /// The program's exit status: 2 for wrong usage or configuration, 75 for a run that can be resumed, 1 for one that failed.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage { .. } => 2,
            Self::Interrupted { .. } | Self::Unfinished { .. } | Self::Partial { .. } => 75,
            Self::Failed { .. } | Self::InUse { .. } | Self::Present(_) | Self::File { .. } => 1,
        }
    }

    /// A failure with a hint.
    pub fn failed(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), help: Some(help.into()) }
    }

    /// Whether the reader of our standard output has gone, which is no failure of ours.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    fn with_hint(error: &dyn fmt::Display, help: Option<&str>) -> Self {
        Self::Failed { message: error.to_string(), help: help.map(str::to_string) }
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        use std::io::ErrorKind;
        if let DataError::RunInUse { path } = error {
            return Self::InUse { run: path };
        }
        let help = match &error {
            DataError::Io { source, .. } => match source.kind() {
                ErrorKind::NotFound => Some("check the path; it is relative to the working directory, then to the file that names it"),
                ErrorKind::PermissionDenied => Some("check the permissions of the file and its folder"),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    Some("make room and run the command again; nothing half-written is left")
                }
                ErrorKind::OutOfMemory => Some("the array is larger than the memory of this machine"),
                _ => None,
            },
            DataError::Npy { problem, .. } => Some(match problem {
                NpyProblem::Objects(_) | NpyProblem::Structured | NpyProblem::Dtype(_) => {
                    "in Python: numpy.save(file, numpy.asarray(data, dtype='f4'))"
                }
                NpyProblem::Magic => "arrays are read from .npy, .npz, .csv, .h5 and .fits files",
                _ => "the file is damaged or incomplete: copy or write it again",
            }),
            DataError::Lengths { .. } => Some("were the two files written by the same simulation run?"),
            DataError::NoFiniteRows { .. } => Some("look at the simulator: every simulation failed"),
            DataError::RunExists { .. } => Some("--resume goes on with it, --restart begins anew, -o names another folder"),
            DataError::NoRun { .. } => Some("give the run directory that `abduce train` or `abduce run` wrote to"),
            DataError::ResumeMismatch { .. } => Some("resume with what the run began with, or begin anew with --restart"),
            DataError::Model { problem: ModelProblem::Newer { .. }, .. } | DataError::NewerRun { .. } => {
                Some("install the newer version of abduce that wrote it")
            }
            DataError::Model { .. } => Some("expected a posterior that `abduce train` wrote"),
            _ => None,
        };
        Self::with_hint(&error, help)
    }
}

impl From<TrainingError> for Error {
    fn from(error: TrainingError) -> Self {
        let help = match error {
            TrainingError::Data(error) => return error.into(),
            TrainingError::Posterior(error) => return error.into(),
            TrainingError::Dimension { .. } => "the prior needs one entry per column of theta",
            TrainingError::OutsidePrior { .. } => {
                "the prior must hold every simulated theta: widen it, or give what theta was drawn from as `proposal`; also check the order of the columns"
            }
            TrainingError::Spec { .. } => "change this entry of `model.nets`",
            TrainingError::Train { .. } => "try a smaller `train_args.learning_rate`, and look for extreme values in x",
            _ => return Self::with_hint(&error, None),
        };
        Self::with_hint(&error, Some(help))
    }
}

impl From<AbcError> for Error {
    fn from(error: AbcError) -> Self {
        let help = match &error {
            AbcError::NoneAccepted { .. } => "raise `eps`, or accept a part of the simulations with `quantile`",
            AbcError::TooFew { .. } | AbcError::Stored { .. } => "simulate more",
            AbcError::Observation { .. } | AbcError::Table { .. } => "the observation must be of the kind that the simulator makes",
            AbcError::OutsidePrior { .. } => {
                "the prior must hold every simulated theta: widen it, or give what theta was drawn from as `proposal`"
            }
            AbcError::Density(_) => "accept more simulations, or leave `kde` out",
            AbcError::Option { .. } => "see `abduce explain train_args`",
            _ => return Self::with_hint(&error, None),
        };
        Self::with_hint(&error, Some(help))
    }
}

impl From<BottleneckError> for Error {
    fn from(error: BottleneckError) -> Self {
        let help = match error {
            BottleneckError::Data(error) => return error.into(),
            BottleneckError::Width { .. } => "rows must have the shape of those that the model was trained on",
            BottleneckError::Train(_) => "try a smaller --learning-rate, and look for extreme values",
            BottleneckError::Target { .. } => "leave such rows out, or choose another --head",
            BottleneckError::Unavailable { .. } => "squared errors, cross-entropies and Gaussians (--head) can do it",
            _ => return Self::with_hint(&error, None),
        };
        Self::with_hint(&error, Some(help))
    }
}

impl From<ChainError> for Error {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Posterior(error) => error.into(),
            other => Self::failed(other.to_string(), "look at the report of the training, and try another method or more chains"),
        }
    }
}

impl From<EstimateError> for Error {
    fn from(error: EstimateError) -> Self {
        let help = match error {
            EstimateError::Data(error) => return error.into(),
            EstimateError::Levels(_) => "for example --levels 0.05,0.5,0.95",
            EstimateError::Width { .. } | EstimateError::NotFinite { .. } => {
                "data must have the shape of the simulations, without missing values"
            }
            EstimateError::Prior(_) => "give one positive number per model, or leave --prior away",
            EstimateError::File { .. } => "expected what `abduce estimate` or `abduce models` wrote",
            _ => return Self::with_hint(&error, None),
        };
        Self::with_hint(&error, Some(help))
    }
}

impl From<VariationalError> for Error {
    fn from(error: VariationalError) -> Self {
        match error {
            VariationalError::Chain(error) => error.into(),
            other => Self::failed(other.to_string(), "change the option, or take another family (--dist) or method"),
        }
    }
}

impl From<SimulationError> for Error {
    fn from(error: SimulationError) -> Self {
        let help = match &error {
            SimulationError::Data(_) => None,
            SimulationError::Start { .. } => Some("the command is run without a shell, in the folder of the file that names it"),
            SimulationError::NoneWorked { .. } => {
                Some("run the command by hand, and give it a line such as {\"id\": 0, \"theta\": [0.5], \"seed\": 1} on standard input")
            }
            _ => None,
        };
        match error {
            SimulationError::Data(error) => error.into(),
            error => Self::with_hint(&error, help),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let help = match error {
            StoreError::Data(error) => return error.into(),
            StoreError::Simulation(error) => return error.into(),
            StoreError::Newer { .. } => "install the newer version of abduce that wrote it",
            StoreError::Foreign { .. } | StoreError::Block { .. } => "files of two stores were mixed: use another folder with --store",
            _ => return Self::with_hint(&error, None),
        };
        Self::with_hint(&error, Some(help))
    }
}

impl From<DimensionError> for Error {
    fn from(error: DimensionError) -> Self {
        let help = match &error {
            DimensionError::Shape { .. } => Some("give an array whose rows are points"),
            DimensionError::TooFewPoints { .. } => {
                Some("dimension shows in how neighbours thin out, for which some hundred points are wanted")
            }
            DimensionError::NoAnswer { .. } => Some("try --method combined"),
            DimensionError::Losses(_) => Some(
                "expected an npz with `widths` (W,) and `losses` (seeds, W, points), as `abduce compress` writes it; --loss nats needs no width 0",
            ),
            _ => None,
        };
        Self::with_hint(&error, help)
    }
}

impl From<StudyError> for Error {
    fn from(error: StudyError) -> Self {
        let help = match &error {
            StudyError::Mismatch { .. } => {
                "go on with what the study began with, choose another folder with -o, or begin anew with --restart"
            }
            StudyError::Newer { .. } => "install the newer version of abduce that wrote it",
            StudyError::Database { .. } => "see that the server runs and that you may make tables there; a password comes from PGPASSWORD",
            StudyError::Locked { .. } => "remove the lock file if no process of this study is alive",
            _ => return Self::with_hint(&error, None),
        };
        Self::with_hint(&error, Some(help))
    }
}

impl From<PosteriorError> for Error {
    fn from(error: PosteriorError) -> Self {
        let help = match error {
            PosteriorError::Data(error) => return error.into(),
            PosteriorError::Width { .. } => "theta and x must have the columns that the posterior was trained with",
            PosteriorError::Pairing { .. } => "rows are paired one to one; a single row of either goes with all rows of the other",
            PosteriorError::NeedsSampler(_) => "draws of a likelihood or ratio come from chains",
            PosteriorError::Condition { .. } => "give a value inside the prior's support",
            PosteriorError::NotFinite { .. } => "a network has no answer for missing values: leave the row out",
            PosteriorError::File { .. } => "expected a posterior that `abduce train` wrote",
            _ => return Self::with_hint(&error, None),
        };
        Self::with_hint(&error, Some(help))
    }
}

impl From<CosmologyError> for Error {
    fn from(error: CosmologyError) -> Self {
        let help = match &error {
            CosmologyError::Parameter { name, .. } => format!("choose {name} inside this range"),
            CosmologyError::NeedsSigma8 { .. } => "give --sigma8, or use --model boltzmann with --a-s".to_string(),
            CosmologyError::Interval { .. } => "write the lower end first: NAME:LOW:HIGH".to_string(),
            _ => return Self::with_hint(&error, None),
        };
        Self::Usage { message: error.to_string(), help }
    }
}

impl From<DiagnosticsError> for Error {
    fn from(error: DiagnosticsError) -> Self {
        let help = match &error {
            DiagnosticsError::TooFewPairs { .. } => Some("give more test simulations"),
            DiagnosticsError::ConstantParameter { .. } => {
                Some("test pairs must be drawn from the prior and the simulator, like the training pairs")
            }
            DiagnosticsError::TooManyExcluded { .. } => {
                Some("are the test parameters drawn from the prior that the posterior was trained with?")
            }
            _ => None,
        };
        Self::with_hint(&error, help)
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
