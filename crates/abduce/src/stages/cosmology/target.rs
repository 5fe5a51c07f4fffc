//! Where results of a stage go: a folder of this program's files, or one file whose ending says the format.

use super::{beside, file_name};
use crate::error::Error;
use crate::stages::inputs::{make_folder, make_parent};
use abduce_cosmology::files::Kind;
use std::path::{Path, PathBuf};

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This program's files, in this folder or beside each input.
    Folder(Option<PathBuf>),
    /// One catalogue as a FITS table.
    Fits(PathBuf),
    /// ltu-cmass' layout, a group per scale factor: `FILE.h5`.
    Cmass(PathBuf),
    /// GADGET snapshots: `FILE.hdf5`.
    Gadget(PathBuf),
}

impl Target {
    /// The target that an option `-o` means; folders on the way are made. An existing folder is one whatever its name ends in.
    ///
    /// # Errors
    /// A folder that can't be made; a format that this program was built without.
    pub fn new(out: Option<PathBuf>) -> Result<Self, Error> {
        let Some(path) = out else { return Ok(Self::Folder(None)) };
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        let target = match ending.as_str() {
            _ if path.is_dir() => Self::Folder(Some(path)),
            "fits" | "fit" => Self::Fits(path),
            "h5" => Self::Cmass(path),
            "hdf5" => Self::Gadget(path),
            _ => Self::Folder(Some(path)),
        };
        if cfg!(not(feature = "hdf5")) && matches!(target, Self::Cmass(_) | Self::Gadget(_)) {
            return Err(Error::Usage {
                message: "this program was built without HDF5".into(),
                help: "build it with the feature `hdf5`, or give a folder".into(),
            });
        }
        match &target {
            Self::Folder(Some(folder)) => make_folder(folder)?,
            Self::Folder(None) => {}
            Self::Fits(file) | Self::Cmass(file) | Self::Gadget(file) => make_parent(file)?,
        }
        Ok(target)
    }

    /// Fails where results of this kind have no such format.
    ///
    /// # Errors
    /// The formats that they have.
    pub fn check(&self, kind: Kind) -> Result<(), Error> {
        match (self, kind) {
            (Self::Fits(file), Kind::Snapshot) => Err(no_format(file, "particles", "a folder, FILE.h5 (ltu-cmass) or FILE.hdf5 (GADGET)")),
            (Self::Gadget(file), Kind::Halos | Kind::Galaxies) => {
                Err(no_format(file, "catalogues", "a folder, FILE.fits or FILE.h5 (ltu-cmass)"))
            }
            _ => Ok(()),
        }
    }

    /// The file of a result at scale factor `a` made from `input`, whose name begins with `from` where this program gave it; `several` where the input holds
    /// more than one.
    pub fn file(&self, input: &Path, (from, to): (&str, &str), extension: &str, a: f64, several: bool) -> PathBuf {
        match self {
            Self::Folder(folder) => {
                let file = beside(input, from, to, extension, folder.as_deref());
                if !several {
                    return file;
                }
                let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
                file.with_file_name(format!("{stem}-a{a:.6}.{extension}"))
            }
            Self::Fits(file) | Self::Cmass(file) | Self::Gadget(file) => file.clone(),
        }
    }

    /// The picture of a result.
    pub fn picture(&self, result: &Path, a: f64) -> PathBuf {
        match self {
            Self::Folder(_) | Self::Fits(_) => result.with_extension("png"),
            Self::Cmass(_) | Self::Gadget(_) => {
                let stem = result.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
                result.with_file_name(file_name(&stem, a)).with_extension("png")
            }
        }
    }
}

/// What a format can't hold.
pub fn no_format(file: &Path, what: &str, instead: &str) -> Error {
    Error::Usage { message: format!("{} can't hold {what}", file.display()), help: format!("-o takes {instead}") }
}

/// The file of snapshot `index` of `count`: `snap.hdf5`, or `snap_000.hdf5`, `snap_001.hdf5`, … where there are several.
pub fn numbered(file: &Path, index: usize, count: usize) -> PathBuf {
    if count == 1 {
        return file.to_path_buf();
    }
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    file.with_file_name(format!("{stem}_{index:03}.hdf5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_say_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let new = |name: &str| Target::new(Some(at(name))).unwrap();
        assert_eq!(new("a/halos.fits"), Target::Fits(at("a/halos.fits")));
        assert_eq!(new("b"), Target::Folder(Some(at("b"))));
        assert!(at("a").is_dir() && at("b").is_dir());
        std::fs::create_dir(at("run.fits")).unwrap();
        assert_eq!(new("run.fits"), Target::Folder(Some(at("run.fits"))));
        let folder = Target::Folder(None);
        let file = |input: &str, several| folder.file(Path::new(input), ("snapshot", "halos"), "safetensors", 0.5, several);
        assert_eq!(file("s/snapshot-a1.000000.safetensors", false), Path::new("s/halos-a1.000000.safetensors"));
        assert_eq!(file("s/nbody.h5", true), Path::new("s/halos-nbody-a0.500000.safetensors"));
        assert_eq!(numbered(Path::new("x/snap.hdf5"), 2, 3), Path::new("x/snap_002.hdf5"));
        assert_eq!(numbered(Path::new("x/snap.hdf5"), 0, 1), Path::new("x/snap.hdf5"));
    }
}
