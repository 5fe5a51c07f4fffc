//! The networks of a bottleneck without their numbers: parameters come with each call.

use crate::error::BottleneckError;
use crate::head::{BinaryEntropy, ClassEntropy, GaussianScore, SquaredError};
use crate::spec::{Head, ModelSpec};
use abduce_density::append_log_prob;
use abduce_nn::layers::{OpenWidths, Told};
use abduce_nn::{Compute, Frame, Graph, GraphBuilder, Layout, evaluate};
use std::ops::Range;
use std::sync::Arc;

/// Row-major data and, for models that predict something else than their data, targets.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// x, (n, features).
    pub x: &'a [f32],
    /// y, (n, targets); `None`: y = x.
    pub y: Option<&'a [f32]>,
}

impl<'a> Rows<'a> {
    /// The targets.
    pub fn targets(&self) -> &'a [f32] {
        self.y.unwrap_or(self.x)
    }
}

/// Encoder, mask and decoder on one flat parameter vector.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    spec: ModelSpec,
    layout: Layout,
    /// x → code.
    pub(crate) encode: Arc<Graph>,
    /// (y, code, width) → score.
    pub(crate) score: Arc<Graph>,
    /// (code, width) → the decoder's output; none for densities.
    decode: Option<Arc<Graph>>,
}

impl Bottleneck {
    /// Checks the sizes and builds the graphs.
    ///
    /// # Errors
    /// A size out of range.
    pub fn new(spec: ModelSpec) -> Result<Self, BottleneckError> {
        spec.check()?;
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let x = g.input(spec.features);
        let code = spec.encoder.encoder(&mut g, x, spec.latents)?;
        let encode = Arc::new(g.finish(&[code]));

        let told = if spec.head.tells_width() { Told::WidthOver(spec.width_unit as f32) } else { Told::Nothing };
        let outputs = spec.head.outputs(spec.targets);
        let mut g = GraphBuilder::new(&mut layout);
        let (y, code, width) = (g.input(spec.targets), g.input(spec.latents), g.input(1));
        let open = g.apply(OpenWidths { fixed: 0, told }, &[code, width]);
        let score = match &spec.head {
            Head::Flow { density } => g.scoped("density", |g| append_log_prob(g, density, y, open))?,
            head => {
                let f = spec.decoder.decoder(&mut g, &[open], outputs)?;
                let features = spec.targets;
                match head {
                    Head::Bce => g.apply(BinaryEntropy { features }, &[y, f]),
                    Head::CrossEntropy { classes } => g.apply(ClassEntropy { classes: *classes }, &[y, f]),
                    Head::Gaussian => g.apply(GaussianScore { features }, &[y, f]),
                    Head::Mse | Head::Flow { .. } => g.apply(SquaredError, &[y, f]),
                }
            }
        };
        let score = Arc::new(g.finish(&[score]));
        let decode = if matches!(spec.head, Head::Flow { .. }) {
            None
        } else {
            let mut g = GraphBuilder::new(&mut layout);
            let (code, width) = (g.input(spec.latents), g.input(1));
            let open = g.apply(OpenWidths { fixed: 0, told }, &[code, width]);
            let f = spec.decoder.decoder(&mut g, &[open], outputs)?;
            Some(Arc::new(g.finish(&[f])))
        };
        Ok(Self { spec, layout, encode, score, decode })
    }

    /// What was built.
    pub const fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Names, shapes and starts of the parameters.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Codes of the rows of `x` (n, features) with all latents open: (n, K). A code of width k is its first k columns.
    pub fn encode(&self, compute: &Compute, params: &[f32], x: &[f32]) -> Vec<f32> {
        let (features, latents) = (self.spec.features, self.spec.latents);
        let mut out = vec![0.0; x.len() / features * latents];
        evaluate(
            &self.encode,
            compute,
            params,
            (&mut out, latents),
            |range, frame| rows_into(x, features, range, frame, 0, |r| r),
            |_, frame, part| rows_from(frame, part, latents),
        );
        out
    }

    /// What the decoder makes of the first `width` latents of `codes` (n, K): (n, outputs). The reconstruction or prediction for squared errors and
    /// Gaussians (their means), probabilities for the cross-entropies.
    ///
    /// # Errors
    /// The head is a density, which has draws but no output; or the width is out of range.
    pub fn decode(&self, compute: &Compute, params: &[f32], codes: &[f32], width: usize) -> Result<Vec<f32>, BottleneckError> {
        let Some(graph) = &self.decode else {
            return Err(BottleneckError::Unavailable { head: self.spec.head.name(), what: "decode" });
        };
        self.check_width(width)?;
        let latents = self.spec.latents;
        let raw = self.spec.head.outputs(self.spec.targets);
        let kept = if matches!(self.spec.head, Head::Gaussian) { self.spec.targets } else { raw };
        let mut out = vec![0.0; codes.len() / latents * kept];
        evaluate(
            graph,
            compute,
            params,
            (&mut out, kept),
            |range, frame| {
                rows_into(codes, latents, range, frame, 0, |r| r);
                frame.input_mut(1).fill(width as f32);
            },
            |_, frame, part| rows_from(frame, part, kept),
        );
        match self.spec.head {
            Head::Bce => out.iter_mut().for_each(|f| *f = 1.0 / (1.0 + (-*f).exp())),
            Head::CrossEntropy { classes } => out.chunks_exact_mut(classes).for_each(|row| {
                let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                row.iter_mut().for_each(|f| *f = (*f - top).exp());
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|f| *f /= sum);
            }),
            _ => {}
        }
        Ok(out)
    }

    /// The loss of every row at each of `widths`: (n, widths), row-major. The encoder runs once per row.
    pub fn losses(&self, compute: &Compute, params: &[f32], rows: Rows<'_>, widths: &[usize]) -> Vec<f32> {
        let codes = self.encode(compute, params, rows.x);
        let points = codes.len() / self.spec.latents;
        self.pair_losses(compute, params, &codes, rows.targets(), points * widths.len(), |r| {
            (r / widths.len(), widths[r % widths.len()] as f32)
        })
    }

    /// The losses of `count` pairs of a row and a width.
    pub(crate) fn pair_losses(
        &self,
        compute: &Compute,
        params: &[f32],
        codes: &[f32],
        y: &[f32],
        count: usize,
        pair: impl Fn(usize) -> (usize, f32) + Sync,
    ) -> Vec<f32> {
        let mut out = vec![0.0; count];
        evaluate(
            &self.score,
            compute,
            params,
            (&mut out, 1),
            |range, frame| {
                rows_into(y, self.spec.targets, range.clone(), frame, 0, |r| pair(r).0);
                rows_into(codes, self.spec.latents, range.clone(), frame, 1, |r| pair(r).0);
                let width = frame.input_mut(2);
                width.fill(0.0);
                range.enumerate().for_each(|(l, r)| width[l] = pair(r).1);
            },
            |range, frame, part| part.iter_mut().zip(&frame.output(0)[..range.len()]).for_each(|(p, s)| *p = -s),
        );
        out
    }

    /// The model cut to its first `width` latents, and its parameters: rows of the encoder's last layer and columns of the decoder's first one are
    /// dropped, nothing else, so that codes and outputs up to that width are what they were.
    ///
    /// # Errors
    /// The width is out of range, or the head is a density, whose layers read the code in several places.
    pub fn truncate(&self, params: &[f32], width: usize) -> Result<(Self, Vec<f32>), BottleneckError> {
        if matches!(self.spec.head, Head::Flow { .. }) {
            return Err(BottleneckError::Unavailable { head: self.spec.head.name(), what: "be cut" });
        }
        self.check_width(width)?;
        if width == 0 {
            return Err(BottleneckError::Size { what: "the width", value: 0, low: 1, high: self.spec.latents });
        }
        let cut = Self::new(ModelSpec { latents: width, ..self.spec.clone() })?;
        let mut out = vec![0.0; cut.layout.len()];
        for (to, from) in cut.layout.parameters().iter().zip(self.layout.parameters()) {
            let (into, source) = (&mut out[to.range.clone()], &params[from.range.clone()]);
            if to.name == "decoder.open.weight" {
                // (out, K [+ the told width]): the columns of the first latents, and that of the width.
                let (columns, all) = (to.shape[1], from.shape[1]);
                for (into, source) in into.chunks_exact_mut(columns).zip(source.chunks_exact(all)) {
                    into[..width].copy_from_slice(&source[..width]);
                    into[width..].copy_from_slice(&source[self.spec.latents..]);
                }
            } else {
                // The encoder's last weight (K, in) and bias (K) are cut behind; all others have their old length.
                into.copy_from_slice(&source[..into.len()]);
            }
        }
        Ok((cut, out))
    }

    fn check_width(&self, width: usize) -> Result<(), BottleneckError> {
        let (low, high) = (self.spec.always_open, self.spec.latents);
        if (low..=high).contains(&width) { Ok(()) } else { Err(BottleneckError::Size { what: "the width", value: width, low, high }) }
    }
}

/// Copies rows `row_of(r)`, r in `range`, of a table into input `i` of a frame; padding lanes are zero.
pub(crate) fn rows_into(table: &[f32], width: usize, range: Range<usize>, frame: &mut Frame, i: usize, row_of: impl Fn(usize) -> usize) {
    let lanes = frame.lanes();
    let input = frame.input_mut(i);
    for (f, lane) in input.chunks_exact_mut(lanes).enumerate() {
        for (to, r) in lane.iter_mut().zip(range.clone()) {
            *to = table[row_of(r) * width + f];
        }
        lane[range.len()..].fill(0.0);
    }
}

/// Copies the first `width` features of a frame's first output into rows.
fn rows_from(frame: &Frame, part: &mut [f32], width: usize) {
    let (value, lanes) = (frame.output(0), frame.lanes());
    for (r, row) in part.chunks_exact_mut(width).enumerate() {
        row.iter_mut().enumerate().for_each(|(f, to)| *to = value[f * lanes + r]);
    }
}
