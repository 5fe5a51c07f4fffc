//! Trees of NUTS, grown leaf by leaf without recursion.
//!
//! A trajectory doubles in a random direction of time until it turns back on itself (Hoffman & Gelman 2014, J. Mach. Learn. Res. 15,
//! 1593); its point is chosen with multinomial weights e^{−H}, biased towards the newer half (Betancourt 2017, arXiv:1701.02434, A.3).
//! All subtrees of a doubling are checked for turns as its leaves arrive; one point per level has to be remembered (Phan, Pradhan & Jankowiak
//! 2019, arXiv:1912.11554, algorithm 2).

use abduce_data::Rng;

/// Energy error beyond which a trajectory counts as divergent (Stan's limit).
pub(super) const DIVERGENCE: f64 = 1000.0;

/// What becomes of a trajectory after a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Integrate on from here.
    Continue,
    /// This doubling is complete: go on from one of the ends.
    Doubled,
    /// The tree is complete.
    Done,
    /// It left the energy's level set.
    Diverged,
}

/// Position, momentum and gradient of a point in phase space, as parts of flat arrays.
#[derive(Clone, Copy)]
pub(super) struct Point<'a> {
    pub(super) q: &'a [f64],
    pub(super) p: &'a [f64],
    pub(super) g: &'a [f64],
}

/// Buffers of one chain's tree.
#[derive(Debug)]
pub(super) struct Tree {
    d: usize,
    max_depth: u32,
    depth: u32,
    /// Leaves of the current doubling so far.
    leaves: u64,
    /// −1 or 1: direction of time of the current doubling.
    direction: f64,
    /// log Σ e^{H₀ − H} of the tree and of the doubling.
    log_weight: f64,
    log_weight_new: f64,
    /// Both ends (q, p, g), earliest first: 2 × 3 × d.
    ends: Vec<f64>,
    /// The doubling's choice (q, g) and its log-density.
    choice: Vec<f64>,
    choice_log_density: f64,
    /// Remembered leaves (q, p), one per level.
    marks: Vec<f64>,
}

impl Tree {
    pub(super) fn new(d: usize, max_depth: u32) -> Self {
        Self {
            d,
            max_depth,
            depth: 0,
            leaves: 0,
            direction: 1.0,
            log_weight: 0.0,
            log_weight_new: f64::NEG_INFINITY,
            ends: vec![0.0; 6 * d],
            choice: vec![0.0; 2 * d],
            choice_log_density: 0.0,
            marks: vec![0.0; 2 * d * max_depth as usize],
        }
    }

    /// A tree of one leaf, the chain's point.
    pub(super) fn plant(&mut self, at: Point<'_>) {
        self.depth = 0;
        self.log_weight = 0.0;
        self.set_end(0, at);
        self.set_end(1, at);
    }

    fn set_end(&mut self, end: usize, at: Point<'_>) {
        let d = self.d;
        for (part, values) in [at.q, at.p, at.g].into_iter().enumerate() {
            self.ends[(3 * end + part) * d..][..d].copy_from_slice(values);
        }
    }

    fn end(&self, end: usize, part: usize) -> &[f64] {
        &self.ends[(3 * end + part) * self.d..][..self.d]
    }

    /// Begins the next doubling: copies the end that it starts from and returns the direction of time.
    pub(super) fn double(&mut self, rng: &mut Rng, q: &mut [f64], p: &mut [f64], g: &mut [f64]) -> f64 {
        let end = (rng.next_u64() & 1) as usize;
        self.direction = if end == 1 { 1.0 } else { -1.0 };
        self.leaves = 0;
        self.log_weight_new = f64::NEG_INFINITY;
        q.copy_from_slice(self.end(end, 0));
        p.copy_from_slice(self.end(end, 1));
        g.copy_from_slice(self.end(end, 2));
        self.direction
    }

    /// Takes the next leaf, of log-weight `H₀ − H` (−∞ where H is, never NaN); `chosen` (q, g, log-density) is overwritten when the tree's choice changes.
    pub(super) fn grow(
        &mut self,
        leaf: Point<'_>,
        log_density: f64,
        log_weight: f64,
        rng: &mut Rng,
        chosen: (&mut [f64], &mut [f64], &mut f64),
    ) -> Growth {
        if log_weight <= -DIVERGENCE {
            return Growth::Diverged;
        }
        let d = self.d;
        self.log_weight_new = log_add(self.log_weight_new, log_weight);
        if self.leaves == 0 || -rng.exponential() < log_weight - self.log_weight_new {
            self.choice[..d].copy_from_slice(leaf.q);
            self.choice[d..].copy_from_slice(leaf.g);
            self.choice_log_density = log_density;
        }
        if self.turned(leaf) {
            return Growth::Done;
        }
        self.leaves += 1;
        if self.leaves < 1 << self.depth {
            return Growth::Continue;
        }
        self.set_end(usize::from(self.direction > 0.0), leaf);
        if -rng.exponential() < self.log_weight_new - self.log_weight {
            chosen.0.copy_from_slice(&self.choice[..d]);
            chosen.1.copy_from_slice(&self.choice[d..]);
            *chosen.2 = self.choice_log_density;
        }
        self.log_weight = log_add(self.log_weight, self.log_weight_new);
        self.depth += 1;
        let whole = turns((self.end(0, 0), self.end(0, 1)), (self.end(1, 0), self.end(1, 1)), 1.0);
        if whole || self.depth == self.max_depth { Growth::Done } else { Growth::Doubled }
    }

    /// Leaf n even begins subtrees and is remembered at the level of its number of ones. Leaf n odd ends as many subtrees as n has trailing
    /// ones; their first leaves are the ones remembered last.
    fn turned(&mut self, leaf: Point<'_>) -> bool {
        let (n, d) = (self.leaves, self.d);
        let level = (n >> 1).count_ones() as usize;
        if n % 2 == 0 {
            let mark = &mut self.marks[2 * d * level..][..2 * d];
            mark[..d].copy_from_slice(leaf.q);
            mark[d..].copy_from_slice(leaf.p);
            return false;
        }
        let ends = n.trailing_ones() as usize;
        (level + 1 - ends..=level).rev().any(|l| {
            let mark = &self.marks[2 * d * l..][..2 * d];
            turns((&mark[..d], &mark[d..]), (leaf.q, leaf.p), self.direction)
        })
    }
}

/// Would going on at either end bring the ends nearer? (q₁ − q₀)·p ≤ 0 for the momentum of either, in the metric of the kinetic energy.
fn turns(first: (&[f64], &[f64]), last: (&[f64], &[f64]), direction: f64) -> bool {
    let (mut at_first, mut at_last) = (0.0, 0.0);
    for (((q0, p0), q1), p1) in first.0.iter().zip(first.1).zip(last.0).zip(last.1) {
        at_first += (q1 - q0) * p0;
        at_last += (q1 - q0) * p1;
    }
    at_first * direction <= 0.0 || at_last * direction <= 0.0
}

/// ln(e^a + e^b).
fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + libm::log1p(libm::exp(low - high)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// Leaves on a straight line never turn: the marks then hold, for each leaf, exactly the first leaves of the subtrees that end with it.
    #[test]
    fn every_subtree_is_checked_against_its_first_leaf() {
        let mut tree = Tree::new(1, 5);
        let mut checked = Vec::new();
        for n in 0..16u64 {
            let (q, p, g) = ([n as f64], [1.0], [0.0]);
            tree.leaves = n;
            if n % 2 == 1 {
                let level = (n >> 1).count_ones() as usize;
                for l in level + 1 - n.trailing_ones() as usize..=level {
                    checked.push((tree.marks[2 * l] as u64, n));
                }
            }
            assert!(!tree.turned(Point { q: &q, p: &p, g: &g }));
        }
        let mut expected = Vec::new();
        for size in [2u64, 4, 8, 16] {
            expected.extend((0..16).step_by(size as usize).map(|first| (first, first + size - 1)));
        }
        checked.sort_unstable();
        expected.sort_unstable();
        assert_eq!(checked, expected);
    }

    /// Equal weights on a line of 2^5 points: the choice is then a fixed function of the coins; over many trees the new half is preferred, and
    /// the depth limit ends the tree.
    #[test]
    fn the_depth_limit_ends_a_tree_that_never_turns() {
        let mut rng = Seed(1).stream("tree", 0);
        let mut tree = Tree::new(1, 5);
        let (mut q, mut p, mut g) = ([0.0], [1.0], [0.0]);
        tree.plant(Point { q: &q, p: &p, g: &g });
        let (mut chosen, mut gradient, mut value) = ([0.0], [0.0], 0.0);
        let mut leaves = 0;
        let mut direction = tree.double(&mut rng, &mut q, &mut p, &mut g);
        loop {
            q[0] += direction;
            leaves += 1;
            match tree.grow(Point { q: &q, p: &p, g: &g }, 0.0, 0.0, &mut rng, (&mut chosen, &mut gradient, &mut value)) {
                Growth::Continue => {}
                Growth::Doubled => direction = tree.double(&mut rng, &mut q, &mut p, &mut g),
                end => {
                    assert_eq!(end, Growth::Done);
                    break;
                }
            }
        }
        assert_eq!(leaves, 31);
        assert_eq!(tree.end(1, 0)[0] - tree.end(0, 0)[0], 31.0);
        assert!((tree.log_weight - 32f64.ln()).abs() < 1e-12);
        assert!(tree.end(0, 0)[0] <= chosen[0] && chosen[0] <= tree.end(1, 0)[0] && chosen[0] != 0.0);
    }
}
