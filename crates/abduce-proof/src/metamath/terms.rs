//! Syntax trees as numbers: equal trees have equal numbers, so that comparing two formulas is comparing two integers.

use super::database::StatementId;
use std::collections::HashMap;

/// Number of a tree in [`Terms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermId(pub u32);

/// A pool of trees that only grows. The head of a tree is a `$f` (a variable, without children) or a `$a` of the grammar, whose children stand in the order of its
/// mandatory variables.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    nodes: Vec<Node>,
    children: Vec<TermId>,
    slots: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    head: u32,
    first: u32,
    arity: u32,
    /// Nodes of the tree, re-used ones counted each time; at most `u32::MAX`.
    size: u32,
}

const EMPTY: u32 = u32::MAX;

fn hash(head: u32, children: &[TermId]) -> u64 {
    let mut hash = u64::from(head) ^ 0x9e37_79b9_7f4a_7c15;
    for child in children {
        hash = (hash ^ u64::from(child.0)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^= hash >> 32;
    }
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 29)
}

impl Terms {
    /// How many trees there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no tree.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The head of a tree.
    pub fn head(&self, term: TermId) -> StatementId {
        StatementId(self.nodes[term.0 as usize].head)
    }

    /// The children of a tree.
    pub fn children(&self, term: TermId) -> &[TermId] {
        let node = self.nodes[term.0 as usize];
        &self.children[node.first as usize..(node.first + node.arity) as usize]
    }

    /// Nodes of a tree, re-used ones counted each time; at most `u32::MAX`.
    pub fn size(&self, term: TermId) -> u32 {
        self.nodes[term.0 as usize].size
    }

    /// The tree with this head and these children.
    pub fn make(&mut self, head: StatementId, children: &[TermId]) -> TermId {
        if 2 * (self.nodes.len() + 1) > self.slots.len() {
            self.rehash((2 * self.slots.len()).max(64));
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(head.0, children) as usize & mask;
        loop {
            match self.slots[slot] {
                EMPTY => break,
                id => {
                    let node = self.nodes[id as usize];
                    if node.head == head.0 && self.children[node.first as usize..(node.first + node.arity) as usize] == *children {
                        return TermId(id);
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
        let size = children.iter().fold(1u32, |size, &child| size.saturating_add(self.size(child)));
        let id = self.nodes.len() as u32;
        self.slots[slot] = id;
        self.nodes.push(Node { head: head.0, first: self.children.len() as u32, arity: children.len() as u32, size });
        self.children.extend_from_slice(children);
        TermId(id)
    }

    /// Forgets all trees but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.nodes.len() {
            return;
        }
        self.children.truncate(self.nodes[len].first as usize);
        self.nodes.truncate(len);
        self.rehash(self.slots.len());
    }

    fn rehash(&mut self, size: usize) {
        self.slots.clear();
        self.slots.resize(size, EMPTY);
        let mask = size - 1;
        for (id, node) in self.nodes.iter().enumerate() {
            let children = &self.children[node.first as usize..(node.first + node.arity) as usize];
            let mut slot = hash(node.head, children) as usize & mask;
            while self.slots[slot] != EMPTY {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = id as u32;
        }
    }

    /// Every distinct tree within a tree, itself included, children before parents.
    pub fn subterms(&self, term: TermId) -> Vec<TermId> {
        let mut seen = HashMap::new();
        let mut order = Vec::new();
        let mut stack = vec![(term, 0usize)];
        seen.insert(term, ());
        while let Some((at, next)) = stack.pop() {
            match self.children(at).get(next) {
                Some(&child) => {
                    stack.push((at, next + 1));
                    if seen.insert(child, ()).is_none() {
                        stack.push((child, 0));
                    }
                }
                None => order.push(at),
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_trees_have_equal_numbers_also_after_forgetting() {
        let mut terms = Terms::default();
        let leaf: Vec<TermId> = (0..200).map(|head| terms.make(StatementId(head), &[])).collect();
        let kept = terms.len();
        let build = |terms: &mut Terms| -> Vec<TermId> {
            (0..200).map(|i| terms.make(StatementId(500), &[leaf[i], leaf[(7 * i) % 200]])).collect()
        };
        let first = build(&mut terms);
        assert_eq!(first, build(&mut terms));
        assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 200);
        terms.truncate(kept);
        assert_eq!(terms.len(), kept);
        assert_eq!(terms.make(StatementId(3), &[]), leaf[3]);
        assert_eq!(build(&mut terms), first);
        let deep = terms.make(StatementId(501), &[first[0], first[0]]);
        assert_eq!(terms.size(deep), 7);
        assert_eq!(terms.subterms(deep), [leaf[0], first[0], deep]);
    }
}
