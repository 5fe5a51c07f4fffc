//! Disjoint sets that several threads merge at once.

use std::sync::atomic::{AtomicU32, Ordering};

/// A forest over 0..n in which a root is the smallest member of its set, whatever the order of merges.
///
/// Every link goes from a larger to a smaller root by one compare-and-swap (Anderson & Woll 1991); paths are halved on the way up. The final
/// partition depends on the pairs alone.
pub(crate) struct UnionFind {
    parents: Vec<AtomicU32>,
}

impl UnionFind {
    pub(crate) fn new(n: u32) -> Self {
        Self { parents: (0..n).map(AtomicU32::new).collect() }
    }

    #[inline]
    pub(crate) fn find(&self, mut i: u32) -> u32 {
        loop {
            let parent = self.parents[i as usize].load(Ordering::Relaxed);
            if parent == i {
                return i;
            }
            let grandparent = self.parents[parent as usize].load(Ordering::Relaxed);
            if grandparent == parent {
                return parent;
            }
            // Another thread may have moved i higher already; parents only ever become smaller, so this can't make a cycle.
            self.parents[i as usize].store(grandparent, Ordering::Relaxed);
            i = grandparent;
        }
    }

    #[inline]
    pub(crate) fn union(&self, a: u32, b: u32) {
        let (mut a, mut b) = (self.find(a), self.find(b));
        while a != b {
            let (high, low) = if a > b { (a, b) } else { (b, a) };
            match self.parents[high as usize].compare_exchange(high, low, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(_) => {
                    a = self.find(high);
                    b = self.find(low);
                }
            }
        }
    }

    /// The root of every element.
    pub(crate) fn roots(mut self) -> Vec<u32> {
        // Parents are smaller than their children, so one pass in order finds every root.
        for i in 0..self.parents.len() {
            let parent = *self.parents[i].get_mut();
            let root = *self.parents[parent as usize].get_mut();
            *self.parents[i].get_mut() = root;
        }
        self.parents.into_iter().map(AtomicU32::into_inner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;
    use abduce_kernels::Threads;

    #[test]
    fn threads_agree_with_one_by_one() {
        let n = 20_000u32;
        let mut rng = Seed(1).stream("pairs", 0);
        let pairs: Vec<(u32, u32)> = (0..15_000).map(|_| (rng.below(n as usize) as u32, rng.below(n as usize) as u32)).collect();
        let mut plain: Vec<u32> = (0..n).collect();
        // Labels spread until nothing changes: slow and obviously right.
        loop {
            let mut changed = false;
            for &(a, b) in &pairs {
                let low = plain[a as usize].min(plain[b as usize]);
                changed |= plain[a as usize] != low || plain[b as usize] != low;
                plain[a as usize] = low;
                plain[b as usize] = low;
            }
            if !changed {
                break;
            }
        }
        for threads in [1, 4] {
            let sets = UnionFind::new(n);
            let mut parts: Vec<&[(u32, u32)]> = pairs.chunks(100).collect();
            Threads::new(threads).for_each(&mut parts, |_, part| part.iter().for_each(|&(a, b)| sets.union(a, b)));
            assert_eq!(sets.roots(), plain);
        }
    }
}
