//! Files of estimators: safetensors with a JSON document, no code.

use super::loss::Loss;
use super::network::{EstimatorSpec, Learnt, Network};
use super::{EstimateError, Estimator, ModelComparison, Quantity};
use abduce_data::{Array, ModelFile, ParameterInfo, Standardiser};
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Serialize, Deserialize)]
#[serde(tag = "estimator", rename_all = "snake_case")]
enum Document {
    Parameters {
        quantity: Quantity,
        parameters: Vec<ParameterInfo>,
        #[serde(flatten)]
        shared: Shared,
    },
    Models {
        models: Vec<String>,
        counts: Vec<usize>,
        temperature: f64,
        #[serde(flatten)]
        shared: Shared,
    },
}

#[derive(Serialize, Deserialize)]
struct Shared {
    x_shape: Vec<usize>,
    network: EstimatorSpec,
    target_scale: Standardiser,
    x_scale: Standardiser,
    nets: usize,
}

fn write(path: &Path, document: &Document, learnt: &Learnt) -> Result<(), EstimateError> {
    let invalid = |reason: String| EstimateError::File { path: path.to_path_buf(), reason };
    let metadata = serde_json::to_value(document).map_err(|e| invalid(e.to_string()))?;
    let mut tensors = Vec::new();
    for (k, params) in learnt.params.iter().enumerate() {
        for parameter in learnt.network.layout.parameters() {
            let values = params[parameter.range.clone()].to_vec();
            tensors.push((format!("nets.{k}.{}", parameter.name), Array::new(parameter.shape.clone(), values)?));
        }
    }
    Ok(ModelFile { metadata, tensors }.save(path)?)
}

fn read(path: &Path) -> Result<(Document, ModelFile), EstimateError> {
    let file = ModelFile::load(path)?;
    let document = serde_json::from_value(file.metadata.clone())
        .map_err(|e| EstimateError::File { path: path.to_path_buf(), reason: format!("not an estimator of this program: {e}") })?;
    Ok((document, file))
}

fn learnt(path: &Path, file: &ModelFile, shared: &Shared, loss: &Loss, targets: usize) -> Result<Learnt, EstimateError> {
    let invalid = |reason: String| EstimateError::File { path: path.to_path_buf(), reason };
    let x_len = shared.x_shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let x_len = x_len.ok_or_else(|| invalid("the shape of the data overflows".to_owned()))?;
    if shared.target_scale.mean().len() != targets || shared.x_scale.mean().len() != x_len || shared.nets == 0 {
        return Err(invalid("the numbers of targets or features contradict each other".to_owned()));
    }
    let network = Network::new(&shared.network, loss, (targets, x_len))?;
    let mut all = Vec::new();
    for k in 0..shared.nets {
        let mut params = vec![0.0; network.layout.len()];
        for parameter in network.layout.parameters() {
            let name = format!("nets.{k}.{}", parameter.name);
            let tensor = file.tensor(path, &name)?;
            if tensor.shape() != parameter.shape {
                return Err(invalid(format!("tensor {name} has shape {:?}, expected {:?}", tensor.shape(), parameter.shape)));
            }
            params[parameter.range.clone()].copy_from_slice(tensor.data());
        }
        all.push(params);
    }
    Ok(Learnt { network, params: all, target_scale: shared.target_scale.clone(), x_scale: shared.x_scale.clone() })
}

fn shared(x_shape: &[usize], network: &EstimatorSpec, learnt: &Learnt) -> Shared {
    Shared {
        x_shape: x_shape.to_vec(),
        network: network.clone(),
        target_scale: learnt.target_scale.clone(),
        x_scale: learnt.x_scale.clone(),
        nets: learnt.params.len(),
    }
}

impl Estimator {
    /// Writes the file; it appears complete or not at all, and the same estimator gives the same bytes.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), EstimateError> {
        let shared = shared(&self.x_shape, &self.spec, &self.learnt);
        write(path, &Document::Parameters { quantity: self.quantity.clone(), parameters: self.parameters.clone(), shared }, &self.learnt)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is missing, damaged, of a newer version, or no estimator of parameters.
    pub fn load(path: &Path) -> Result<Self, EstimateError> {
        let (document, file) = read(path)?;
        let Document::Parameters { quantity, parameters, shared } = document else {
            return Err(EstimateError::File { path: path.to_path_buf(), reason: "it compares models".to_owned() });
        };
        let learnt = learnt(path, &file, &shared, &quantity.loss()?, parameters.len())?;
        Ok(Self { quantity, parameters, x_shape: shared.x_shape, spec: shared.network, learnt })
    }
}

impl ModelComparison {
    /// Writes the file; it appears complete or not at all, and the same comparison gives the same bytes.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), EstimateError> {
        let shared = shared(&self.x_shape, &self.spec, &self.learnt);
        let (models, counts, temperature) = (self.models.clone(), self.counts.clone(), self.temperature);
        write(path, &Document::Models { models, counts, temperature, shared }, &self.learnt)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is missing, damaged, of a newer version, or no comparison of models.
    pub fn load(path: &Path) -> Result<Self, EstimateError> {
        let (document, file) = read(path)?;
        let invalid = |reason: &str| EstimateError::File { path: path.to_path_buf(), reason: reason.to_owned() };
        let Document::Models { models, counts, temperature, shared } = document else {
            return Err(invalid("it estimates parameters"));
        };
        if counts.len() != models.len() || !(temperature > 0.0 && temperature.is_finite()) {
            return Err(invalid("the numbers of models contradict each other"));
        }
        let learnt = learnt(path, &file, &shared, &Loss::CrossEntropy, models.len())?;
        Ok(Self { models, x_shape: shared.x_shape, counts, temperature, spec: shared.network, learnt })
    }
}
