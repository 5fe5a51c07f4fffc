//! A network that gives one number to each pair (input, context): the part that densities and ratio classifiers share.

use abduce_kernels::transpose::features_from_rows;
use abduce_nn::{Compute, EmbeddingSpec, Frame, Graph, GraphBuilder, Layout, Purpose, Value, evaluate};
use std::ops::Range;
use std::sync::Arc;

/// A row-major table and, for each row of a batch, which of its rows is meant.
#[derive(Clone, Copy, Debug)]
pub struct Indexed<'a, F> {
    /// The table.
    pub table: &'a [f32],
    /// Row r of the batch is row `row(r)` of the table.
    pub row: F,
}

/// With respect to what a score is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The input: θ of a posterior density, x of a likelihood.
    Input,
    /// The context, through the embedding.
    Context,
}

/// (input, context) → one number per row, with the embedding of the context.
#[derive(Clone, Debug)]
pub(crate) struct Scorer {
    pub(crate) features: usize,
    pub(crate) context: usize,
    pub(crate) summaries: usize,
    /// (input, context) → score.
    pub(crate) joint: Arc<Graph>,
    /// context → summaries; `None` where the context is its own summary.
    embed: Option<Arc<Graph>>,
    /// (input, summaries) → score.
    score: Arc<Graph>,
    /// K of an ordered embedding: the graphs that hold it have the width as their last input.
    pub(crate) latents: Option<usize>,
    /// How far an ordered embedding is open when scoring and drawing.
    pub(crate) open: usize,
}

impl Scorer {
    /// Builds the three graphs on `layout`; `head` adds the score of (input, summaries) and must name its parameters alike in each.
    pub(crate) fn new(
        layout: &mut Layout,
        embedding: &EmbeddingSpec,
        (features, context): (usize, usize),
        head: impl Fn(&mut GraphBuilder<'_>, Value, Option<Value>) -> Value,
    ) -> Self {
        let summaries = if context == 0 { 0 } else { embedding.out_features(context) };
        let mut g = GraphBuilder::new(layout);
        let input = g.input(features);
        let latents = embedding.ordered_latents(context).filter(|_| context > 0);
        let embedded = |g: &mut GraphBuilder<'_>| {
            let x = g.input(context);
            let width = latents.map(|_| g.input(1));
            embedding.apply_at(g, x, width)
        };
        let c = (context > 0).then(|| embedded(&mut g));
        let score = head(&mut g, input, c);
        let joint = Arc::new(g.finish(&[score]));

        let embed = (context > 0 && *embedding != EmbeddingSpec::Identity).then(|| {
            let mut g = GraphBuilder::new(layout);
            let c = embedded(&mut g);
            Arc::new(g.finish(&[c]))
        });

        let mut g = GraphBuilder::new(layout);
        let input = g.input(features);
        let c = (context > 0).then(|| g.input(summaries));
        let value = head(&mut g, input, c);
        let score = Arc::new(g.finish(&[value]));
        Self { features, context, summaries, joint, embed, score, latents, open: latents.unwrap_or(0) }
    }

    /// Summaries of each row of `x` (n, context): (n, summaries).
    pub(crate) fn embed(&self, compute: &Compute, params: &[f32], x: &[f32]) -> Vec<f32> {
        let Some(graph) = &self.embed else { return x.to_vec() };
        let rows = x.len() / self.context;
        let mut out = vec![0.0; rows * self.summaries];
        evaluate(
            graph,
            compute,
            params,
            (&mut out, self.summaries),
            |range, frame| {
                rows_into(x, self.context, range, frame, 0, |r| r);
                self.fill_width(frame, 1);
            },
            |range, frame, part| rows_from(frame.output(0), frame.lanes(), range.len(), part),
        );
        out
    }

    /// The width of an ordered embedding into input `i`; nothing for others, whose graphs don't have it.
    fn fill_width(&self, frame: &mut Frame, i: usize) {
        if self.latents.is_some() {
            frame.input_mut(i).fill(self.open as f32);
        }
    }

    /// Scores of `rows` pairs; the context's table is embedded once.
    pub(crate) fn score(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        input: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        context: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> Vec<f32> {
        let summaries = self.embed(compute, params, context.table);
        let mut out = vec![0.0; rows];
        evaluate(
            &self.score,
            compute,
            params,
            (&mut out, 1),
            |range, frame| {
                rows_into(input.table, self.features, range.clone(), frame, 0, &input.row);
                if self.summaries > 0 {
                    rows_into(&summaries, self.summaries, range, frame, 1, &context.row);
                }
            },
            |range, frame, part| part.copy_from_slice(&frame.output(0)[..range.len()]),
        );
        out
    }

    /// Scores of `rows` pairs and their gradients by the input (rows, features) or by the context (rows, context).
    pub(crate) fn gradient(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        input: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        context: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        by: By,
    ) -> (Vec<f32>, Vec<f32>) {
        // By the input the embedding can stay out of the way; by the context it is part of the derivative.
        let (graph, place, width) = match by {
            By::Input => (&self.score, 0, self.features),
            By::Context => (&self.joint, 1, self.context),
        };
        let embedded = matches!(by, By::Input).then(|| self.embed(compute, params, context.table));
        let (table, table_width) = embedded.as_ref().map_or((context.table, self.context), |s| (s, self.summaries));
        let (mut score, mut gradient) = (vec![0.0; rows], vec![0.0; rows * width]);
        let size = graph.chunk_rows();
        let mut chunks: Vec<_> = score
            .chunks_mut(size)
            .zip(gradient.chunks_mut(size * width))
            .enumerate()
            .map(|(c, (s, g))| (c * size..c * size + s.len(), s, g))
            .collect();
        // A few segments per thread, each with one frame.
        let per_segment = chunks.len().div_ceil(4 * compute.threads.count()).max(1);
        let mut segments: Vec<_> = chunks.chunks_mut(per_segment).collect();
        compute.threads.for_each(&mut segments, |_, segment| {
            let mut frame = Frame::new(graph, Purpose::InputGradients, size);
            for (range, score, gradient) in segment.iter_mut() {
                frame.begin(range.len());
                rows_into(input.table, self.features, range.clone(), &mut frame, 0, &input.row);
                if table_width > 0 {
                    rows_into(table, table_width, range.clone(), &mut frame, 1, &context.row);
                }
                if by == By::Context {
                    self.fill_width(&mut frame, 2);
                }
                frame.forward(compute.simd, params);
                score.copy_from_slice(&frame.output(0)[..range.len()]);
                let seed = frame.output_gradient_mut(0);
                seed.fill(0.0);
                seed[..range.len()].fill(1.0);
                frame.backward(compute.simd, params, None);
                if let Some(by) = frame.input_gradient(place) {
                    rows_from(by, frame.lanes(), range.len(), gradient);
                }
            }
        });
        (score, gradient)
    }
}

/// Copies rows `row_of(r)`, r in `range`, of a row-major table into input `i` of a frame.
pub(crate) fn rows_into(table: &[f32], width: usize, range: Range<usize>, frame: &mut Frame, i: usize, row_of: impl Fn(usize) -> usize) {
    let lanes = frame.lanes();
    let input = frame.input_mut(i);
    let first = row_of(range.start);
    if (range.clone()).all(|r| row_of(r) == first + (r - range.start)) {
        features_from_rows(&table[first * width..], range.len(), width, input, lanes);
        return;
    }
    for f in 0..width {
        let lane = &mut input[f * lanes..(f + 1) * lanes];
        for (l, r) in range.clone().enumerate() {
            lane[l] = table[row_of(r) * width + f];
        }
        lane[range.len()..].fill(0.0);
    }
}

/// Copies a feature-major value's first rows into a row-major table.
pub(crate) fn rows_from(value: &[f32], lanes: usize, rows: usize, table: &mut [f32]) {
    let width = value.len() / lanes;
    for r in 0..rows {
        for f in 0..width {
            table[r * width + f] = value[f * lanes + r];
        }
    }
}
