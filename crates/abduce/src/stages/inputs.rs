//! Arrays that the user names: pairs (θ, x) and observations.

use crate::config::{DataConfig, NanRows, PathRules};
use crate::error::Error;
use crate::session::warning;
use abduce_data::fits::FitsFile;
use abduce_data::member;
use abduce_data::npy::{self, RowFile};
use abduce_data::npz::Npz;
use abduce_data::rundir::DataFile;
use abduce_data::table::{Delimiter, Table};
use abduce_data::{Array, PairSource};
use abduce_inference::diagnostics::Warning;
use abduce_inference::posterior::Posterior;
use std::path::{Path, PathBuf};

/// Files of θ and x, row by row in pairs, and which rows of them are meant.
#[derive(Clone, Debug)]
pub struct PairFiles {
    /// θ (n, d).
    pub theta: PathBuf,
    /// x (n, …).
    pub x: PathBuf,
    /// Every so many rows.
    pub thin: usize,
    /// Rows before thinning.
    pub first: Option<usize>,
    /// What happens to rows that are not finite.
    pub nan_rows: NanRows,
    /// Larger data stay in their files and are mixed in a buffer of this size.
    pub buffer_bytes: usize,
}

impl PairFiles {
    /// The files of a data section, which must name them.
    pub fn new(config: &DataConfig, paths: &PathRules) -> Result<Self, Error> {
        let file = |name: &str, file: &Option<PathBuf>| match file {
            Some(file) => Ok(paths.input(&config.file(file))),
            None => Err(Error::Usage {
                message: format!("the data section names no `{name}`"),
                help: format!("this engine uses stored simulations: add `{name}`"),
            }),
        };
        Ok(Self {
            theta: file("theta_file", &config.theta_file)?,
            x: file("x_file", &config.x_file)?,
            thin: config.thin_data,
            first: config.n_data,
            nan_rows: config.nan_rows,
            buffer_bytes: config.buffer_mib << 20,
        })
    }

    /// Size and hash of both files.
    pub fn hashes(&self) -> Result<Vec<DataFile>, Error> {
        let file = |path: &Path| member::split(path).0;
        Ok(vec![DataFile::of("theta", &file(&self.theta))?, DataFile::of("x", &file(&self.x))?])
    }

    /// Opens the pairs; npy files larger than the buffer stay on disk.
    pub fn open(&self) -> Result<PairSource, Error> {
        let is_npy = |path: &Path| extension(path) == "npy";
        let whole = self.thin == 1 && self.first.is_none();
        let source = if whole && is_npy(&self.theta) && is_npy(&self.x) {
            PairSource::open(&self.theta, &self.x, self.buffer_bytes)?
        } else {
            let [theta, x] = [(&self.theta, "theta"), (&self.x, "x")].map(|(path, name)| read_array::<f32>(path, name));
            let (theta, x) = (theta?, x?);
            if theta.rows() != x.rows() {
                let name = |path: &Path| path.display().to_string();
                let (theta_rows, x_rows) = (theta.rows(), x.rows());
                return Err(abduce_data::DataError::Lengths { theta: name(&self.theta), theta_rows, x: name(&self.x), x_rows }.into());
            }
            let rows = self.first.unwrap_or(usize::MAX).min(theta.rows());
            let wanted = || (0..rows).step_by(self.thin);
            PairSource::from_arrays(theta.select_rows(wanted()), x.select_rows(wanted()))?
        };
        let dropped = source.nan_report();
        if dropped.rows > 0 && self.nan_rows == NanRows::Error {
            return Err(Error::failed(
                format!(
                    "{} of {} rows hold NaN or infinite values; the first is row {}",
                    dropped.rows,
                    source.rows(),
                    dropped.first_row.unwrap_or(0)
                ),
                "the data section says `nan_rows: error`; `nan_rows: drop` leaves such rows out",
            ));
        }
        Ok(source)
    }
}

/// What to say about rows that were left out.
pub fn dropped_rows(source: &PairSource) -> Option<Warning> {
    let report = source.nan_report();
    (report.rows > 0).then(|| {
        warning(
            format!(
                "{} of {} pairs hold NaN or infinite values and were left out (theta in {}, x in {}; the first is row {})",
                report.rows,
                source.rows(),
                report.in_theta,
                report.in_x,
                report.first_row.unwrap_or(0)
            ),
            "if simulations fail for some parameters only, the posterior is that given that the simulation works",
        )
    })
}

/// A `.npy` file, the array `name` (or the only one) of a `.npz` or `.h5`, all columns of a `.csv` with a header or of a FITS table, or an image in FITS.
/// `sims.h5:/group/theta`, `chains.npz:theta` and `halos.fits:MASS` name an array themselves.
pub fn read_array<T: hdf5::Number>(path: &Path, name: &str) -> Result<Array<T>, Error> {
    let (path, named) = member::split(path);
    let path = path.as_path();
    let only = |names: Vec<String>| named.clone().unwrap_or_else(|| if names.len() == 1 { names[0].clone() } else { name.to_string() });
    let table = |delimiter| -> Result<Array<T>, Error> {
        let table = Table::read(path, delimiter)?;
        let values = table.values();
        Ok(Array::new(values.shape().to_vec(), values.data().iter().map(|value| T::from_f64(*value)).collect())?)
    };
    match extension(path).as_str() {
        "npz" => {
            let mut archive = Npz::open(path)?;
            let name = only(archive.names());
            Ok(archive.read(&name)?)
        }
        "h5" | "hdf5" => hdf5::read(path, only),
        "fits" | "fit" => {
            let file = FitsFile::open(path)?;
            let found = match (&named, file.tables().first()) {
                (Some(column), Some(table)) => {
                    let values = file.read(table, &[column])?.swap_remove(0);
                    let width = values.len() / table.rows.max(1);
                    Array::new(if width == 1 { vec![table.rows] } else { vec![table.rows, width] }, values)?
                }
                _ => file.array()?,
            };
            Ok(Array::new(found.shape().to_vec(), found.data().iter().map(|value| T::from_f64(*value)).collect())?)
        }
        "csv" => table(Delimiter::Comma),
        "tsv" => table(Delimiter::Tab),
        "txt" | "dat" => table(Delimiter::Whitespace),
        _ => Ok(RowFile::open(path)?.read_all()?),
    }
}

#[cfg(feature = "hdf5")]
mod hdf5 {
    use super::{Array, Error, Path, npy};
    use abduce_data::hdf5::{Hdf5File, Hdf5Value};

    /// What arrays are read as.
    pub trait Number: npy::Element + Hdf5Value {}
    impl<T: npy::Element + Hdf5Value> Number for T {}

    pub(super) fn read<T: Number>(path: &Path, name: impl Fn(Vec<String>) -> String) -> Result<Array<T>, Error> {
        let file = Hdf5File::open(path)?;
        Ok(file.read(&name(file.arrays("/")?))?)
    }
}

#[cfg(not(feature = "hdf5"))]
mod hdf5 {
    use super::{Array, Error, Path, npy};

    /// What arrays are read as.
    pub trait Number: npy::Element {}
    impl<T: npy::Element> Number for T {}

    pub(super) fn read<T: Number>(path: &Path, _: impl Fn(Vec<String>) -> String) -> Result<Array<T>, Error> {
        Err(Error::failed(format!("{} is an HDF5 file", path.display()), "this program was built without the feature `hdf5`"))
    }
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Observations (n_obs, …) for a posterior; a file of exactly one datum's shape is one observation.
pub fn observations(path: &Path, posterior: &Posterior) -> Result<Array, Error> {
    data_rows(path, &posterior.x_shape)
}

/// Data (n, …) of a given shape each; a file of exactly that shape is one datum.
pub fn data_rows(path: &Path, x_shape: &[usize]) -> Result<Array, Error> {
    rows_of(path, read_array(path, "x")?, x_shape, "datum")
}

/// The observation of a file, `trials` independent data as rows; of one datum the file may have exactly its shape. `reason` says why there can't be
/// more.
pub fn observation_rows(path: &Path, shape: Option<&[usize]>, trials: usize, reason: &str) -> Result<Array, Error> {
    let array = read_array(path, "x_obs")?;
    let array = match shape {
        Some(shape) => rows_of(path, array, shape, "datum")?,
        None => array,
    };
    if array.rows() != trials {
        let expected = if trials == 1 { "one".to_string() } else { format!("{trials} (`num_iid_samples`)") };
        return Err(Error::failed(
            format!("{} holds {} data where {expected} are expected: {reason}", path.display(), array.rows()),
            "give a file with one observation, or use an engine that learns from all simulations at once",
        ));
    }
    Ok(array)
}

/// Parameters (n, d) for a posterior; a file of d values is one row.
pub fn parameters(path: &Path, posterior: &Posterior) -> Result<Array, Error> {
    theta_rows(path, posterior.dimension())
}

/// Parameters (n, d); a file of d values is one row.
pub fn theta_rows(path: &Path, d: usize) -> Result<Array, Error> {
    rows_of(path, read_array(path, "theta")?, &[d], "row of theta")
}

/// The array as rows of the shape `row`.
pub(super) fn rows_of(path: &Path, array: Array, row: &[usize], what: &str) -> Result<Array, Error> {
    let shape = array.shape().to_vec();
    let scalar = row.iter().product::<usize>() == 1;
    let rows = if shape == row {
        Some(1)
    } else if shape.len() == row.len() + 1 && shape[1..] == *row {
        Some(shape[0])
    } else if scalar && shape.iter().skip(1).product::<usize>() == 1 {
        // One value per row, with or without an axis of its own.
        Some(shape.first().copied().unwrap_or(1))
    } else {
        None
    };
    let Some(rows) = rows else {
        return Err(Error::failed(
            format!("{} has shape {shape:?}, but a {what} of this posterior has shape {row:?}", path.display()),
            format!("expected shape {row:?} for one, or (n, …) with rows of that shape"),
        ));
    };
    if rows == 0 {
        return Err(Error::failed(format!("{} is empty: its shape is {shape:?}", path.display()), "give at least one row"));
    }
    let shape = std::iter::once(rows).chain(row.iter().copied()).collect();
    Ok(Array::new(shape, array.into_data())?)
}

/// Writes an array where the user wants it; folders on the way are made.
pub fn write_array<T: npy::Element>(path: &Path, array: &Array<T>) -> Result<(), Error> {
    make_parent(path)?;
    Ok(npy::write(path, array)?)
}

/// Makes the folder that `path` lies in.
pub fn make_parent(path: &Path) -> Result<(), Error> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => make_folder(folder),
        None => Ok(()),
    }
}

/// Makes a folder and those above it.
pub fn make_folder(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::File { action: "create the folder", path: folder.to_path_buf(), source })
}

/// An observation and its true or fiducial parameters, where they are known.
pub type Observation = (Array, Option<Vec<f64>>);

/// The observation that a data section names.
pub fn observation(config: &DataConfig, paths: &PathRules, posterior: &Posterior) -> Result<Option<Observation>, Error> {
    let Some(file) = &config.xobs_file else { return Ok(None) };
    let x = observations(&paths.input(&config.file(file)), posterior)?;
    let truth = config.thetafid_file.as_ref().map(|file| parameters(&paths.input(&config.file(file)), posterior)).transpose()?;
    Ok(Some((x, truth.map(|theta| theta.row(0).iter().copied().map(f64::from).collect()))))
}
