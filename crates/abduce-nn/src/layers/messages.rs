//! Message passing over point clouds: who is whose neighbour, pairs of neighbours as a tensor, and their messages brought back.
//!
//! A cloud of n points is a grid of one axis. Its pairs are a grid (n, k): k places for each point's neighbours, of which those that don't exist have
//! weight 0. Messages are then what any layer makes of the pairs, and shapes stay static.

use crate::graph::GraphBuilder;
use crate::layer::{Backward, Form, Forward, Layer};
use crate::layers::conv::ShapeError;
use crate::layers::grid::Grid;
use abduce_kernels::elementwise::Update;
use std::sync::Arc;

/// Who is whose neighbour.
#[derive(Clone, Debug, PartialEq)]
pub enum Neighbourhood {
    /// The nearest `most` other points within `radius` (infinite: the nearest of all).
    Near {
        /// Places for neighbours.
        most: usize,
        /// Largest distance, in units of the coordinates.
        radius: f32,
        /// Length of the periodic box along each axis; `None`: open space.
        period: Option<f32>,
    },
    /// The same edges for every cloud: `edges[i]` lists the neighbours of point i.
    Given(Arc<Vec<Vec<usize>>>),
}

/// From coordinates to pairs: for each point and place the neighbour's number, whether it exists (1 or 0), the displacement from the point to it, and
/// its length. Coordinates are data: nothing is differentiated by them here.
#[derive(Clone, Debug)]
pub struct Neighbours {
    rule: Neighbourhood,
    points: usize,
    channels: usize,
    axes: usize,
    places: usize,
}

/// Channels of a list of pairs before the displacement.
const HEAD: usize = 2;

impl Neighbours {
    /// Adds the layer on a cloud whose first `axes` channels are coordinates. The result is a grid (points, places) of 3 + `axes` channels.
    ///
    /// # Errors
    /// There are fewer channels than axes, no places, or given edges that name points which don't exist.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, cloud: &Grid, axes: usize, rule: Neighbourhood) -> Result<Grid, ShapeError> {
        let points = cloud.positions();
        let places = match &rule {
            Neighbourhood::Near { most, .. } => (*most).min(points.saturating_sub(1)),
            Neighbourhood::Given(edges) => {
                if edges.len() != points || edges.iter().flatten().any(|&j| j >= points) {
                    return Err(ShapeError::Entries { what: "edges", found: edges.len(), expected: points });
                }
                edges.iter().map(Vec::len).max().unwrap_or(0)
            }
        };
        if places == 0 {
            return Err(ShapeError::Zero { layer: name.to_owned(), what: "the number of neighbours" });
        }
        if axes == 0 || axes > cloud.channels {
            return Err(ShapeError::Entries { what: "coordinates", found: cloud.channels, expected: axes });
        }
        let layer = Self { rule, points, channels: cloud.channels, axes, places };
        Ok(Grid { value: g.apply(layer, &[cloud.value]), extent: vec![points, places], channels: HEAD + axes + 1 })
    }

    fn displacement(&self, from: &[f32], to: &[f32], axis: usize) -> f32 {
        let d = to[axis] - from[axis];
        match self.rule {
            Neighbourhood::Near { period: Some(period), .. } => d - period * (d / period).round(),
            _ => d,
        }
    }

    fn square(&self, from: &[f32], to: &[f32]) -> f32 {
        (0..self.axes).map(|a| self.displacement(from, to, a).powi(2)).sum()
    }
}

impl Layer for Neighbours {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.points * self.places * (HEAD + self.axes + 1)]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "a cloud is a tensor");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    /// Square distances and numbers of the places of one point.
    fn scratch_len(&self) -> usize {
        2 * self.places
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (c, width) = (self.channels, HEAD + self.axes + 1);
        let clouds = at.inputs.get(0).chunks_exact(self.points * c).zip(at.outputs[0].chunks_exact_mut(self.points * self.places * width));
        for (cloud, pairs) in clouds {
            for (i, pairs) in pairs.chunks_exact_mut(self.places * width).enumerate() {
                let own = &cloud[i * c..(i + 1) * c];
                pairs.fill(0.0);
                let (squares, numbers) = at.scratch[..2 * self.places].split_at_mut(self.places);
                let count = match &self.rule {
                    Neighbourhood::Given(edges) => {
                        edges[i].iter().zip(numbers.iter_mut()).for_each(|(&j, number)| *number = j as f32);
                        edges[i].len()
                    }
                    Neighbourhood::Near { radius, .. } => {
                        // Insertion into the sorted places; among equal distances the lower number comes first.
                        let mut count = 0;
                        for (j, other) in cloud.chunks_exact(c).enumerate().filter(|&(j, _)| j != i) {
                            let square = self.square(own, other);
                            if square > radius * radius || (count == self.places && square >= squares[count - 1]) {
                                continue;
                            }
                            count = (count + 1).min(self.places);
                            let mut place = count - 1;
                            while place > 0 && squares[place - 1] > square {
                                (squares[place], numbers[place]) = (squares[place - 1], numbers[place - 1]);
                                place -= 1;
                            }
                            (squares[place], numbers[place]) = (square, j as f32);
                        }
                        count
                    }
                };
                for (pair, &number) in pairs.chunks_exact_mut(width).zip(&numbers[..count]) {
                    let other = &cloud[number as usize * c..][..c];
                    (pair[0], pair[1]) = (number, 1.0);
                    for axis in 0..self.axes {
                        pair[HEAD + axis] = self.displacement(own, other, axis);
                    }
                    pair[HEAD + self.axes] = self.square(own, other).sqrt();
                }
            }
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        if let Some(slot) = &mut at.grad_inputs[0]
            && slot.update == Update::Overwrite
        {
            slot.data.fill(0.0);
        }
    }
}

/// Pairs as tensors: the channels of the point, of its neighbour, the displacement and the distance; zeros where there is no neighbour.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    channels: usize,
    places: usize,
    /// Channels of the list of neighbours.
    list: usize,
}

impl Pairs {
    /// Adds the layer on points (n) of any channels and their neighbours from [`Neighbours`].
    pub fn apply(g: &mut GraphBuilder<'_>, points: &Grid, neighbours: &Grid) -> Grid {
        let layer = Self { channels: points.channels, places: neighbours.extent[1], list: neighbours.channels };
        let channels = 2 * points.channels + neighbours.channels - HEAD;
        Grid { value: g.apply(layer, &[points.value, neighbours.value]), extent: neighbours.extent.clone(), channels }
    }

    const fn width(&self) -> usize {
        2 * self.channels + self.list - HEAD
    }

    fn points(&self, features: usize) -> usize {
        features / self.channels
    }
}

impl Layer for Pairs {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![self.points(inputs[0]) * self.places * self.width()]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows; 2], "pairs are made of tensors");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (c, all) = (self.channels, at.inputs.get(0).len() / at.rows.max(1));
        let pairs = at.inputs.get(1).chunks_exact(self.list).zip(at.outputs[0].chunks_exact_mut(self.width()));
        for (p, (pair, y)) in pairs.enumerate() {
            if pair[1] == 0.0 {
                y.fill(0.0);
                continue;
            }
            // Points of all rows are numbered through.
            let (point, first) = (p / self.places, p / self.places / (all / c) * (all / c));
            let x = at.inputs.get(0);
            y[..c].copy_from_slice(&x[point * c..][..c]);
            y[c..2 * c].copy_from_slice(&x[(first + pair[0] as usize) * c..][..c]);
            y[2 * c..].copy_from_slice(&pair[HEAD..]);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (c, all) = (self.channels, at.inputs.get(0).len() / at.rows.max(1));
        let [by_points, by_list] = at.grad_inputs else { return };
        for slot in [&mut *by_points, by_list].into_iter().flatten() {
            if slot.update == Update::Overwrite {
                slot.data.fill(0.0);
            }
        }
        let pairs = at.inputs.get(1).chunks_exact(self.list).zip(at.grad_outputs.get(0).chunks_exact(self.width()));
        for (p, (pair, dy)) in pairs.enumerate().filter(|(_, (pair, _))| pair[1] != 0.0) {
            let (point, first) = (p / self.places, p / self.places / (all / c) * (all / c));
            if let Some(slot) = by_points {
                for (place, part) in [(point, &dy[..c]), (first + pair[0] as usize, &dy[c..2 * c])] {
                    slot.data[place * c..][..c].iter_mut().zip(part).for_each(|(d, g)| *d += g);
                }
            }
            if let Some(slot) = by_list {
                let to = &mut slot.data[p * self.list + HEAD..(p + 1) * self.list];
                to.iter_mut().zip(&dy[2 * c..]).for_each(|(d, g)| *d += g);
            }
        }
    }
}

/// How the messages of a point's neighbours become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathering {
    /// Their sum.
    Sum,
    /// Their mean; 0 where there is no neighbour.
    Mean,
}

/// Messages (n, k) → points (n), over the neighbours that exist.
#[derive(Clone, Copy, Debug)]
pub struct Collect {
    gathering: Gathering,
    channels: usize,
    places: usize,
    list: usize,
}

impl Collect {
    /// Adds the layer on messages and the list of neighbours that they belong to.
    pub fn apply(g: &mut GraphBuilder<'_>, messages: &Grid, neighbours: &Grid, gathering: Gathering) -> Grid {
        let layer = Self { gathering, channels: messages.channels, places: messages.extent[1], list: neighbours.channels };
        Grid { value: g.apply(layer, &[messages.value, neighbours.value]), extent: vec![messages.extent[0]], channels: messages.channels }
    }

    fn scale(&self, list: &[f32]) -> f32 {
        let count = list.chunks_exact(self.list).filter(|pair| pair[1] != 0.0).count();
        match self.gathering {
            Gathering::Sum => 1.0,
            Gathering::Mean => 1.0 / count.max(1) as f32,
        }
    }
}

impl Layer for Collect {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0] / self.places]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows; 2], "messages are tensors");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (c, k) = (self.channels, self.places);
        let points = at.inputs.get(0).chunks_exact(k * c).zip(at.inputs.get(1).chunks_exact(k * self.list));
        for ((messages, list), y) in points.zip(at.outputs[0].chunks_exact_mut(c)) {
            y.fill(0.0);
            let scale = self.scale(list);
            for (message, pair) in messages.chunks_exact(c).zip(list.chunks_exact(self.list)) {
                if pair[1] != 0.0 {
                    y.iter_mut().zip(message).for_each(|(y, m)| *y += scale * m);
                }
            }
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (c, k) = (self.channels, self.places);
        for slot in at.grad_inputs.iter_mut().flatten() {
            if slot.update == Update::Overwrite {
                slot.data.fill(0.0);
            }
        }
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        let points = slot.data.chunks_exact_mut(k * c).zip(at.inputs.get(1).chunks_exact(k * self.list));
        for ((messages, list), dy) in points.zip(at.grad_outputs.get(0).chunks_exact(c)) {
            let scale = self.scale(list);
            for (message, pair) in messages.chunks_exact_mut(c).zip(list.chunks_exact(self.list)) {
                if pair[1] != 0.0 {
                    message.iter_mut().zip(dy).for_each(|(m, g)| *m += scale * g);
                }
            }
        }
    }
}
