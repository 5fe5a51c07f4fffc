//! The linear power spectrum of matter today, from a fit, a Boltzmann code or a table.
//!
//!   P(k) = A k^{n_s} T(k)²,   σ8² = ∫ dlnk k³P/(2π²) W(8k)²,   W(x) = 3 (sin x − x cos x)/x³.

mod eisenstein_hu;
mod table;
mod variance;

pub use eisenstein_hu::EisensteinHu;
pub use table::read_table;
pub use variance::TopHatVariance;

use crate::cosmology::{Amplitude, Cosmology};
use crate::error::{CosmologyError, Result, positive, same_length};
use crate::spline::CubicSpline;

/// Wave numbers in h/Mpc between which computed spectra are tabulated; beyond them they go on as power laws.
pub const K_RANGE_H_PER_MPC: [f64; 2] = [1e-5, 1e3];
/// Points per factor of e of such tables: 10 to an acoustic oscillation at k = 0.4 h/Mpc, where they fade; spline errors stay below 1e-5.
const POINTS_PER_E_FOLD: f64 = 120.0;

/// Which of the fits of Eisenstein & Hu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oscillations {
    /// With baryon acoustic oscillations.
    Wiggles,
    /// Through their middle.
    Smooth,
}

/// P(k) of linear theory at z = 0: a cubic spline in (ln k, ln P), power laws beyond its ends.
#[derive(Clone, Debug)]
pub struct LinearPower {
    log_p_of_log_k: CubicSpline,
}

impl LinearPower {
    /// The spectrum through a table of k in h/Mpc and P in (Mpc/h)³, as it is.
    ///
    /// # Errors
    /// Fewer than four rows, k that do not rise, numbers that are not positive and finite.
    pub fn from_table(k_h_per_mpc: &[f64], p: &[f64]) -> Result<Self> {
        same_length("P", p.len(), k_h_per_mpc.len())?;
        let logs = |what, values: &[f64]| values.iter().map(|&v| Ok(libm::log(positive(what, v)?))).collect::<Result<Vec<f64>>>();
        Ok(Self { log_p_of_log_k: CubicSpline::new(logs("k in the table", k_h_per_mpc)?, logs("P in the table", p)?)? })
    }

    /// The fit of Eisenstein & Hu 1998, scaled to the model's σ8.
    ///
    /// # Errors
    /// Parameters out of range, or an amplitude of the primordial curvature: the fit knows shapes only.
    pub fn eisenstein_hu(cosmology: &Cosmology, oscillations: Oscillations) -> Result<Self> {
        let transfer = EisensteinHu::new(cosmology)?;
        let Amplitude::Sigma8(sigma8) = cosmology.amplitude else {
            return Err(CosmologyError::NeedsSigma8 { model: "the fit of Eisenstein & Hu" });
        };
        let t = |k| match oscillations {
            Oscillations::Wiggles => transfer.at(k),
            Oscillations::Smooth => transfer.smooth_at(k),
        };
        Self::from_transfer(cosmology.n_s, t)?.with_sigma8(sigma8)
    }

    /// k^{n_s} T(k)² on the grid of [`K_RANGE_H_PER_MPC`].
    pub(crate) fn from_transfer(n_s: f64, transfer: impl Fn(f64) -> f64) -> Result<Self> {
        let [low, high] = K_RANGE_H_PER_MPC.map(libm::log);
        let steps = ((high - low) * POINTS_PER_E_FOLD).ceil();
        let log_k: Vec<f64> = (0..=steps as usize).map(|i| low + (high - low) * i as f64 / steps).collect();
        // A transfer function of more baryons than cold dark matter changes sign; the floor keeps the logarithm finite there.
        let log_p = log_k.iter().map(|&x| n_s * x + 2.0 * libm::log(transfer(libm::exp(x)).abs().max(1e-30))).collect();
        Ok(Self { log_p_of_log_k: CubicSpline::new(log_k, log_p)? })
    }

    /// P in (Mpc/h)³ at k in h/Mpc; 0 at k = 0.
    pub fn at(&self, k_h_per_mpc: f64) -> f64 {
        if k_h_per_mpc > 0.0 { libm::exp(self.log_p_of_log_k.at(libm::log(k_h_per_mpc))) } else { 0.0 }
    }

    /// d ln P/d ln k.
    pub fn slope(&self, k_h_per_mpc: f64) -> f64 {
        self.log_p_of_log_k.value_and_slope(libm::log(k_h_per_mpc)).1
    }

    /// First and last tabulated k in h/Mpc.
    pub fn range_h_per_mpc(&self) -> [f64; 2] {
        let (low, high) = self.log_p_of_log_k.range();
        [libm::exp(low), libm::exp(high)]
    }

    /// The spectrum times `factor`, for example D(a)².
    ///
    /// # Errors
    /// The factor is not positive and finite.
    pub fn scaled(&self, factor: f64) -> Result<Self> {
        let shift = libm::log(positive("the factor of a power spectrum", factor)?);
        let knots = self.log_p_of_log_k.knots().to_vec();
        let values = knots.iter().map(|&x| self.log_p_of_log_k.at(x) + shift).collect();
        Ok(Self { log_p_of_log_k: CubicSpline::new(knots, values)? })
    }

    /// The same shape with this σ8.
    ///
    /// # Errors
    /// σ8 is not positive and finite.
    pub fn with_sigma8(&self, sigma8: f64) -> Result<Self> {
        let ratio = positive("sigma8", sigma8)? / self.sigma8();
        self.scaled(ratio * ratio)
    }

    /// σ8: the root mean square of density in spheres of 8 Mpc/h.
    pub fn sigma8(&self) -> f64 {
        TopHatVariance::new(self).sigma(8.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn power_laws_are_continued() {
        let k: Vec<f64> = (0..20).map(|i| 0.01 * 1.5f64.powi(i)).collect();
        let p: Vec<f64> = k.iter().map(|k| 3.0 * k.powf(-1.5)).collect();
        let power = LinearPower::from_table(&k, &p).unwrap();
        for k in [1e-4, 0.02, 1.0, 1e3f64] {
            assert!((power.at(k) / (3.0 * k.powf(-1.5)) - 1.0).abs() < 1e-12);
        }
        assert!(LinearPower::from_table(&k, &[0.0; 20]).is_err());
        assert!((power.scaled(4.0).unwrap().sigma8() / power.sigma8() - 2.0).abs() < 1e-12);
    }

    /// The golden spectra are normalised by CAMB's own integral, which agrees with direct ones to 5e-7; the tables begin at 1e-4 and end at 20.
    #[test]
    fn sigma8_is_that_of_the_golden_tables() {
        let Some(cosmologies) = golden::cosmologies() else { return };
        let rows = golden::rows("linear/linear_pk_z0.csv").unwrap();
        for (index, (name, cosmology)) in cosmologies.into_iter().enumerate() {
            let column = |i: usize| rows.iter().map(|row| row[i].parse().unwrap()).collect::<Vec<f64>>();
            let power = LinearPower::from_table(&column(0), &column(index + 1)).unwrap();
            let Amplitude::Sigma8(expected) = cosmology.amplitude else { unreachable!() };
            assert!((power.sigma8() / expected - 1.0).abs() < 2e-5, "{name}: {}", power.sigma8());
        }
    }

    /// Ratio to the golden table over its mean ratio, 1e-4 < k < 20: the shape alone. 2.5e-3: the table was interpolated
    /// between wiggles and differs by up to 1.8e-3 (c03, k = 0.037) from the formula it stands for.
    #[test]
    fn the_fit_has_the_golden_shape() {
        let Some(rows) = golden::rows("halo/linear_pk_eh98_z0.csv") else { return };
        let models = golden::cosmologies().unwrap();
        for (column, name) in ["fid", "c03", "c08"].into_iter().enumerate() {
            let (_, cosmology) = models.iter().find(|(n, _)| n == name).unwrap();
            let power = LinearPower::eisenstein_hu(cosmology, Oscillations::Wiggles).unwrap();
            for row in &rows {
                let (k, p): (f64, f64) = (row[0].parse().unwrap(), row[column + 1].parse().unwrap());
                let ratio = (power.at(k) / p).ln();
                assert!(ratio.abs() < 2.5e-3, "{name} at k = {k}: {ratio}");
            }
        }
    }
}
