//! Meshes and friends of friends against Pylians and scipy.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod golden;

use abduce_cosmology::halos::{FriendsOfFriends, friends_of_friends};
use abduce_cosmology::mesh::{Convention, Grid, Scheme, Weights, deposit};
use abduce_data::npy;
use abduce_kernels::Threads;
use std::collections::HashMap;

fn particles(folder: &std::path::Path) -> Vec<[f32; 3]> {
    let points = npy::read::<f32>(&folder.join("particles_pos.npy")).unwrap();
    points.data().as_chunks::<3>().0.to_vec()
}

#[test]
fn painted_meshes_have_the_statistics_of_pylians() {
    let Some(folder) = golden::folder("mesh") else { return };
    let points = particles(&folder);
    let grid = Grid::new(64, 100.0).unwrap();
    let text = std::fs::read_to_string(folder.join("mesh_stats.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (scheme, name) in Scheme::ALL.into_iter().zip(["NGP", "CIC", "TSC", "PCS"]) {
        let expected = &expected[name];
        let mesh = deposit(&points, Weights::Equal, grid, scheme, Convention::Nodes, 0.0, &Threads::new(2)).unwrap();
        assert_eq!(
            mesh,
            deposit(&points, Weights::Each(&vec![1.0; points.len()]), grid, scheme, Convention::Nodes, 0.0, &Threads::new(3)).unwrap(),
            "threads and unit weights change nothing"
        );
        let values = || mesh.iter().map(|&v| f64::from(v));
        let phase: f64 = mesh
            .iter()
            .enumerate()
            .map(|(at, &v)| {
                let (i, j, k) = (at / 4096, at / 64 % 64, at % 64);
                f64::from(v) * (std::f64::consts::TAU * (3 * i + 5 * j + 7 * k) as f64 / 64.0).cos()
            })
            .sum();
        let check = |what: &str, found: f64, tolerance: f64| {
            let expected = expected[what].as_f64().unwrap();
            assert!((found / expected - 1.0).abs() < tolerance, "{name} {what}: {found} against {expected}");
        };
        // The reference accumulates in f32: 1e-5 as its README says.
        check("sum", values().sum(), 1e-6);
        check("sum_sq", values().map(|v| v * v).sum(), 1e-5);
        check("sum_cube", values().map(|v| v * v * v).sum(), 1e-5);
        check("max", values().fold(0.0, f64::max), 1e-5);
        check("phase_sum", phase, 1e-5);
        check("n_empty", values().filter(|&v| v == 0.0).count() as f64, 1e-3);
        for (cell, value) in expected["cells"].as_object().unwrap() {
            let i: Vec<usize> = cell.split(',').map(|i| i.parse().unwrap()).collect();
            let found = f64::from(mesh[(i[0] * 64 + i[1]) * 64 + i[2]]);
            let expected = value.as_f64().unwrap();
            // The one cell that is not empty holds 2e-6 of a cube of a fraction: 1 % is the rounding of that fraction in f32.
            assert!((found - expected).abs() <= 0.01 * expected, "{name} {cell}: {found} against {expected}");
        }
    }
}

#[test]
fn groups_are_those_of_scipy() {
    let Some(folder) = golden::folder("mesh") else { return };
    let points = particles(&folder);
    // Labels below 2^53 are exact in f64.
    let expected = npy::read::<f64>(&folder.join("fof_labels.npy")).unwrap();
    let options = FriendsOfFriends { linking: 0.2, min_particles: 10 };
    let groups = friends_of_friends(&points, 100.0, &options, &Threads::new(2)).unwrap();
    assert_eq!(groups, friends_of_friends(&points, 100.0, &options, &Threads::single()).unwrap());
    // Partitions are equal where labels map one to one.
    let (mut there, mut back) = (HashMap::new(), HashMap::new());
    for (&ours, &theirs) in groups.labels.iter().zip(expected.data()) {
        assert_eq!(*there.entry(ours).or_insert(theirs as u32), theirs as u32);
        assert_eq!(*back.entry(theirs as u32).or_insert(ours), ours);
    }
    assert_eq!(there.len(), 13_909);

    let table = golden::columns(folder.join("fof_groups.csv"));
    assert_eq!(groups.len(), table["size"].len());
    let velocities = vec![[0.0; 3]; points.len()];
    let mass = abduce_cosmology::halos::catalogue::GroupMass::Count;
    let catalogue =
        abduce_cosmology::halos::catalogue::group_properties(&groups, &points, &velocities, 100.0, 1.0, mass, &Threads::new(2)).unwrap();
    for (row, &first) in table["first_member"].iter().enumerate() {
        // Equal sizes may come in another order there.
        let g = (0..groups.len()).find(|&g| f64::from(groups.members(g)[0]) == first).unwrap();
        assert_eq!(groups.members(g).len() as f64, table["size"][row]);
        for (axis, name) in ["x", "y", "z"].into_iter().enumerate() {
            let d = (f64::from(catalogue.positions[g][axis]) - table[name][row]).abs();
            // 1e-5 Mpc/h: f32 coordinates up to 100 are rounded by 4e-6.
            assert!(d.min(100.0 - d) < 1e-5, "group {g}: {d}");
        }
        assert!((f64::from(catalogue.radii_mpc_h[g]) - table["rms_radius"][row]).abs() < 1e-5);
    }
}
