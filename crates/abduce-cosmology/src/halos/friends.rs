//! Friends of friends: particles closer than a linking length belong together.

use super::HaloError;
use super::rows::Rows;
use super::union_find::UnionFind;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// How groups are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FriendsOfFriends {
    /// Linking length in units of the mean spacing L/N_p^{1/3}.
    pub linking: f64,
    /// Smallest group that is kept.
    pub min_particles: usize,
}

impl Default for FriendsOfFriends {
    /// b = 0.2 (Davis et al. 1985) and 20 particles.
    fn default() -> Self {
        Self { linking: 0.2, min_particles: 20 }
    }
}

impl FriendsOfFriends {
    /// The linking length b L/n^{1/3} [Mpc/h].
    pub fn length_mpc_h(&self, particles: usize, box_size_mpc_h: f64) -> f64 {
        self.linking * box_size_mpc_h / libm::cbrt(particles as f64)
    }
}

/// A partition of particles into groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// For each particle the smallest index of its group's members: the group's label.
    pub labels: Vec<u32>,
    /// Members of the groups that were kept, group by group, in ascending order within a group.
    pub members: Vec<u32>,
    /// Group g has the members `starts[g]..starts[g + 1]`. Groups come by falling size, equal ones by rising label.
    pub starts: Vec<usize>,
}

impl Groups {
    /// Number of groups that were kept.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether no group was kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Indices of the members of group `g`, ascending. Panics outside 0..len.
    pub fn members(&self, g: usize) -> &[u32] {
        &self.members[self.starts[g]..self.starts[g + 1]]
    }
}

/// Rows per axis beyond which a finer sort costs more than it spares: a few per particle.
fn most_rows(particles: usize) -> usize {
    (libm::sqrt(particles as f64 * 2.0) as usize).max(4)
}

/// Groups of particles linked by pairs with separation ≤ b L/n^{1/3} in the periodic box; separations in f64.
///
/// `points` (n, 3) [Mpc/h] in [0, L]. The result depends on the points alone, not on threads.
///
/// Particles are sorted into rows along the third axis whose cross-section is the linking length, and each row is swept against itself and half
/// of its eight neighbours: O(n) for bounded densities.
///
/// # Errors
/// A point that is not finite or not in the box, more than 2³² − 1 points, or a linking length that is not positive and below L/2.
pub fn friends_of_friends(
    points: &[[f32; 3]],
    box_size_mpc_h: f64,
    options: &FriendsOfFriends,
    threads: &Threads,
) -> Result<Groups, HaloError> {
    let count = u32::try_from(points.len()).map_err(|_| HaloError::TooMany { count: points.len() })?;
    if count == 0 {
        return Ok(Groups { labels: Vec::new(), members: Vec::new(), starts: vec![0] });
    }
    let length_mpc_h = options.length_mpc_h(points.len(), box_size_mpc_h);
    if !(length_mpc_h > 0.0 && length_mpc_h < 0.5 * box_size_mpc_h) {
        return Err(HaloError::LinkingLength { length_mpc_h, box_size_mpc_h });
    }
    let rows = Rows::new(points, box_size_mpc_h, length_mpc_h, most_rows(points.len()), threads)?;
    let sets = UnionFind::new(count);
    let mut planes = vec![(); rows.per_axis];
    threads.for_each(&mut planes, |i, ()| {
        let linked = |a: usize, b: usize| sets.find(a as u32) == sets.find(b as u32);
        rows.pairs_of_plane(i, length_mpc_h, linked, |a, b, _| sets.union(a as u32, b as u32));
    });
    let roots = sets.roots();

    // From places in the sorted order to the smallest particle of each group.
    let mut smallest = vec![u32::MAX; points.len()];
    let mut sizes = vec![0u32; points.len()];
    for (place, &root) in roots.iter().enumerate() {
        let least = &mut smallest[root as usize];
        *least = (*least).min(rows.indices[place]);
        sizes[root as usize] += 1;
    }
    let mut labels = vec![0u32; points.len()];
    for (place, &root) in roots.iter().enumerate() {
        labels[rows.indices[place] as usize] = smallest[root as usize];
    }
    let mut kept: Vec<(u32, u32)> = Vec::new();
    for root in 0..points.len() {
        if sizes[root] as usize >= options.min_particles.max(1) {
            kept.push((sizes[root], smallest[root]));
        }
    }
    kept.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut starts = vec![0usize];
    // The place behind the last member of the group with this label, so far.
    let mut next = vec![usize::MAX; points.len()];
    let mut total = 0;
    for &(size, label) in &kept {
        next[label as usize] = total;
        total += size as usize;
        starts.push(total);
    }
    let mut members = vec![0u32; total];
    for (i, &label) in labels.iter().enumerate() {
        let at = &mut next[label as usize];
        if *at != usize::MAX {
            members[*at] = i as u32;
            *at += 1;
        }
    }
    Ok(Groups { labels, members, starts })
}
