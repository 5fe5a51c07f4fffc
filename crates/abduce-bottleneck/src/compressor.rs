//! A trained bottleneck in the units of the data, and its file.

use crate::error::BottleneckError;
use crate::model::{Bottleneck, Rows};
use crate::schedule::Schedule;
use crate::spec::{Head, ModelSpec};
use abduce_data::{Array, DataError, ModelFile, Scaling, Standardiser};
use abduce_nn::Compute;
use abduce_nn::widths::Weights;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The word in the file that says what it holds.
const KIND: &str = "bottleneck";

/// What is known of a trained model besides its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// How the widths counted.
    pub weights: Weights,
    /// Which widths a step saw.
    pub schedule: Schedule,
    /// Seed of the training.
    pub seed: u64,
    /// Rows trained on.
    pub training_rows: usize,
    /// Held-out rows behind `held_out`, that no choice was made by.
    pub test_rows: usize,
    /// Mean held-out loss at each width 0..K, on the scale that the networks see.
    pub held_out: Vec<f64>,
    /// That of the training rows' mean, for squared errors: the variance.
    pub mean_loss: Option<f64>,
}

/// A trained model, scales and names included: one file for every width.
#[derive(Clone, Debug)]
pub struct Compressor {
    /// The networks.
    pub model: Bottleneck,
    /// Their numbers.
    pub params: Vec<f32>,
    /// x → what the encoder sees.
    pub x_scale: Standardiser,
    /// y → what the outputs are scored against.
    pub y_scale: Standardiser,
    /// Axes of a row of x.
    pub shape: Vec<usize>,
    /// Axes of a row of y.
    pub target_shape: Vec<usize>,
    /// Names of the columns of x, where they have any.
    pub columns: Vec<String>,
    /// How it was trained.
    pub summary: Summary,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    spec: ModelSpec,
    x_scale: Standardiser,
    y_scale: Standardiser,
    shape: Vec<usize>,
    target_shape: Vec<usize>,
    columns: Vec<String>,
    summary: Summary,
}

impl Compressor {
    /// The scales of training rows: x as asked, y alike where the head is a density of real numbers and as it is where it is a probability.
    ///
    /// # Errors
    /// Rows of the wrong length, or values that are not finite.
    pub fn scales<'a>(
        spec: &ModelSpec,
        scaling: Scaling,
        x: impl Iterator<Item = &'a [f32]>,
        y: impl Iterator<Item = &'a [f32]>,
    ) -> Result<(Standardiser, Standardiser), BottleneckError> {
        let target = if matches!(spec.head, Head::Bce | Head::CrossEntropy { .. }) { Scaling::None } else { scaling };
        let x = Standardiser::fit(scaling, spec.features, x)?;
        let y = match target {
            Scaling::None => Standardiser::identity(spec.targets),
            _ => Standardiser::fit(target, spec.targets, y)?,
        };
        Ok((x, y))
    }

    /// Latents K.
    pub const fn latents(&self) -> usize {
        self.model.spec().latents
    }

    /// The first `width` latents of the rows of `x` (n, …): (n, width).
    ///
    /// # Errors
    /// Rows of another shape, or a width out of range.
    pub fn encode(&self, compute: &Compute, x: &Array, width: usize) -> Result<Array, BottleneckError> {
        let (spec, latents) = (self.model.spec(), self.latents());
        if !(1..=latents).contains(&width) {
            return Err(BottleneckError::Size { what: "the width", value: width, low: 1, high: latents });
        }
        if x.row_len() != spec.features {
            return Err(BottleneckError::Width { what: "rows of x", found: x.row_len(), expected: spec.features });
        }
        let codes = self.model.encode(compute, &self.params, &self.scaled(&self.x_scale, x.data())?);
        let cut = codes.chunks_exact(latents).flat_map(|row| row[..width].iter().copied()).collect();
        Ok(Array::new(vec![x.rows(), width], cut)?)
    }

    /// What the decoder makes of the first `width` latents of `codes` (n, at least `width`), in the units of the data: (n, …), or probabilities
    /// (n, classes).
    ///
    /// # Errors
    /// Too few latents, a width out of range, or a head without output.
    pub fn decode(&self, compute: &Compute, codes: &Array, width: usize) -> Result<Array, BottleneckError> {
        let latents = self.latents();
        if codes.row_len() < width || codes.row_len() > latents {
            return Err(BottleneckError::Width { what: "codes", found: codes.row_len(), expected: width });
        }
        let mut full = vec![0.0; codes.rows() * latents];
        for (to, from) in full.chunks_exact_mut(latents).zip(codes.data().chunks_exact(codes.row_len())) {
            to[..width].copy_from_slice(&from[..width]);
        }
        let mut out = self.model.decode(compute, &self.params, &full, width)?;
        let mut shape = vec![codes.rows()];
        match self.model.spec().head {
            Head::CrossEntropy { classes } => shape.push(classes),
            Head::Bce => shape.extend(&self.target_shape),
            _ => {
                self.y_scale.inverse(&mut out)?;
                shape.extend(&self.target_shape);
            }
        }
        Ok(Array::new(shape, out)?)
    }

    /// The loss of every row at each of `widths`, (n, widths), on the scale that the networks see; `y` is `None` where x is its own target.
    ///
    /// # Errors
    /// Rows of another shape, or values that the head can't score.
    pub fn losses(&self, compute: &Compute, x: &Array, y: Option<&Array>, widths: &[usize]) -> Result<Vec<f32>, BottleneckError> {
        let scaled = self.scaled(&self.x_scale, x.data())?;
        let targets = self.scaled(&self.y_scale, y.map_or(x.data(), Array::data))?;
        let rows = Rows { x: &scaled, y: Some(&targets) };
        crate::fit::check(&self.model, rows)?;
        Ok(self.model.losses(compute, &self.params, rows, widths))
    }

    /// The model cut to its first `width` latents; see [`Bottleneck::truncate`].
    ///
    /// # Errors
    /// The width is out of range, or the head is a density.
    pub fn truncate(&self, width: usize) -> Result<Self, BottleneckError> {
        let (model, params) = self.model.truncate(&self.params, width)?;
        let mut summary = self.summary.clone();
        summary.held_out.truncate(width + 1);
        Ok(Self { model, params, summary, ..self.clone() })
    }

    /// Writes the file; it appears complete or not at all.
    ///
    /// # Errors
    /// It can't be written.
    pub fn save(&self, path: &Path) -> Result<(), BottleneckError> {
        let document = Document {
            kind: KIND.to_owned(),
            spec: self.model.spec().clone(),
            x_scale: self.x_scale.clone(),
            y_scale: self.y_scale.clone(),
            shape: self.shape.clone(),
            target_shape: self.target_shape.clone(),
            columns: self.columns.clone(),
            summary: self.summary.clone(),
        };
        let metadata = serde_json::to_value(document).map_err(|error| wrong(path, error.to_string()))?;
        let tensor = |p: &abduce_nn::Parameter| {
            let array = Array::new(p.shape.clone(), self.params[p.range.clone()].to_vec())?;
            Ok((p.name.clone(), array))
        };
        let tensors = self.model.layout().parameters().iter().map(tensor).collect::<Result<Vec<_>, DataError>>()?;
        Ok(ModelFile { metadata, tensors }.save(path)?)
    }

    /// Whether a model file holds a bottleneck, by its document.
    pub fn is_in(file: &ModelFile) -> bool {
        file.metadata["kind"] == KIND
    }

    /// Reads a file that [`Compressor::save`] wrote.
    ///
    /// # Errors
    /// It can't be read, or holds something else.
    pub fn load(path: &Path) -> Result<Self, BottleneckError> {
        let file = ModelFile::load(path)?;
        if !Self::is_in(&file) {
            return Err(wrong(path, "holds no bottleneck: give a file that `abduce compress train` or `truncate` wrote".to_owned()));
        }
        let document: Document = serde_json::from_value(file.metadata.clone()).map_err(|error| wrong(path, error.to_string()))?;
        let model = Bottleneck::new(document.spec)?;
        let mut params = vec![0.0; model.layout().len()];
        for parameter in model.layout().parameters() {
            let tensor = file.tensor(path, &parameter.name)?;
            if tensor.shape() != parameter.shape {
                let reason = format!("`{}` has shape {:?} instead of {:?}", parameter.name, tensor.shape(), parameter.shape);
                return Err(wrong(path, reason));
            }
            params[parameter.range.clone()].copy_from_slice(tensor.data());
        }
        let spec = model.spec();
        let fits = |shape: &[usize], scale: &Standardiser, len: usize| shape.iter().product::<usize>() == len && scale.mean().len() == len;
        if !fits(&document.shape, &document.x_scale, spec.features) || !fits(&document.target_shape, &document.y_scale, spec.targets) {
            return Err(wrong(path, "its scales don't fit its networks".to_owned()));
        }
        Ok(Self {
            params,
            x_scale: document.x_scale,
            y_scale: document.y_scale,
            shape: document.shape,
            target_shape: document.target_shape,
            columns: document.columns,
            summary: document.summary,
            model,
        })
    }

    fn scaled(&self, scale: &Standardiser, rows: &[f32]) -> Result<Vec<f32>, BottleneckError> {
        let mut rows = rows.to_vec();
        scale.forward(&mut rows)?;
        Ok(rows)
    }
}

fn wrong(path: &Path, reason: String) -> BottleneckError {
    BottleneckError::File { path: path.to_path_buf(), reason }
}
