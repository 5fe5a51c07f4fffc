//! Ionisation and temperature of the baryons: the effective three-level atoms of RECFAST 1.5.
//!
//! Hydrogen follows Peebles 1968 with the fudge factor and the two Gaussian corrections to the Lyman-α rate of RECFAST 1.5 (Seager, Sasselov &
//! Scott 1999, astro-ph/9909275; Rubiño-Martín et al. 2010, arXiv:0910.4383); helium has singlets and triplets with the escape through the
//! continuum opacity of hydrogen (Wong, Moss & Scott 2008, arXiv:0711.1357). SI units in this file. Doubly ionised helium, and both elements
//! until a little of them has recombined, follow Saha's equation. Reionisation is left out: it shifts the matter power by less than 1e-4.

use super::expansion::Expansion;
use std::f64::consts::PI;

const C: f64 = 299_792_458.0;
const K_B: f64 = 1.380_649e-23;
const H_P: f64 = 6.626_070_15e-34;
const M_E: f64 = 9.109_383_7e-31;
/// Mass of a hydrogen atom, and of helium in units of it.
pub(super) const M_H: f64 = 1.673_575e-27;
pub(super) const HELIUM_PER_HYDROGEN_MASS: f64 = 3.9715;
pub(super) const SIGMA_T: f64 = 6.652_458_7e-29;
const A_RAD: f64 = 7.565_733e-16;

// Wave numbers of transitions and ionisations in 1/m (NIST), and rates in 1/s, as in RECFAST.
const L_H_ION: f64 = 1.096_787_737e7;
const L_H_ALPHA: f64 = 8.225_916_453e6;
const L_HE1_ION: f64 = 1.983_107_72e7;
const L_HE2_ION: f64 = 4.389_088_863e7;
const L_HE_2S: f64 = 1.662_774_34e7;
const L_HE_2P: f64 = 1.711_348_91e7;
const L_HE_2PT: f64 = 1.690_871_466e7;
const L_HE_2ST: f64 = 1.598_559_752_6e7;
const L_HE_2ST_ION: f64 = 3.845_469_384_5e6;
const TWO_PHOTON_H: f64 = 8.224_580_9;
const TWO_PHOTON_HE: f64 = 51.3;
const A_2P_SINGLET: f64 = 1.798_287e9;
const A_2P_TRIPLET: f64 = 177.58;
/// Photo-ionisation cross sections of hydrogen at the two helium lines, m².
const SIGMA_SINGLET: f64 = 1.436_289e-22;
const SIGMA_TRIPLET: f64 = 1.484_872e-22;

const FUDGE_H: f64 = 1.125;
/// Amplitude, centre and width in ln(1+z) of the corrections to the Lyman-α rate.
const GAUSSIANS: [[f64; 3]; 2] = [[-0.14, 7.28, 0.18], [0.079, 6.73, 0.33]];
/// Compton heating is followed explicitly once its time exceeds this fraction of the Hubble time.
const SLOW_COMPTON: f64 = 1e-3;

/// Ionisation and temperature at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ionisation {
    /// Free electrons per hydrogen nucleus.
    pub(super) x_e: f64,
    /// Temperature of baryons, K.
    pub(super) t_matter: f64,
}

/// What the rates need to know about a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recombination<'a> {
    pub(super) expansion: &'a Expansion,
    /// Hydrogen nuclei per m³ today.
    pub(super) hydrogen: f64,
    /// Helium nuclei per hydrogen nucleus.
    pub(super) helium_ratio: f64,
    pub(super) t_cmb: f64,
}

/// Where the integration stands: hydrogen and helium ionised fractions and T.
#[derive(Clone, Copy, Debug)]
struct State {
    x_h: f64,
    x_he: f64,
    t: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Regime {
    Saha,
    HeliumRates,
    BothRates,
}

/// Temperature of a transition, hcL/k.
fn kelvin(wave_number: f64) -> f64 {
    H_P * C * wave_number / K_B
}

/// (2π m_e k T/h²)^{3/2}.
fn thermal(t: f64) -> f64 {
    let x = 2.0 * PI * (M_E / H_P) * (K_B / H_P) * t;
    x * x.sqrt()
}

/// (1 − e^{−τ})/τ, the Sobolev escape probability.
fn escape(tau: f64) -> f64 {
    if tau < 1e-7 { 1.0 - 0.5 * tau } else { -libm::expm1(-tau) / tau }
}

/// The positive root of x² + b x − c = 0 without cancellation.
fn saha_root(b: f64, c: f64) -> f64 {
    2.0 * c / (b + (b * b + 4.0 * c).sqrt())
}

impl Recombination<'_> {
    /// History at equal steps of ln a, ascending; each interval is integrated in `substeps` steps of fourth order.
    pub(super) fn history(&self, log_a: &[f64], substeps: usize) -> Vec<Ionisation> {
        let mut regime = Regime::Saha;
        let mut state = State { x_h: 1.0, x_he: 1.0, t: 0.0 };
        let mut history = Vec::with_capacity(log_a.len());
        for (i, &x) in log_a.iter().enumerate() {
            if i > 0 && regime > Regime::Saha {
                let before = log_a[i - 1];
                let step = (x - before) / substeps as f64;
                for part in 0..substeps {
                    state = self.advance(before + step * part as f64, step, state, regime);
                }
            }
            let z1 = libm::exp(-x);
            let x_e = match regime {
                Regime::Saha => {
                    let x_e = self.early_electrons(z1);
                    state.x_he = ((x_e - 1.0) / self.helium_ratio).min(1.0);
                    if z1 < 3500.0 && state.x_he < 0.99 {
                        regime = Regime::HeliumRates;
                        state.t = self.coupled_temperature(z1, x_e);
                    }
                    x_e
                }
                Regime::HeliumRates => {
                    state.x_h = self.saha_hydrogen(z1);
                    if state.x_h < 0.985 {
                        regime = Regime::BothRates;
                    }
                    state.x_h + self.helium_ratio * state.x_he
                }
                Regime::BothRates => state.x_h + self.helium_ratio * state.x_he,
            };
            let t_matter = if regime == Regime::Saha || self.compton_is_fast(z1, x_e) {
                state.t = self.coupled_temperature(z1, x_e);
                state.t
            } else {
                state.t
            };
            history.push(Ionisation { x_e, t_matter });
        }
        history
    }

    fn hydrogen_at(&self, z1: f64) -> f64 {
        self.hydrogen * z1 * z1 * z1
    }

    /// Saha's right-hand side for an ionisation energy, per hydrogen density.
    fn saha(&self, wave_number: f64, z1: f64) -> f64 {
        let t = self.t_cmb * z1;
        thermal(t) * libm::exp(-kelvin(wave_number) / t) / self.hydrogen_at(z1)
    }

    fn saha_hydrogen(&self, z1: f64) -> f64 {
        let rhs = self.saha(L_H_ION, z1);
        saha_root(rhs, rhs)
    }

    /// Electrons per hydrogen nucleus while hydrogen is ionised and helium follows Saha.
    fn early_electrons(&self, z1: f64) -> f64 {
        let f = self.helium_ratio;
        if z1 > 8001.0 {
            1.0 + 2.0 * f
        } else if z1 > 5001.0 {
            let rhs = self.saha(L_HE2_ION, z1);
            saha_root(rhs - 1.0 - f, rhs * (1.0 + 2.0 * f))
        } else if z1 > 3501.0 {
            1.0 + f
        } else {
            let rhs = 4.0 * self.saha(L_HE1_ION, z1);
            saha_root(rhs - 1.0, rhs * (1.0 + f))
        }
    }

    /// dlnT/dlna towards the radiation's temperature at full ionisation per (T_r − T)/T: (8/3)(σ_T a_r T_r⁴/(m_e c)) x_e/(1 + x_e + f)/H.
    fn compton_rate(&self, z1: f64, x_e: f64) -> f64 {
        let t2 = (self.t_cmb * z1) * (self.t_cmb * z1);
        8.0 / 3.0 * SIGMA_T / (M_E * C) * A_RAD * t2 * t2 * x_e / (1.0 + x_e + self.helium_ratio) / self.expansion.hubble_si(1.0 / z1)
    }

    fn compton_is_fast(&self, z1: f64, x_e: f64) -> bool {
        self.compton_rate(z1, x_e) > 1.0 / SLOW_COMPTON
    }

    /// T where Compton heating balances the expansion: T_r (1 − 1/rate) to first order.
    fn coupled_temperature(&self, z1: f64, x_e: f64) -> f64 {
        self.t_cmb * z1 / (1.0 + 1.0 / self.compton_rate(z1, x_e))
    }

    fn advance(&self, log_a: f64, step: f64, y: State, regime: Regime) -> State {
        let moved = |y: State, k: State, h: f64| State { x_h: y.x_h + h * k.x_h, x_he: y.x_he + h * k.x_he, t: y.t + h * k.t };
        let k1 = self.rates(log_a, y, regime);
        let k2 = self.rates(log_a + 0.5 * step, moved(y, k1, 0.5 * step), regime);
        let k3 = self.rates(log_a + 0.5 * step, moved(y, k2, 0.5 * step), regime);
        let k4 = self.rates(log_a + step, moved(y, k3, step), regime);
        let mean = |a: f64, b: f64, c: f64, d: f64| (a + 2.0 * (b + c) + d) / 6.0;
        let k = State {
            x_h: mean(k1.x_h, k2.x_h, k3.x_h, k4.x_h),
            x_he: mean(k1.x_he, k2.x_he, k3.x_he, k4.x_he),
            t: mean(k1.t, k2.t, k3.t, k4.t),
        };
        let next = moved(y, k, step);
        State { x_h: next.x_h.clamp(0.0, 1.0), x_he: next.x_he.clamp(0.0, 1.0), t: next.t }
    }

    /// Derivatives with respect to ln a.
    fn rates(&self, log_a: f64, y: State, regime: Regime) -> State {
        let z1 = libm::exp(-log_a);
        let hubble = self.expansion.hubble_si(1.0 / z1);
        let x_h = if regime == Regime::BothRates { y.x_h } else { self.saha_hydrogen(z1) };
        let x_e = x_h + self.helium_ratio * y.x_he;
        let radiation = self.t_cmb * z1;
        let coupled = self.compton_is_fast(z1, x_e);
        let t = if coupled { self.coupled_temperature(z1, x_e) } else { y.t };
        let n = self.hydrogen_at(z1);
        let d_x_h = if regime == Regime::BothRates { self.hydrogen_rate(n, x_e, x_h, t, hubble, log_a) / hubble } else { 0.0 };
        let d_x_he = if y.x_he < 1e-15 { 0.0 } else { self.helium_rate(n, x_e, x_h, y.x_he, t, hubble) / hubble };
        let d_t = if coupled { -t } else { self.compton_rate(z1, x_e) * (radiation - t) - 2.0 * t };
        State { x_h: d_x_h, x_he: d_x_he, t: d_t }
    }

    /// dx_H/dt.
    fn hydrogen_rate(&self, n: f64, x_e: f64, x_h: f64, t: f64, hubble: f64, log_a: f64) -> f64 {
        let t4 = t / 1e4;
        // Case-B recombination (Péquignot, Petitjean & Boisson 1991), m³/s.
        let down = 1e-19 * 4.309 * libm::pow(t4, -0.6166) / (1.0 + 0.6703 * libm::pow(t4, 0.5300));
        let up = down * thermal(t) * libm::exp(-kelvin(L_H_ION - L_H_ALPHA) / t);
        let correction: f64 = GAUSSIANS
            .iter()
            .map(|[amplitude, centre, width]| {
                let x = (-log_a - centre) / width;
                amplitude * libm::exp(-x * x)
            })
            .sum();
        let k = (1.0 + correction) / (8.0 * PI * L_H_ALPHA * L_H_ALPHA * L_H_ALPHA * hubble);
        let neutral = n * (1.0 - x_h).max(0.0);
        let net = x_e * x_h * n * down - up * (1.0 - x_h) * libm::exp(-kelvin(L_H_ALPHA) / t);
        let two_photon = 1.0 + k * TWO_PHOTON_H * neutral;
        -net * two_photon / (two_photon / FUDGE_H + k * up * neutral)
    }

    /// dx_He/dt: singlet and triplet channels.
    fn helium_rate(&self, n: f64, x_e: f64, x_h: f64, x_he: f64, t: f64, hubble: f64) -> f64 {
        let (root2, root1) = ((t / T_2).sqrt(), (t / T_1).sqrt());
        // Verner & Ferland 1996.
        let recombination = |q: f64, p: f64| q / (root2 * libm::pow(1.0 + root2, 1.0 - p) * libm::pow(1.0 + root1, 1.0 + p));
        let thermal = thermal(t);
        let neutral = self.helium_ratio * n * (1.0 - x_he).max(1e-15);
        let doppler_velocity = (2.0 * K_B * t / (M_H * HELIUM_PER_HYDROGEN_MASS)).sqrt();
        let neutral_hydrogen = (1.0 - x_h).max(0.0);
        // Escape through the continuum of hydrogen, in units of the line's rate (Wong et al. 2008, Eq. 25).
        let continuum = |rate: f64, line: f64, sigma: f64, fit: [f64; 2]| {
            if neutral_hydrogen < 1e-7 {
                return 0.0;
            }
            let width = doppler_velocity * line;
            let gamma = 3.0 * rate * neutral / n / (PI.sqrt() * sigma * 8.0 * PI * width * neutral_hydrogen * line * line);
            rate / (1.0 + fit[0] * libm::pow(gamma, fit[1]))
        };

        let down = recombination(Q_SINGLET, 0.711);
        let up = 4.0 * down * thermal * libm::exp(-kelvin(L_HE1_ION - L_HE_2S) / t);
        let tau = 3.0 * A_2P_SINGLET * neutral / (8.0 * PI * L_HE_2P * L_HE_2P * L_HE_2P * hubble);
        let lost = A_2P_SINGLET * escape(tau) + continuum(A_2P_SINGLET, L_HE_2P, SIGMA_SINGLET, [0.36, 0.86]);
        // K n_He(1 − x) of RECFAST, times the Boltzmann factor between 2s and 2p.
        let trapped = libm::exp((kelvin(L_HE_2P - L_HE_2S) / t).min(680.0)) / (3.0 * lost);
        let net = x_e * x_he * n * down - up * (1.0 - x_he) * libm::exp(-kelvin(L_HE_2S) / t);
        let singlet = net * (1.0 + trapped * TWO_PHOTON_HE) / (1.0 + trapped * (TWO_PHOTON_HE + up));

        let down = recombination(Q_TRIPLET, 0.761);
        let up = 4.0 / 3.0 * down * thermal * libm::exp(-kelvin(L_HE_2ST_ION) / t);
        let tau = 3.0 * A_2P_TRIPLET * neutral / (8.0 * PI * L_HE_2PT * L_HE_2PT * L_HE_2PT * hubble);
        let lost = A_2P_TRIPLET * escape(tau) + continuum(A_2P_TRIPLET, L_HE_2PT, SIGMA_TRIPLET, [0.66, 0.9]) / 3.0;
        let lost = lost * libm::exp(-kelvin(L_HE_2PT - L_HE_2ST) / t);
        let net = x_e * x_he * n * down - (1.0 - x_he) * 3.0 * up * libm::exp(-kelvin(L_HE_2ST) / t);
        let triplet = net * lost / (up + lost);
        -(singlet + triplet)
    }
}

/// Temperatures and rates of the fits to helium recombination: K, m³/s.
const T_2: f64 = 3.0;
const T_1: f64 = 130_016.957_803_329_1;
const Q_SINGLET: f64 = 1.803_017_740_859_568_8e-17;
const Q_TRIPLET: f64 = 4.943_106_868_169_239e-17;
