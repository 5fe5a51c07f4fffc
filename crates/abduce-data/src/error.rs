//! What can go wrong with data: every variant carries the file and the numbers that a user needs to mend it.

use std::path::{Path, PathBuf};

/// Result of the data crate.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// An error of reading, writing or combining data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file in the IDX format that holds something else than it says.
    #[error("{path}: {reason}")]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused (missing file, no permission, disk full).
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, as a verb ("read", "write").
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A `.npy` file, or a member of a `.npz`, that cannot be used.
    #[error("{}: {problem}", path.display())]
    Npy {
        /// The file; for a member of an archive `archive.npz/member`.
        path: PathBuf,
        /// What is wrong with it.
        problem: NpyProblem,
    },
    /// A `.npz` archive that cannot be used.
    #[error("{}: not a usable npz archive: {reason}", path.display())]
    Npz {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An HDF5 file that cannot be used.
    #[error("{}: not a usable HDF5 file: {reason}", path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A FITS file that cannot be used, or something that FITS can't say.
    #[error("{}: FITS: {reason}", path.display())]
    Fits {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An archive without the wanted array.
    #[error("{}: no array `{name}`; it holds {}", path.display(), listed(known))]
    NpzMember {
        /// The archive.
        path: PathBuf,
        /// The wanted name.
        name: String,
        /// The names it holds.
        known: Vec<String>,
    },
    /// A text table that cannot be used.
    #[error("{}: line {line}{}: {reason}", path.display(), in_column(column))]
    Table {
        /// The file.
        path: PathBuf,
        /// Line of the file, counted from 1.
        line: u64,
        /// Column name, where one cell is at fault.
        column: Option<String>,
        /// What is wrong there.
        reason: String,
    },
    /// A text table without the wanted column.
    #[error("no column `{name}`; the table has {}", listed(known))]
    TableColumn {
        /// The wanted name.
        name: String,
        /// The names it has.
        known: Vec<String>,
    },
    /// An array's shape and its number of values disagree.
    #[error("shape {shape:?} does not hold {values} values")]
    Shape {
        /// The shape.
        shape: Vec<usize>,
        /// The number of values that came with it.
        values: usize,
    },
    /// Parameters and data have different numbers of rows.
    #[error("{theta} has {theta_rows} rows but {x} has {x_rows}: each row of theta must belong to the same row of x")]
    Lengths {
        /// Where theta came from.
        theta: String,
        /// Rows of theta.
        theta_rows: usize,
        /// Where x came from.
        x: String,
        /// Rows of x.
        x_rows: usize,
    },
    /// An array without rows or without features.
    #[error("{name} is empty: its shape is {shape:?}")]
    Empty {
        /// Where it came from.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Every row holds a value that is not finite.
    #[error("all {rows} rows hold NaN or infinite values; the first such value is in {first_in} of row {first_row}")]
    NoFiniteRows {
        /// Number of rows.
        rows: usize,
        /// First bad row.
        first_row: usize,
        /// `theta` or `x`.
        first_in: &'static str,
    },
    /// A split that cannot be made.
    #[error("train/validation split: {0}")]
    Split(String),
    /// A row index outside the data.
    #[error("{}: `{stage}` lists row {row}, but the data have {rows} rows (0 to {})", path.display(), rows.saturating_sub(1))]
    SplitRow {
        /// The split file.
        path: PathBuf,
        /// The list's name in it.
        stage: String,
        /// The index.
        row: u64,
        /// Number of rows of the data.
        rows: usize,
    },
    /// A model file that cannot be used.
    #[error("{}: not a usable model file: {problem}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ModelProblem,
    },
    /// A block of rows that cannot be used: torn, damaged, or of another program.
    #[error("{}: not a usable block of simulations: {reason}", path.display())]
    Block {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A JSON file that cannot be read or written.
    #[error("{}: damaged JSON: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// A new run was asked for where there is one.
    #[error("{} already holds a run: resume it, choose another folder, or start it over", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is not a run.
    #[error("{}: not a run directory (it has no manifest.json)", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is writing to the run.
    #[error("{}: another process is working on this run", path.display())]
    RunInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A run directory of a later layout.
    #[error("{}: written by a newer version: its format is {found}, this program reads up to {supported}", path.display())]
    NewerRun {
        /// The folder.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version known.
        supported: u32,
    },
    /// What a run depends on has changed since it began.
    #[error("cannot resume: {what} is now {now}, but the run began with {saved}; start a new run or restore it")]
    ResumeMismatch {
        /// What has changed.
        what: &'static str,
        /// Its value when the run began.
        saved: String,
        /// Its value now.
        now: String,
    },
    /// Batches that cannot be made.
    #[error("batches: {0}")]
    Batches(String),
    /// Rows of the wrong width.
    #[error("{what}: expected rows of {expected} values, found {found}")]
    Width {
        /// What was given.
        what: &'static str,
        /// Its number of values.
        found: usize,
        /// The values per row wanted.
        expected: usize,
    },
}

/// What is wrong with an npy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyProblem {
    /// The first bytes are not those of the format.
    #[error("not an npy file (it does not start with \\x93NUMPY)")]
    Magic,
    /// A version of the format that does not exist yet.
    #[error("npy format version {0}.{1} is unknown (known: 1.0, 2.0, 3.0)")]
    Version(u8, u8),
    /// The header cannot be understood.
    #[error("damaged npy header: {0}")]
    Header(String),
    /// Python objects: reading them would execute code from the file.
    #[error("holds Python objects (dtype {0}), which are refused because unpickling runs code; save a plain numeric array instead")]
    Objects(String),
    /// A record array.
    #[error("holds a structured array; save its columns as plain numeric arrays instead")]
    Structured,
    /// A dtype that is not a real number.
    #[error("dtype {0} is not supported; convert with .astype('f4') or .astype('f8') (readable: f4, f8, i1-i8, u1-u8, bool)")]
    Dtype(String),
    /// More values than any machine can address.
    #[error("shape {0} is absurd: its size overflows")]
    Overflow(String),
    /// Fewer bytes than the shape needs.
    #[error("truncated: shape {shape:?} of {item_bytes}-byte values needs {needed} bytes of data, the file has {found}")]
    Truncated {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Bytes of one value.
        item_bytes: usize,
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        found: u64,
    },
    /// More bytes than the shape needs.
    #[error("shape {shape:?} needs {needed} bytes of data, but the file has {found}: header and data do not belong together")]
    TooLong {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        found: u64,
    },
}

/// What is wrong with a model file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelProblem {
    /// The container is damaged or not a safetensors file.
    #[error("damaged or not a safetensors file: {0}")]
    Container(String),
    /// A safetensors file of another program.
    #[error("a safetensors file, but not one of abduce")]
    Foreign,
    /// A file from the future.
    #[error("written by a newer version: its format is {found}, this program reads up to {supported}; update the program to read it")]
    Newer {
        /// Its version.
        found: u32,
        /// The latest version known.
        supported: u32,
    },
    /// The JSON document cannot be understood.
    #[error("damaged metadata: {0}")]
    Metadata(String),
    /// A tensor that is not f32.
    #[error("tensor `{name}` has type {dtype}, expected F32")]
    Dtype {
        /// Its name.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A tensor that should be there.
    #[error("tensor `{0}` is missing")]
    MissingTensor(String),
    /// Two tensors of one name, or a name that the container reserves.
    #[error("the tensor name `{0}` is reserved or used twice")]
    TensorName(String),
}

impl DataError {
    /// Attach a path and a verb to a system error.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        _ => names.join(", "),
    }
}

fn in_column(column: &Option<String>) -> String {
    column.as_ref().map_or_else(String::new, |name| format!(", column `{name}`"))
}
