//! A simulated universe: its model, how it is simulated, and what is measured in it.

use super::{Findings, Section};
use abduce_cosmology::Cosmology;
use abduce_cosmology::design::Placement;
use abduce_cosmology::galaxies::Hod;
use abduce_cosmology::halos::catalogue::GroupMass;
use abduce_cosmology::mesh::Scheme;
use abduce_cosmology::pm::{Kernel, ShortRange, Spacing, Stepping};
use abduce_cosmology::statistics::Interlacing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What `abduce cosmology` reads. Every stage uses its own section and those before it; all keys have defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UniverseConfig {
    /// The model.
    pub cosmology: ModelParameters,
    /// The particle-mesh run.
    pub simulation: SimulationConfig,
    /// Haloes.
    pub halos: HaloConfig,
    /// Galaxies in haloes.
    pub galaxies: Hod,
    /// What is measured.
    pub summary: SummaryConfig,
    /// Which universes a suite consists of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub design: Option<DesignConfig>,
}

/// Parameters of a flat universe; the Quijote fiducial where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelParameters {
    /// Ω_m: matter density today over the critical one.
    pub omega_m: f64,
    /// Ω_b: baryon density today over the critical one.
    pub omega_b: f64,
    /// h: the Hubble constant in units of 100 km/s/Mpc.
    pub h: f64,
    /// Slope of the primordial spectrum.
    pub n_s: f64,
    /// σ8: the root mean square of the linear density today in spheres of 8 Mpc/h.
    pub sigma8: f64,
    /// w0: pressure over density of dark energy today.
    pub w0: f64,
    /// wa: its change, w = w0 + wa (1 − a).
    pub wa: f64,
}

impl Default for ModelParameters {
    fn default() -> Self {
        Self { omega_m: 0.3175, omega_b: 0.049, h: 0.6711, n_s: 0.9624, sigma8: 0.834, w0: -1.0, wa: 0.0 }
    }
}

impl ModelParameters {
    /// The model they make.
    pub fn cosmology(&self) -> Cosmology {
        let base = Cosmology::lcdm(self.omega_m, self.omega_b, self.h, self.n_s, self.sigma8);
        Cosmology { w0: self.w0, wa: self.wa, ..base }
    }
}

/// Where the linear power spectrum comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "transfer function"))]
pub enum TransferConfig {
    /// The fit of Eisenstein & Hu (1998): instantaneous, right to some 5 %.
    #[default]
    EisensteinHu,
    /// The linear Einstein-Boltzmann equations: a second per model, right to 0.5 %.
    Boltzmann,
    /// A table of k [h/Mpc] and P [(Mpc/h)³] today, `table`, scaled to σ8.
    Table,
}

/// How initial amplitudes are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "amplitudes"))]
pub enum AmplitudeConfig {
    /// Gaussian fields.
    #[default]
    Gaussian,
    /// Every mode has the mean power; phases are random.
    Fixed,
    /// As `fixed`, with the sign of the field changed.
    FixedInverted,
}

/// A particle-mesh run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimulationConfig {
    /// Side of the box [Mpc/h].
    #[schemars(range(min = 1.0, max = 100000.0))]
    pub box_size: f64,
    /// Particles per side.
    #[schemars(range(min = 2, max = 1024))]
    pub particles: usize,
    /// Cells of the force mesh per particle and side: 1 for speed, 2 to find haloes.
    #[schemars(range(min = 1, max = 4))]
    pub mesh_factor: usize,
    /// Kernel of the force.
    pub kernel: Kernel,
    /// Forces of pairs of particles below the reach of the mesh (P³M), for haloes with cores: `{}` for the defaults. They want 40 steps or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_range: Option<ShortRange>,
    /// How steps are made.
    pub stepping: Stepping,
    /// Scale factor of the start, from second-order perturbation theory.
    #[schemars(range(min = 0.001, max = 0.9))]
    pub start: f64,
    /// Number of steps to the last redshift.
    #[schemars(range(min = 1, max = 10000))]
    pub steps: usize,
    /// Whether steps are equal in a or in ln a.
    pub spacing: Spacing,
    /// Redshifts at which the particles are kept, falling. A suite uses the last one.
    #[schemars(length(min = 1, max = 1000))]
    pub redshifts: Vec<f64>,
    /// Where the linear power spectrum comes from.
    pub transfer: TransferConfig,
    /// The table of `transfer: table`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
    /// How initial amplitudes are drawn.
    pub amplitudes: AmplitudeConfig,
    /// Seed of the initial conditions. Two runs of one seed share their large modes, whatever their meshes.
    pub seed: u64,
    /// Most memory of a run, in GiB.
    #[schemars(range(min = 0.01, max = 100000.0))]
    pub memory_gib: f64,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self {
            box_size: 250.0,
            particles: 128,
            mesh_factor: 2,
            kernel: Kernel::Optimal,
            short_range: None,
            stepping: Stepping::default(),
            start: 0.1,
            steps: 20,
            spacing: Spacing::default(),
            redshifts: vec![0.0],
            transfer: TransferConfig::default(),
            table: None,
            amplitudes: AmplitudeConfig::default(),
            seed: 0,
            memory_gib: 8.0,
        }
    }
}

/// How haloes are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "finder"))]
pub enum FinderConfig {
    /// Friends of friends.
    #[default]
    Fof,
    /// Spheres of 200 times the critical density about the densest particle of each group.
    M200c,
    /// Spheres of 200 times the mean matter density.
    M200m,
    /// Spheres of virial density (Bryan & Norman 1998).
    Mvir,
}

/// Haloes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HaloConfig {
    /// How haloes are found, and with it what their mass means.
    pub finder: FinderConfig,
    /// Linking length of friends of friends over the mean spacing of particles.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub linking: f64,
    /// Smallest number of particles of a group.
    #[schemars(range(min = 1, max = 1000000))]
    pub min_particles: usize,
    /// Mass of a friends-of-friends group.
    pub mass: GroupMass,
}

impl Default for HaloConfig {
    fn default() -> Self {
        Self { finder: FinderConfig::default(), linking: 0.2, min_particles: 20, mass: GroupMass::default() }
    }
}

/// What a suite measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "tracer"))]
pub enum TracerConfig {
    /// All particles.
    #[default]
    Matter,
    /// Haloes.
    Halos,
    /// Galaxies.
    Galaxies,
}

/// Where tracers are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "space"))]
pub enum SpaceConfig {
    /// Where they are.
    Real,
    /// Where their redshift puts them along `line_of_sight`.
    #[default]
    Redshift,
}

/// How numbers of a summary are given to a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "scale of summaries"))]
pub enum SummaryScale {
    /// ln P_0, P_l/P_0 and the reduced bispectrum Q: of order one.
    #[default]
    Ratio,
    /// P_l [(Mpc/h)³] and B [(Mpc/h)⁶].
    Plain,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SummaryConfig {
    /// What a suite measures; `abduce cosmology summary` measures what it is given.
    pub tracer: TracerConfig,
    /// Real or redshift space.
    pub space: SpaceConfig,
    /// Axis of the line of sight: 0, 1 or 2.
    #[schemars(range(max = 2))]
    pub line_of_sight: usize,
    /// Cells per side of the mesh; particles per side of the run where not given.
    #[schemars(range(min = 8, max = 2048))]
    pub mesh: Option<usize>,
    /// Mass assignment.
    pub scheme: Scheme,
    /// Interlacing.
    pub interlacing: Interlacing,
    /// Largest wave number [h/Mpc]; 0.95 of the mesh's Nyquist wave number where not given.
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1000.0))]
    pub k_max: Option<f64>,
    /// Width of bins [h/Mpc]; the fundamental wave number where not given.
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 100.0))]
    pub k_width: Option<f64>,
    /// Multipoles of the power spectrum: 0, 2, 4.
    #[schemars(length(max = 3))]
    pub multipoles: Vec<u8>,
    /// Bispectrum of all triangles, where wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bispectrum: Option<BispectrumConfig>,
    /// How numbers are given to a network.
    pub scale: SummaryScale,
}

impl Default for SummaryConfig {
    fn default() -> Self {
        Self {
            tracer: TracerConfig::default(),
            space: SpaceConfig::default(),
            line_of_sight: 2,
            mesh: None,
            scheme: Scheme::default(),
            interlacing: Interlacing::default(),
            k_max: None,
            k_width: None,
            multipoles: vec![0, 2, 4],
            bispectrum: None,
            scale: SummaryScale::default(),
        }
    }
}

/// Triangles of a bispectrum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BispectrumConfig {
    /// Width of shells [h/Mpc].
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 100.0))]
    pub width: f64,
    /// Outer edge of the last shell [h/Mpc].
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1000.0))]
    pub k_max: f64,
}

/// How the universes of a suite are placed in their ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-kind" = "placement"))]
pub enum PlacementConfig {
    /// A scrambled Sobol sequence: even, and a longer suite begins with the shorter one.
    #[default]
    Sobol,
    /// Independent and uniform; a longer suite begins with the shorter one.
    Uniform,
    /// A random Latin hypercube. Another number of universes is another design.
    LatinHypercube,
    /// A Latin hypercube whose points keep their distance. Another number of universes is another design.
    Maximin,
}

impl From<PlacementConfig> for Placement {
    fn from(config: PlacementConfig) -> Self {
        match config {
            PlacementConfig::Sobol => Self::Sobol,
            PlacementConfig::Uniform => Self::Uniform,
            PlacementConfig::LatinHypercube => Self::LatinHypercube,
            PlacementConfig::Maximin => Self::Maximin,
        }
    }
}

/// The universes of a suite: parameters drawn from ranges, everything else as in the other sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DesignConfig {
    /// Number of universes.
    #[schemars(range(min = 1, max = 100000000))]
    pub n: usize,
    /// How they are placed.
    #[serde(default)]
    pub placement: PlacementConfig,
    /// Seed of the design, and of the initial conditions: each universe has its own.
    #[serde(default)]
    pub seed: u64,
    /// What varies.
    #[schemars(length(min = 1, max = 20))]
    pub vary: Vec<RangeConfig>,
}

/// A parameter that varies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeConfig {
    /// Its key: one of `cosmology` or of `galaxies`.
    pub name: String,
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
}

impl UniverseConfig {
    /// A parameter by its key, of the sections `cosmology` and `galaxies`.
    pub fn parameter(&mut self, name: &str) -> Option<&mut f64> {
        let (c, g) = (&mut self.cosmology, &mut self.galaxies);
        Some(match name {
            "omega_m" => &mut c.omega_m,
            "omega_b" => &mut c.omega_b,
            "h" => &mut c.h,
            "n_s" => &mut c.n_s,
            "sigma8" => &mut c.sigma8,
            "w0" => &mut c.w0,
            "wa" => &mut c.wa,
            "log10_m_min" => &mut g.log10_m_min,
            "sigma" => &mut g.sigma,
            "log10_m0" => &mut g.log10_m0,
            "log10_m1" => &mut g.log10_m1,
            "alpha" => &mut g.alpha,
            "central_velocity_bias" => &mut g.central_velocity_bias,
            "satellite_velocity_bias" => &mut g.satellite_velocity_bias,
            "concentration_bias" => &mut g.concentration_bias,
            _ => return None,
        })
    }

    /// Scale factors of the redshifts, rising.
    pub fn outputs(&self) -> Vec<f64> {
        let mut a: Vec<f64> = self.simulation.redshifts.iter().map(|z| 1.0 / (1.0 + z)).collect();
        a.sort_by(f64::total_cmp);
        a.dedup();
        a
    }
}

impl Section for UniverseConfig {
    const KIND: &'static str = "universe";

    fn check(&self, findings: &mut Findings) {
        if let Err(error) = self.cosmology.cosmology().check() {
            findings.error("cosmology", &error.to_string(), "choose a model inside that range");
        }
        if let Err(error) = self.galaxies.check() {
            findings.error("galaxies", &error.to_string(), "choose a value inside that range");
        }
        let s = &self.simulation;
        for (i, z) in s.redshifts.iter().enumerate() {
            let a = 1.0 / (1.0 + z);
            if !(a > s.start && a <= 1.0) {
                let message = format!("z = {z} is a = {a:.4}, and the run goes from a = {} to 1", s.start);
                findings.error(&format!("simulation.redshifts.{i}"), &message, "give redshifts after the start, or start earlier");
            }
        }
        if let Some(short) = &s.short_range {
            if let Err(error) = short.check(s.particles * s.mesh_factor) {
                findings.error("simulation.short_range", &error.to_string(), "choose a value inside that range");
            }
            if s.kernel != Kernel::Optimal {
                let message = "a force split between mesh and pairs has the kernel `optimal`";
                findings.error("simulation.kernel", message, "leave out `kernel`, or `short_range`");
            }
        }
        match (s.transfer, &s.table) {
            (TransferConfig::Table, None) => {
                findings.error("simulation.transfer", "`transfer: table` needs a table", "add `table: FILE` with columns k and P")
            }
            (TransferConfig::Table, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                findings.error("simulation.table", "a table belongs to `transfer: table`", "add `transfer: table`, or leave it out")
            }
        }
        if let Some(bad) = self.summary.multipoles.iter().find(|l| ![0, 2, 4].contains(*l)) {
            findings.error("summary.multipoles", &format!("there is no multipole {bad}"), "multipoles are 0, 2 and 4");
        }
        if self.summary.multipoles.is_empty() && self.summary.bispectrum.is_none() {
            findings.error("summary", "nothing is measured", "add `multipoles` or a `bispectrum`");
        }
        if let Some(b) = self.summary.bispectrum
            && b.width > b.k_max
        {
            findings.error("summary.bispectrum", "the first shell is wider than k_max", "make `width` smaller");
        }
        if let Some(design) = &self.design {
            self.check_design(design, findings);
        }
    }
}

impl UniverseConfig {
    fn check_design(&self, design: &DesignConfig, findings: &mut Findings) {
        let mut corner = [self.clone(), self.clone()];
        for (i, range) in design.vary.iter().enumerate() {
            let key = format!("design.vary.{i}");
            if !(range.low < range.high && range.low.is_finite() && range.high.is_finite()) {
                findings.error(&key, &format!("{} to {} is no range", range.low, range.high), "`low` must be below `high`");
            }
            if design.vary[..i].iter().any(|other| other.name == range.name) {
                findings.error(&key, &format!("`{}` varies twice", range.name), "keep one of the two");
            }
            let of_galaxies = ModelParameters::NAMES.iter().all(|name| *name != range.name);
            if of_galaxies && self.summary.tracer != TracerConfig::Galaxies {
                let help = "measure galaxies with `summary: {tracer: galaxies}`, or leave it out";
                findings.error(&key, &format!("`{}` changes nothing that is measured", range.name), help);
            }
            for (config, value) in corner.iter_mut().zip([range.low, range.high]) {
                match config.parameter(&range.name) {
                    Some(parameter) => *parameter = value,
                    None => {
                        let help = format!("{}; or a key of `galaxies`", ModelParameters::NAMES.join(", "));
                        findings.error(&key, &format!("there is no parameter `{}`", range.name), &help);
                        return;
                    }
                }
            }
        }
        // Every limit is one of a single parameter, but for baryons, which are part of the matter.
        for config in &corner {
            if let Err(error) = config.cosmology.cosmology().check() {
                findings.error("design.vary", &format!("at an end of the ranges, {error}"), "narrow the range");
            } else if let Err(error) = config.galaxies.check() {
                findings.error("design.vary", &format!("at an end of the ranges, {error}"), "narrow the range");
            }
        }
        if corner[1].cosmology.omega_b > corner[0].cosmology.omega_m {
            findings.error("design.vary", "omega_b may exceed omega_m", "narrow one of the ranges");
        }
    }
}

impl ModelParameters {
    /// The keys, in order.
    pub const NAMES: [&'static str; 7] = ["omega_m", "omega_b", "h", "n_s", "sigma8", "w0", "wa"];
}
