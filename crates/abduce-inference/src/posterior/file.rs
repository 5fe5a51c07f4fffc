//! The posterior's file: safetensors with a JSON document, no code.

use super::{FeatureRange, Kind, Member, NetworkArchitecture, Posterior, PosteriorError};
use crate::abc::AbcPosterior;
use crate::prior::{Prior, PriorSpec, UnconstrainedTransform};
use abduce_data::{Array, ModelFile, ParameterInfo, Standardiser};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the document says; tensors are named `nets.K.PARAMETER`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: Kind,
    name: String,
    prior: PriorSpec,
    parameters: Vec<ParameterInfo>,
    x_shape: Vec<usize>,
    transform: UnconstrainedTransform,
    theta_scale: Standardiser,
    x_scale: Standardiser,
    x_range: FeatureRange,
    nets: Vec<Net>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Net {
    architecture: NetworkArchitecture,
    signature: String,
    weight: f64,
}

impl Posterior {
    /// Writes the file; it appears complete or not at all, and the same posterior gives the same bytes.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), PosteriorError> {
        let nets = self.members.iter().zip(&self.weights);
        let document = Document {
            kind: self.kind(),
            name: self.name.clone(),
            prior: self.prior.spec().clone(),
            parameters: self.parameters.clone(),
            x_shape: self.x_shape.clone(),
            transform: self.transform.clone(),
            theta_scale: self.theta_scale.clone(),
            x_scale: self.x_scale.clone(),
            x_range: self.x_range.clone(),
            nets: nets.map(|(m, &weight)| Net { architecture: m.network.architecture(), signature: m.signature.clone(), weight }).collect(),
        };
        let invalid = |reason: String| PosteriorError::File { path: path.to_path_buf(), reason };
        let metadata = serde_json::to_value(&document).map_err(|e| invalid(e.to_string()))?;
        let mut tensors = Vec::new();
        for (k, member) in self.members.iter().enumerate() {
            for parameter in member.network.layout().parameters() {
                let values = member.params[parameter.range.clone()].to_vec();
                tensors.push((format!("nets.{k}.{}", parameter.name), Array::new(parameter.shape.clone(), values)?));
            }
        }
        Ok(ModelFile { metadata, tensors }.save(path)?)
    }

    /// Reads a file of this or an older version.
    ///
    /// # Errors
    /// The file is missing, damaged, of a newer version, or not a posterior.
    pub fn load(path: &Path) -> Result<Self, PosteriorError> {
        let file = ModelFile::load(path)?;
        let invalid = |reason: String| PosteriorError::File { path: path.to_path_buf(), reason };
        if AbcPosterior::is_in(&file) {
            return Err(invalid("an ABC sample, which has no networks".to_owned()));
        }
        let document: Document =
            serde_json::from_value(file.metadata.clone()).map_err(|e| invalid(format!("not a posterior of this program: {e}")))?;
        let (d, x_len) = (document.parameters.len(), document.x_shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b)));
        let x_len = x_len.ok_or_else(|| invalid("the shape of the data overflows".to_owned()))?;
        let prior = Prior::new(document.prior).map_err(|e| invalid(e.to_string()))?;
        let lengths = [prior.parameters(), document.transform.parameters.len(), document.theta_scale.mean().len()];
        let widths = [document.x_scale.mean().len(), document.x_range.low.len(), document.x_range.high.len()];
        if lengths.iter().any(|&l| l != d) || widths.iter().any(|&w| w != x_len) || document.nets.is_empty() {
            return Err(invalid("the numbers of parameters or features contradict each other".to_owned()));
        }
        let (mut members, mut weights) = (Vec::new(), Vec::new());
        for (k, net) in document.nets.into_iter().enumerate() {
            if net.architecture.dimensions(document.kind) != (d, x_len) {
                return Err(invalid(format!("net {k} is for other data")));
            }
            if !(net.weight.is_finite() && (0.0..=1.0 + 1e-9).contains(&net.weight)) {
                return Err(invalid(format!("net {k} has the weight {}", net.weight)));
            }
            let network =
                net.architecture.build(document.kind).ok_or_else(|| invalid(format!("net {k} is of another kind than the model")))?;
            let network = network.map_err(|e| invalid(e.to_string()))?;
            let mut params = vec![0.0; network.layout().len()];
            for parameter in network.layout().parameters() {
                let name = format!("nets.{k}.{}", parameter.name);
                let tensor = file.tensor(path, &name)?;
                if tensor.shape() != parameter.shape {
                    return Err(invalid(format!("tensor {name} has shape {:?}, expected {:?}", tensor.shape(), parameter.shape)));
                }
                params[parameter.range.clone()].copy_from_slice(tensor.data());
            }
            members.push(Member { network, params, signature: net.signature });
            weights.push(net.weight);
        }
        Ok(Self {
            name: document.name,
            prior,
            parameters: document.parameters,
            x_shape: document.x_shape,
            transform: document.transform,
            theta_scale: document.theta_scale,
            x_scale: document.x_scale,
            x_range: document.x_range,
            members,
            weights,
        })
    }
}
