//! A k-d tree for clouds of few columns.

use super::{Task, closer};
use crate::cloud::{Cloud, squared_distance};

/// Points of a leaf: below this, looking at all is faster than descending.
const LEAF: usize = 12;

/// Median splits along the widest column; the nodes lie in preorder.
pub(super) struct Tree {
    order: Vec<u32>,
    nodes: Vec<Node>,
    /// The points in the order of the leaves.
    values: Vec<f64>,
}

struct Node {
    /// Its points, a range of `order`.
    start: usize,
    end: usize,
    /// Column and value of the split and the right child; the left child follows its parent. `None` for leaves.
    split: Option<(usize, f64, usize)>,
}

impl Tree {
    pub(super) fn new(cloud: &Cloud) -> Self {
        let mut tree = Self { order: (0..cloud.rows() as u32).collect(), nodes: Vec::new(), values: Vec::new() };
        tree.build(cloud, 0, cloud.rows());
        tree.values = tree.order.iter().flat_map(|&i| cloud.point(i as usize).iter().copied()).collect();
        tree
    }

    fn build(&mut self, cloud: &Cloud, start: usize, end: usize) {
        let node = self.nodes.len();
        self.nodes.push(Node { start, end, split: None });
        if end - start <= LEAF {
            return;
        }
        let part = &mut self.order[start..end];
        let extent = |column: usize| {
            let values = part.iter().map(|&i| cloud.point(i as usize)[column]);
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            high - low
        };
        let Some(column) = (0..cloud.dims()).max_by(|&a, &b| extent(a).total_cmp(&extent(b))) else { return };
        let middle = part.len() / 2;
        let at = |i: &u32| cloud.point(*i as usize)[column];
        let (_, median, _) = part.select_nth_unstable_by(middle, |a, b| at(a).total_cmp(&at(b)).then(a.cmp(b)));
        let value = at(median);
        self.build(cloud, start, start + middle);
        let right = self.nodes.len();
        self.build(cloud, start + middle, end);
        self.nodes[node].split = Some((column, value, right));
    }

    pub(super) fn nearest(&self, cloud: &Cloud, k: usize, task: &mut Task<'_>) {
        let mut best: Vec<(f64, u32)> = Vec::with_capacity(k + 1);
        let mut offsets = vec![0.0; cloud.dims()];
        for (q, &query) in task.queries.iter().enumerate() {
            best.clear();
            self.descend(0, cloud.point(query as usize), query, 0.0, &mut offsets, k, &mut best);
            for (slot, (square, point)) in best.iter().enumerate() {
                task.distances[q * k + slot] = square.sqrt();
                task.indices[q * k + slot] = *point;
            }
        }
    }

    /// `best` holds the nearest so far, squared, sorted; `away` is the squared distance of the query from the node's cell, made of one
    /// offset per column.
    fn descend(&self, node: usize, q: &[f64], query: u32, away: f64, offsets: &mut [f64], k: usize, best: &mut Vec<(f64, u32)>) {
        let Node { start, end, split } = &self.nodes[node];
        let Some((column, value, right)) = *split else {
            for slot in *start..*end {
                let point = self.order[slot];
                let candidate = (squared_distance(q, &self.values[slot * q.len()..(slot + 1) * q.len()]), point);
                let worse = |other: &(f64, u32)| closer(other, &candidate).is_gt();
                if point != query && (best.len() < k || best.last().is_some_and(worse)) {
                    best.truncate(k - 1);
                    best.insert(best.partition_point(|other| !worse(other)), candidate);
                }
            }
            return;
        };
        let offset = q[column] - value;
        let (near, far) = if offset < 0.0 { (node + 1, right) } else { (right, node + 1) };
        self.descend(near, q, query, away, offsets, k, best);
        let before = offsets[column];
        let far_away = away - before * before + offset * offset;
        // Ties may have a smaller index on the other side; the factor covers the rounding of `far_away`.
        if best.len() < k || best.last().is_some_and(|(worst, _)| far_away * (1.0 - 1e-12) <= *worst) {
            offsets[column] = offset;
            self.descend(far, q, query, far_away, offsets, k, best);
            offsets[column] = before;
        }
    }
}
