//! Where the files named in a configuration are.

use std::path::{Path, PathBuf};

/// Relative paths in a file mean: below the working directory, then below the file's own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRules {
    working: PathBuf,
    folder: PathBuf,
}

/// The model of a run, after the prefix `NAME_` where the model has a name.
pub const POSTERIOR_FILE: &str = "posterior.safetensors";

impl PathRules {
    /// Rules for paths in `file`, with the program started in `working`.
    pub fn new(working: &Path, file: &Path) -> Self {
        let folder = working.join(file.parent().unwrap_or(Path::new("")));
        Self { working: working.to_path_buf(), folder }
    }

    /// The folder of the file: where a program that it names is run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The places where an input may be, first choice first.
    pub fn candidates(&self, path: &Path) -> Vec<PathBuf> {
        let mut places = vec![self.working.join(path)];
        if !path.is_absolute() && self.folder != self.working {
            places.push(self.folder.join(path));
        }
        places
    }

    /// An input: the first candidate that exists, or the first one at all, which the error of opening it will name.
    pub fn input(&self, path: &Path) -> PathBuf {
        let places = self.candidates(path);
        places.iter().find(|place| abduce_data::member::split(place).0.exists()).unwrap_or(&places[0]).clone()
    }

    /// An output: below the working directory.
    pub fn output(&self, path: &Path) -> PathBuf {
        self.working.join(path)
    }

    /// The saved posterior that a validation file names: `out_dir/posterior_file`, then `posterior_file` as given. A name ending in
    /// `.pkl` stands for the same stem with our extension; a folder is a run directory. The error lists where it was looked for.
    pub fn posterior(&self, out_dir: &Path, posterior_file: &Path) -> Result<PathBuf, Vec<PathBuf>> {
        let ours = posterior_file.with_extension("safetensors");
        let names = if posterior_file.extension().is_some_and(|extension| extension == "safetensors") {
            vec![posterior_file]
        } else {
            vec![ours.as_path(), posterior_file]
        };
        let mut looked_at = Vec::new();
        for base in [Some(out_dir), None] {
            for name in &names {
                let path = base.map_or_else(|| name.to_path_buf(), |folder| folder.join(name));
                for place in self.candidates(&path) {
                    if let Some(model) = model_at(&place) {
                        return Ok(model);
                    }
                    if !looked_at.contains(&place) {
                        looked_at.push(place);
                    }
                }
            }
        }
        Err(looked_at)
    }
}

/// The name of the model file of a run whose model is called `name`.
pub fn posterior_file_name(name: &str) -> String {
    if name.is_empty() { POSTERIOR_FILE.to_string() } else { format!("{name}_{POSTERIOR_FILE}") }
}

/// The model file at `place`: the file itself, or the only one in a run directory.
fn model_at(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        return place.extension().is_some_and(|extension| extension == "safetensors").then(|| place.to_path_buf());
    }
    let plain = place.join(POSTERIOR_FILE);
    if plain.is_file() {
        return Some(plain);
    }
    let entries = std::fs::read_dir(place).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let suffix = format!("_{POSTERIOR_FILE}");
    let mut named = entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&suffix)));
    let only = named.next()?;
    named.next().is_none().then_some(only)
}
