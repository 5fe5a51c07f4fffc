//! The linear perturbation equations of one mode as a matrix.
//!
//! Synchronous gauge, Ma & Bertschinger 1995 (astro-ph/9506072), Eqs. 42, 43, 49, 63-66; primes are derivatives in conformal time, in 1/Mpc. Unknowns:
//! η, δ_c, δ_b, v_b = θ_b/k, photon moments F_l (F_0 = δ_γ, F_1 = 4θ_γ/3k, F_2 = 2σ_γ), polarisation moments G_l, neutrino moments N_l. The system is
//! linear, y' = A y, and A is nearly tridiagonal: moments l ≥ 3 couple to their neighbours alone. Only the *core* (l ≤ 2 and matter) is coupled
//! through the metric:
//!
//!   h' = (2/ℋ)(k²η + Σ g_i δ_i),   η' = Σ (1 + w_i) g_i θ_i/k²,   g_i = 4πG a² ρ_i.
//!
//! Inside the horizon, relativistic species that stream (or photons that have diffused away) follow the metric without oscillation (Blas,
//! Lesgourgues & Tram 2011, arXiv:1104.2933, Section 4.3): θ = −h'/2 and δ = 4(ℋh' − k²η)/k², for photons with −4κ'(θ_b + h'/2)/k² in addition.

use super::thermodynamics::Epoch;

/// Core unknowns in their order; the later ones drop out first.
pub(super) const ETA: usize = 0;
pub(super) const COLD: usize = 1;
pub(super) const BARYON: usize = 2;
pub(super) const VELOCITY: usize = 3;
pub(super) const PHOTON: usize = 4;
pub(super) const POLARISATION: usize = 7;
pub(super) const NEUTRINO: usize = 10;
pub(super) const CORE: usize = 13;
/// Core index of the moment l = 2 of the photon, polarisation and neutrino hierarchies.
pub(super) const CHAINS: [usize; 3] = [PHOTON + 2, POLARISATION + 2, NEUTRINO + 2];

/// Which relativistic species are followed moment by moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    PhotonsAndNeutrinos,
    Photons,
    None,
}

impl Followed {
    /// Number of core unknowns.
    pub(super) fn core(self) -> usize {
        match self {
            Self::PhotonsAndNeutrinos => CORE,
            Self::Photons => NEUTRINO,
            Self::None => PHOTON,
        }
    }

    /// Number of hierarchies.
    pub(super) fn chains(self) -> usize {
        match self {
            Self::PhotonsAndNeutrinos => 3,
            Self::Photons => 2,
            Self::None => 0,
        }
    }
}

/// (3/2) H0² Ω_i in 1/Mpc²: g_i = 4πG a² ρ_i is this over a for matter and over a² for radiation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Densities {
    pub(super) cold: f64,
    pub(super) baryons: f64,
    pub(super) photons: f64,
    pub(super) neutrinos: f64,
}

/// The core block of A at one time and what its chains need.
pub(super) struct Matrix {
    pub(super) core: [[f64; CORE]; CORE],
    pub(super) k: f64,
    pub(super) scattering: f64,
    pub(super) inverse_time: f64,
}

type Row = [f64; CORE];

impl Matrix {
    /// A of mode `k` (1/Mpc) at `epoch`.
    pub(super) fn new(densities: &Densities, epoch: &Epoch, k: f64, followed: Followed) -> Self {
        let Epoch { a, hubble, scattering, sound_squared, .. } = *epoch;
        let (gc, gb) = (densities.cold / a, densities.baryons / a);
        let (gp, gn) = (densities.photons / (a * a), densities.neutrinos / (a * a));
        let n = followed.core();
        let mut core = [[0.0; CORE]; CORE];

        // h' and η' as linear forms in the core.
        let mut h: Row = [0.0; CORE];
        h[ETA] = k * k;
        h[COLD] = gc;
        h[BARYON] = gb;
        // ℋ/2 − what the streaming species put on the left-hand side.
        let mut left = 0.5 * hubble;
        if followed == Followed::PhotonsAndNeutrinos {
            h[NEUTRINO] = gn;
        } else {
            h[ETA] -= 4.0 * gn;
            left -= 4.0 * gn * hubble / (k * k);
        }
        if followed == Followed::None {
            h[ETA] -= 4.0 * gp;
            h[VELOCITY] -= 4.0 * gp * scattering / k;
            left -= gp * (4.0 * hubble - 2.0 * scattering) / (k * k);
        } else {
            h[PHOTON] = gp;
        }
        h.iter_mut().for_each(|coefficient| *coefficient /= left);
        let mut eta: Row = [0.0; CORE];
        eta[VELOCITY] = gb / k;
        let mut add_flux = |density: f64, first: usize, streams: bool| {
            if streams {
                // F_1 = −2h'/(3k).
                let factor = -2.0 / 3.0 * density / (k * k);
                (0..n).for_each(|j| eta[j] += factor * h[j]);
            } else {
                eta[first + 1] += density / k;
            }
        };
        add_flux(gp, PHOTON, followed == Followed::None);
        add_flux(gn, NEUTRINO, followed != Followed::PhotonsAndNeutrinos);

        let mut add = |row: usize, form: &Row, factor: f64| (0..n).for_each(|j| core[row][j] += factor * form[j]);
        add(ETA, &eta, 1.0);
        add(COLD, &h, -0.5);
        add(BARYON, &h, -0.5);
        if followed == Followed::PhotonsAndNeutrinos {
            add(NEUTRINO, &h, -2.0 / 3.0);
            add(NEUTRINO + 2, &h, 4.0 / 15.0);
            add(NEUTRINO + 2, &eta, 1.6);
        }
        // Photons' momentum per baryons' momentum, 4ρ_γ/3ρ_b.
        let drag = 4.0 / 3.0 * gp / gb * scattering;
        if followed == Followed::None {
            add(VELOCITY, &h, -0.5 * drag / k);
        } else {
            add(PHOTON, &h, -2.0 / 3.0);
            add(PHOTON + 2, &h, 4.0 / 15.0);
            add(PHOTON + 2, &eta, 1.6);
        }

        core[BARYON][VELOCITY] -= k;
        core[VELOCITY][VELOCITY] -= hubble + drag;
        core[VELOCITY][BARYON] += sound_squared * k;
        if followed != Followed::None {
            core[VELOCITY][PHOTON + 1] += 0.75 * drag;
            free_streaming(&mut core, PHOTON, k);
            core[PHOTON + 1][VELOCITY] += 4.0 / 3.0 * scattering;
            core[PHOTON + 1][PHOTON + 1] -= scattering;
            core[PHOTON + 2][PHOTON + 2] -= 0.9 * scattering;
            core[PHOTON + 2][POLARISATION] += 0.1 * scattering;
            core[PHOTON + 2][POLARISATION + 2] += 0.1 * scattering;
            free_streaming(&mut core, POLARISATION, k);
            for l in 0..3 {
                core[POLARISATION + l][POLARISATION + l] -= scattering;
            }
            for source in [PHOTON + 2, POLARISATION, POLARISATION + 2] {
                core[POLARISATION][source] += 0.5 * scattering;
                core[POLARISATION + 2][source] += 0.1 * scattering;
            }
        }
        if followed == Followed::PhotonsAndNeutrinos {
            free_streaming(&mut core, NEUTRINO, k);
        }
        Self { core, k, scattering, inverse_time: 1.0 / epoch.time }
    }

    /// Coefficient of the moment l = 3 in the equation of l = 2.
    pub(super) fn third_moment(&self) -> f64 {
        -0.6 * self.k
    }

    /// Scattering rate that damps a chain.
    fn damping(&self, chain: usize) -> f64 {
        if chain == 2 { 0.0 } else { self.scattering }
    }

    /// Coefficients (of l − 1, l, l + 1) in the equation of moment l of a chain that ends at `last` (Ma & Bertschinger's closure, their Eq. 51).
    /// `inverse_odd` is 1/(2l + 1): a division for every moment of every stage would be a fifth of the run.
    #[inline]
    pub(super) fn moment(&self, chain: usize, l: usize, last: usize, inverse_odd: f64) -> [f64; 3] {
        let damping = self.damping(chain);
        if l == last {
            return [self.k, -(l as f64 + 1.0) * self.inverse_time - damping, 0.0];
        }
        let scale = self.k * inverse_odd;
        [scale * l as f64, -damping, -scale * (l as f64 + 1.0)]
    }
}

/// The streaming terms of moments 0 to 2 but for that of the third.
fn free_streaming(core: &mut [Row; CORE], first: usize, k: f64) {
    core[first][first + 1] -= k;
    core[first + 1][first] += k / 3.0;
    core[first + 1][first + 2] -= 2.0 / 3.0 * k;
    core[first + 2][first + 1] += 0.4 * k;
}
