//! The bispectrum: correlations of three modes that form a triangle.
//!
//! Scoccimarro's estimator (2000, astro-ph/0004086; 2015, arXiv:1506.02729): fields that keep one shell of modes each are multiplied cell by
//! cell, and the mean of the product is the sum over all triangles with sides in the shells. The product of three fields needs a mesh that
//! holds the sum of three wave vectors, often much smaller than the one that the modes came from.

use super::shells::{Content, Leg, Shell, check, fast_side, shell_field};
use super::{Modes, StatisticsError};
use crate::fft::MeshFft;
use crate::mesh::Grid;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// Three shells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Triangle {
    /// Centres of the shells k1, k2, k3 [h/Mpc].
    pub sides_h_per_mpc: [f64; 3],
}

impl Triangle {
    /// From two sides and the angle between k1 and k2: k3² = k1² + k2² + 2 k1 k2 cos θ, so θ = 0 is the longest third side.
    pub fn from_angle(k1: f64, k2: f64, theta: f64) -> Self {
        Self { sides_h_per_mpc: [k1, k2, (k1 * k1 + k2 * k2 + 2.0 * k1 * k2 * libm::cos(theta)).max(0.0).sqrt()] }
    }

    /// All k1 ≤ k2 ≤ k3 ≤ `k_max` on the grid `width/2, 3 width/2, …` of centres whose shells hold closed triangles: k3 < k1 + k2 + `width`/2.
    pub fn all(width: f64, k_max: f64) -> Vec<Self> {
        let count = ((k_max / width + 1e-9) as usize).max(1);
        let k = |i: usize| (i as f64 + 0.5) * width;
        let mut triangles = Vec::new();
        for a in 0..count {
            for b in a..count {
                // Centres close by a quarter of a bin and more where i_c ≤ i_a + i_b + 1; the sum of the centres is (a + b + 1) width.
                for c in b..count.min(a + b + 2) {
                    triangles.push(Self { sides_h_per_mpc: [k(a), k(b), k(c)] });
                }
            }
        }
        triangles
    }
}

/// Triangles prepared for many fields on one mesh: shells, the mesh of the products, and how many triangles each bin holds.
pub struct BispectrumPlan {
    grid: Grid,
    triangles: Vec<Triangle>,
    shells: Vec<Shell>,
    /// Shells of each triangle.
    sides: Vec<[usize; 3]>,
    counts: Vec<f64>,
    side: usize,
    fft: MeshFft<f32>,
    /// The axis for the quadrupole.
    line_of_sight: Option<usize>,
}

/// A measured bispectrum, one entry per triangle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bispectrum {
    /// The triangles.
    pub triangles: Vec<Triangle>,
    /// Triangles of modes in each bin, all orientations.
    pub counts: Vec<f64>,
    /// B [(Mpc/h)⁶], shot noise included.
    pub b0: Vec<f64>,
    /// B₂, 5 L₂(μ₁) about the line of sight on the first side; empty unless asked for.
    pub b2: Vec<f64>,
    /// Power of each side's shell, shot noise included [(Mpc/h)³].
    pub powers: Vec<[f64; 3]>,
    /// Power of the shot noise, 1/n̄ [(Mpc/h)³]; 0 for a field.
    pub shot_noise: f64,
}

impl Bispectrum {
    /// B − (P1 + P2 + P3)/n̄ − 1/n̄², with powers free of shot noise: the Poisson part taken out (Matarrese et al. 1997, astro-ph/9706059).
    pub fn b0_without_shot_noise(&self) -> Vec<f64> {
        let s = self.shot_noise;
        self.b0.iter().zip(&self.powers).map(|(b, p)| b - s * (p.iter().sum::<f64>() - 3.0 * s) - s * s).collect()
    }

    /// Reduced bispectrum Q = B/(P1 P2 + P2 P3 + P3 P1), all without shot noise.
    pub fn reduced(&self) -> Vec<f64> {
        let b = self.b0_without_shot_noise();
        let s = self.shot_noise;
        b.iter()
            .zip(&self.powers)
            .map(|(b, p)| {
                let [x, y, z] = p.map(|p| p - s);
                b / (x * y + y * z + z * x)
            })
            .collect()
    }
}

/// Cells per item of the sum over products; all shells of an item stay in cache.
const BLOCK: usize = 4096;

impl BispectrumPlan {
    /// Prepares `triangles` with shells k ± `half_width` (low end included) on `grid`; half the width of a shell is k_F in Pylians.
    ///
    /// With `line_of_sight` the quadrupole is measured too, at one more transform per distinct first side.
    ///
    /// # Errors
    /// A shell beyond the Nyquist wave number, no triangles, or one that can't close; a line of sight that is no axis.
    pub fn new(
        grid: Grid,
        triangles: Vec<Triangle>,
        half_width_h_per_mpc: f64,
        line_of_sight: Option<usize>,
        threads: &Threads,
    ) -> Result<Self, StatisticsError> {
        if line_of_sight.is_some_and(|axis| axis > 2) {
            let value = line_of_sight.unwrap_or(0) as f64;
            return Err(StatisticsError::Argument { name: "line_of_sight", value, reason: "an axis is 0, 1 or 2" });
        }
        if !(half_width_h_per_mpc > 0.0 && half_width_h_per_mpc.is_finite()) {
            let reason = "half the width of a shell must be positive";
            return Err(StatisticsError::Argument { name: "half_width_h_per_mpc", value: half_width_h_per_mpc, reason });
        }
        if triangles.is_empty() {
            return Err(StatisticsError::Triangle { sides: [f64::NAN; 3] });
        }
        let unit = grid.fundamental_h_per_mpc();
        let half = half_width_h_per_mpc / unit;
        let mut shells: Vec<Shell> = Vec::new();
        let mut sides = Vec::with_capacity(triangles.len());
        for triangle in &triangles {
            let mut indices = [0; 3];
            for (index, k) in indices.iter_mut().zip(triangle.sides_h_per_mpc) {
                let shell = Shell { low: k / unit - half, high: k / unit + half };
                check(shell, grid)?;
                *index = shells.iter().position(|&other| other == shell).unwrap_or_else(|| {
                    shells.push(shell);
                    shells.len() - 1
                });
            }
            sides.push(indices);
        }
        let sum = |indices: &[usize; 3]| indices.iter().map(|&s| shells[s].reach()).sum::<usize>();
        let side = fast_side(sides.iter().map(sum).max().unwrap_or(0) + 1);
        let fft = MeshFft::new([side; 3])?;
        let mut plan = Self { grid, triangles, shells, sides, counts: Vec::new(), side, fft, line_of_sight };
        let ones = plan.fields(&Content::Ones, threads)?.0;
        plan.counts = plan.products(&ones, &ones, threads).into_iter().map(f64::round).collect();
        if let Some(empty) = plan.counts.iter().position(|&count| count < 1.0) {
            return Err(StatisticsError::Triangle { sides: plan.triangles[empty].sides_h_per_mpc });
        }
        Ok(plan)
    }

    /// The bispectrum of a field on the plan's mesh; its window is divided out.
    ///
    /// # Errors
    /// The field lies on another mesh.
    pub fn measure(&self, modes: &Modes, threads: &Threads) -> Result<Bispectrum, StatisticsError> {
        if modes.grid != self.grid {
            return Err(StatisticsError::Grids { left: modes.grid, right: self.grid });
        }
        let window = modes.inverse_window();
        let content = Content::Field(modes, &window);
        let (fields, powers) = self.fields(&content, threads)?;
        let l3 = self.grid.box_size_mpc_h().powi(3);
        let n3 = self.grid.values() as f64;
        let unit = l3 * l3 / n3.powi(3);
        let b = |sums: Vec<f64>, factor: f64| sums.iter().zip(&self.counts).map(|(sum, count)| factor * unit * sum / count).collect();
        let b0 = b(self.products(&fields, &fields, threads), 1.0);
        let b2 = match self.line_of_sight {
            None => Vec::new(),
            Some(axis) => {
                let mut first = vec![Vec::new(); self.shells.len()];
                let mut work = Vec::new();
                for indices in &self.sides {
                    let s = indices[0];
                    if first[s].is_empty() {
                        first[s] =
                            shell_field(&content, self.shells[s], Leg::Quadrupole(axis), self.side, &self.fft, &mut work, threads)?.0;
                    }
                }
                b(self.products(&first, &fields, threads), 5.0)
            }
        };
        let power = |s: usize| powers[s] * l3 / (n3 * n3);
        Ok(Bispectrum {
            triangles: self.triangles.clone(),
            counts: self.counts.clone(),
            b0,
            b2,
            powers: self.sides.iter().map(|indices| indices.map(power)).collect(),
            shot_noise: modes.shot_noise,
        })
    }

    /// A field per shell, normalised by 1/side³ as the inverse transform is, and the mean |δ|² of its modes.
    fn fields(&self, content: &Content<'_>, threads: &Threads) -> Result<(Vec<Vec<f32>>, Vec<f64>), StatisticsError> {
        let mut work = Vec::new();
        let mut fields = Vec::with_capacity(self.shells.len());
        let mut powers = Vec::with_capacity(self.shells.len());
        for &shell in &self.shells {
            let (field, squares, count) = shell_field(content, shell, Leg::Plain, self.side, &self.fft, &mut work, threads)?;
            fields.push(field);
            powers.push(squares / count);
        }
        Ok((fields, powers))
    }

    /// Σ over closed triangles of the product of coefficients: side⁹ ⟨I1 I2 I3⟩ summed over cells and divided by side³.
    fn products(&self, first: &[Vec<f32>], others: &[Vec<f32>], threads: &Threads) -> Vec<f64> {
        let cells = self.side.pow(3);
        let mut blocks = vec![vec![0.0f64; self.sides.len()]; cells.div_ceil(BLOCK)];
        threads.for_each(&mut blocks, |block, sums| {
            let range = block * BLOCK..((block + 1) * BLOCK).min(cells);
            for (sum, &[a, b, c]) in sums.iter_mut().zip(&self.sides) {
                let (a, b, c) = (&first[a][range.clone()], &others[b][range.clone()], &others[c][range.clone()]);
                let mut lanes = [0.0f64; 8];
                let (a8, a_rest) = a.as_chunks::<8>();
                let (b8, b_rest) = b.as_chunks::<8>();
                let (c8, c_rest) = c.as_chunks::<8>();
                for ((a, b), c) in a8.iter().zip(b8).zip(c8) {
                    for i in 0..8 {
                        lanes[i] += f64::from(a[i] * b[i] * c[i]);
                    }
                }
                let rest: f64 = a_rest.iter().zip(b_rest).zip(c_rest).map(|((a, b), c)| f64::from(a * b * c)).sum();
                *sum = lanes.iter().sum::<f64>() + rest;
            }
        });
        let mut total = vec![0.0; self.sides.len()];
        for sums in &blocks {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let scale = (cells as f64).powi(2);
        total.iter_mut().for_each(|sum| *sum *= scale);
        total
    }
}
