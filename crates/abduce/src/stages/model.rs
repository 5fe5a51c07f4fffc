//! What training left: networks, or the sample of ABC.

use crate::error::Error;
use abduce_data::{ModelFile, ParameterInfo};
use abduce_inference::abc::AbcPosterior;
use abduce_inference::posterior::Posterior;
use abduce_inference::prior::Prior;
use std::path::Path;

/// A model file.
#[derive(Clone, Debug)]
pub enum Model {
    /// Networks, for any observation.
    Networks(Box<Posterior>),
    /// Accepted parameters, for one.
    Sample(Box<AbcPosterior>),
}

impl Model {
    /// Reads a file of either kind.
    ///
    /// # Errors
    /// The file is missing, damaged, of a newer version, or neither.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = ModelFile::load(path)?;
        if AbcPosterior::is_in(&file) {
            return Ok(Self::Sample(Box::new(AbcPosterior::of_file(&file, path)?)));
        }
        Ok(Self::Networks(Box::new(Posterior::load(path)?)))
    }

    /// The networks, for what only they can do.
    ///
    /// # Errors
    /// There are none.
    pub fn networks(self, purpose: &str) -> Result<Posterior, Error> {
        match self {
            Self::Networks(posterior) => Ok(*posterior),
            Self::Sample(_) => Err(Error::failed(
                format!("this run holds an ABC sample, which knows the posterior of one observation: it can't be used to {purpose}"),
                "draw from it with `abduce sample`, check it with `abduce predict`, or train an engine with nets",
            )),
        }
    }

    /// Names, units and labels of the parameters.
    pub fn parameters(&self) -> &[ParameterInfo] {
        match self {
            Self::Networks(posterior) => &posterior.parameters,
            Self::Sample(abc) => &abc.parameters,
        }
    }

    /// The prior.
    pub fn prior(&self) -> &Prior {
        match self {
            Self::Networks(posterior) => &posterior.prior,
            Self::Sample(abc) => &abc.prior,
        }
    }

    /// Shape of one datum.
    pub fn x_shape(&self) -> &[usize] {
        match self {
            Self::Networks(posterior) => &posterior.x_shape,
            Self::Sample(abc) => &abc.x_shape,
        }
    }
}
